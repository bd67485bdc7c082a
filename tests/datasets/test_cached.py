"""Datasets that are built once: arguments checked before anything is built, damaged stores built again."""

from __future__ import annotations

import json
import shutil
from types import SimpleNamespace

import dask.array
import numpy as np
import pandas as pd
import pytest
import xarray as xr

pytest.importorskip("zarr")

from xmsgl.datasets import cached, delaware, willamette, yakima
from xmsgl.datasets.cached import Cached, open_cached, store_path
from xmsgl.datasets.store import is_whole
from xmsgl.errors import InvalidArgumentError, OutputError

BUILT = []
PERIOD = {"": ("2000-01-01", "2002-12-31")}
SMALL = Cached("small", "Small", "here:build", 1, {}, PERIOD)


def build(files, report):
    BUILT.append(files)
    days = pd.date_range(*PERIOD[""])
    values = dask.array.from_array(np.random.default_rng(0).normal(size=(len(days), 3)), chunks=(400, 3))
    fields = {
        "x_coarse": (("time", "coarse"), values),
        "downstream_coarse": ("coarse", [2, 3, 0]),
        "downstream_fine": ("fine", [2, 3, 0]),
        "coarse_segment": ("fine", [1, 2, 3]),
    }
    return xr.Dataset(fields, coords={"time": days, "coarse": [1, 2, 3], "fine": [1, 2, 3]})


@pytest.fixture
def folder(monkeypatch, tmp_path):
    """A cache folder; the small dataset is built from no files."""
    monkeypatch.setattr(cached, "import_module", lambda name: SimpleNamespace(build=build))
    monkeypatch.setattr(cached, "fetch", lambda name, cache_dir: {})
    monkeypatch.setattr(cached, "dataset_files", lambda name: ())
    BUILT.clear()
    return tmp_path / "cache"


def small(folder, **given):
    return open_cached(SMALL, **{"start": None, "end": None, "region": None, "cache_dir": folder, **given})


def chunk(store):
    return sorted((store / "x_coarse").glob("[0-9]*"))[0]


def empty(store):
    shutil.rmtree(store)
    store.mkdir()


def cut(file):
    file.write_bytes(file.read_bytes()[:-1])


DAMAGE = {
    "chunk-gone": lambda store: chunk(store).unlink(),
    "chunk-cut": lambda store: cut(chunk(store)),
    "metadata-gone": lambda store: (store / ".zmetadata").unlink(),
    "metadata-cut": lambda store: cut(store / ".zmetadata"),
    "empty": empty,
    "sizes-gone": lambda store: (store / "sizes.json").unlink(),
    "sizes-cut": lambda store: cut(store / "sizes.json"),
    "sizes-list": lambda store: (store / "sizes.json").write_text("[1]"),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_store_is_built_again(folder, damage, caplog):
    before = small(folder).load()
    store = store_path(SMALL, folder, {})
    assert is_whole(store)
    damage(store)
    assert not is_whole(store)
    with caplog.at_level("WARNING", "xmsgl"):
        after = small(folder).load()
    np.testing.assert_array_equal(after.x_coarse, before.x_coarse)
    assert len(BUILT) == 2
    assert f"{store} is damaged: building it again" in caplog.text
    assert [path.name for path in store.parent.iterdir()] == [store.name]
    small(folder)
    assert len(BUILT) == 2


def test_all_files_but_the_list_are_listed(folder):
    small(folder)
    store = store_path(SMALL, folder, {})
    files = {str(path.relative_to(store)) for path in store.rglob("*") if path.is_file()}
    assert set(json.loads((store / "sizes.json").read_text())) == files - {"sizes.json"}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"start": "x"}, "start must be a day such as 2021-04-01"),
        ({"start": "01/02/2001"}, "day and its month may be confused"),
        ({"end": "NaT"}, "end must be a day"),
        ({"start": "1999-12-31"}, "must lie in order within 2000-01-01 to 2002-12-31"),
        ({"start": "2001", "end": "2000"}, "must lie in order"),
        ({"region": "../../x"}, r"has no hydrologic units like '\.\./\.\./x'"),
        ({"region": True}, "region must be a segment id"),
        ({"region": 1.5}, "region must be a segment id"),
        ({"cache_dir": "a\0b"}, "must not contain a NUL"),
    ],
)
def test_arguments_are_checked_before_anything_is_built(folder, given, message):
    with pytest.raises(InvalidArgumentError, match=message):
        small(folder, **given)
    assert BUILT == []
    assert not folder.exists()


@pytest.mark.parametrize("function", [delaware, willamette, yakima])
@pytest.mark.parametrize("given", [{"start": "x"}, {"start": "1800"}, {"region": "../../x"}, {"region": 1.5}])
def test_each_dataset_checks_its_arguments_first(folder, function, given):
    with pytest.raises(InvalidArgumentError, match=r"start|region"):
        function(**given, cache_dir=folder)
    assert not folder.exists()


@pytest.mark.parametrize("place", ["cache", "cache/built"])
def test_a_cache_that_cannot_be_written_is_refused_before_anything_is_built(folder, place):
    target = folder.parent / place
    target.parent.mkdir(exist_ok=True)
    target.write_text("not a folder")
    with pytest.raises(OutputError, match=f"the folder {target} is not a folder"):
        small(folder)
    assert BUILT == []


@pytest.mark.parametrize(
    ("given", "first", "last"), [({}, 0, 1095), ({"start": "2001", "end": "2001"}, 366, 730)]
)
def test_a_period_selects_its_days(folder, given, first, last):
    days = small(folder, **given).indexes["time"]
    whole = pd.date_range(*PERIOD[""])
    assert (days[0], days[-1]) == (whole[first], whole[last])
