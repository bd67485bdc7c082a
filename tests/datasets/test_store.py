from __future__ import annotations

import os
import subprocess
import sys
import threading

import dask.array
import numpy as np
import pytest
import xarray as xr

from tests.test_walls import ROOT, imports, inner
from xmsgl.datasets import store
from xmsgl.datasets.store import _BUILDERS, build_key, open_store, write_store


def small(value=1.234567):
    days = np.arange("2000-01-01", "2003-01-01", dtype="datetime64[D]").astype("datetime64[ns]")
    field = dask.array.full((len(days), 5), value, chunks=(366, 5), dtype="float32")
    return xr.Dataset(
        {
            "air_temperature_coarse": (("time", "coarse"), field, {"units": "degC"}),
            "water_temperature_coarse": (("time", "coarse"), field + np.float32(np.nan)),
            "huc8_coarse": ("coarse", np.array(["02040101", "", "a", "b", "c"], dtype=object)),
            "length_coarse": ("coarse", np.arange(5.0)),
        },
        coords={"time": days, "coarse": np.arange(5)},
    )


def test_round_trip(tmp_path):
    path = tmp_path / "made" / "store.zarr"
    write_store(small(), path, {})
    xr.testing.assert_identical(open_store(path).load(), small().load())
    assert [entry.name for entry in path.parent.iterdir()] == ["store.zarr"]


@pytest.mark.parametrize("kind", ["netcdf", "zarr"])
def test_what_was_opened_can_be_written_elsewhere(tmp_path, kind):
    write_store(small(), tmp_path / "store.zarr", {})
    ds = open_store(tmp_path / "store.zarr")
    if kind == "netcdf":
        ds.load().to_netcdf(tmp_path / "copy.nc")
        copy = xr.load_dataset(tmp_path / "copy.nc")
    else:
        ds.to_zarr(tmp_path / "copy.zarr", zarr_format=2)
        copy = xr.open_zarr(tmp_path / "copy.zarr").load()
    assert copy["air_temperature_coarse"].equals(ds["air_temperature_coarse"])
    assert copy["huc8_coarse"].to_numpy().tolist() == ["02040101", "", "a", "b", "c"]


def test_digits_are_kept_as_asked_and_order_survives(tmp_path):
    values = np.sort(np.random.default_rng(0).normal(10, 5, (3, 1096, 5)), axis=0).astype("float32")
    ds = small().isel(time=slice(0, 1096))
    for name, field in zip(("low", "mean", "high"), values, strict=True):
        ds[name] = (("time", "coarse"), field)
    write_store(ds, tmp_path / "store.zarr", dict.fromkeys(("low", "mean", "high"), 2))
    stored = open_store(tmp_path / "store.zarr").load()
    assert float(abs(stored["mean"] - ds["mean"]).max()) <= 0.005
    assert bool((stored["low"] <= stored["mean"]).all())
    assert bool((stored["mean"] <= stored["high"]).all())


def test_opened_lazily(tmp_path, refuse_to_compute):
    write_store(small(), tmp_path / "store.zarr", {})
    with refuse_to_compute():
        ds = open_store(tmp_path / "store.zarr")
        assert ds["air_temperature_coarse"].chunks is not None
        assert ds["length_coarse"].chunks is None
        ds["huc8_coarse"].to_numpy()
        with pytest.raises(AssertionError, match="computed"):
            ds["air_temperature_coarse"].load()


def test_failure_while_writing_leaves_nothing(tmp_path):
    broken = small(2.0)

    def fail(block):
        raise RuntimeError("out of paper")

    broken["air_temperature_coarse"].data = broken["air_temperature_coarse"].data.map_blocks(
        fail, dtype="float32"
    )
    with pytest.raises(RuntimeError, match="out of paper"):
        write_store(broken, tmp_path / "store.zarr", {})
    assert list(tmp_path.iterdir()) == []


def test_the_first_to_finish_wins(tmp_path):
    path = tmp_path / "store.zarr"
    write_store(small(1.0), path, {})
    write_store(small(2.0), path, {})
    assert float(open_store(path)["air_temperature_coarse"].max()) == 1.0
    assert [entry.name for entry in tmp_path.iterdir()] == ["store.zarr"]


def test_a_folder_that_can_not_be_written_is_no_silent_success(tmp_path):
    (tmp_path / "store.zarr").write_text("a file, not a folder")
    with pytest.raises(OSError, match="store"):
        write_store(small(), tmp_path / "store.zarr", {})


BUILDER = """
import sys, dask.array, numpy as np, xarray as xr
from pathlib import Path
from xmsgl.datasets.store import write_store
value = float(sys.argv[2])
field = dask.array.full((4000, 100), value, chunks=(400, 100))
days = np.datetime64("2000-01-01", "ns") + np.arange(4000) * np.timedelta64(1, "D")
ds = xr.Dataset({"x": (("time", "coarse"), field)}, coords={"time": days})
for attempt in range(5):
    write_store(ds, Path(sys.argv[1]), {})
"""

KILLED = """
import os, sys, dask.array, numpy as np, xarray as xr
from pathlib import Path
from xmsgl.datasets.store import write_store
def die(block):
    os._exit(9)
field = dask.array.zeros((800, 3), chunks=(400, 3)).map_blocks(die, dtype=float, meta=np.zeros((0, 0)))
days = np.datetime64("2000-01-01", "ns") + np.arange(800) * np.timedelta64(1, "D")
ds = xr.Dataset({"x": (("time", "coarse"), field)}, coords={"time": days})
write_store(ds, Path(sys.argv[1]), {})
"""


def test_killed_build_leaves_no_store_and_its_rest_is_swept(tmp_path):
    path = tmp_path / "store.zarr"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", KILLED, str(path)], env=environment, check=False)
    assert done.returncode == 9
    assert not path.exists()
    rest = list(tmp_path.glob(".*.part"))
    assert len(rest) == 1
    write_store(small(), path, {})
    assert [entry.name for entry in tmp_path.iterdir()] == ["store.zarr"]


def test_concurrent_processes(tmp_path):
    path = tmp_path / "store.zarr"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    builders = [
        subprocess.Popen([sys.executable, "-c", BUILDER, str(path), value], env=environment)
        for value in ("1", "2")
    ]
    seen = set()
    while any(builder.poll() is None for builder in builders):
        if path.exists():
            values = np.unique(xr.open_zarr(path, chunks=None, decode_times=False)["x"])
            assert len(values) == 1, "half of one and half of the other"
            seen.update(values.tolist())
    assert [builder.returncode for builder in builders] == [0, 0]
    assert seen <= {1.0, 2.0}
    assert [entry.name for entry in tmp_path.iterdir()] == ["store.zarr"]


def test_concurrent_threads(tmp_path):
    path = tmp_path / "store.zarr"
    faults = []

    def work(value):
        try:
            write_store(small(value), path, {})
        except Exception as fault:  # noqa: BLE001 - reported below
            faults.append(fault)

    threads = [threading.Thread(target=work, args=(float(value),)) for value in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    assert len(np.unique(open_store(path)["air_temperature_coarse"])) == 1
    assert [entry.name for entry in tmp_path.iterdir()] == ["store.zarr"]


def test_build_key_depends_on_content():
    assert build_key(["aa"]) == build_key(["aa"])
    assert build_key(["aa"]) != build_key(["ab"])


def test_build_key_depends_on_code(monkeypatch, tmp_path):
    for room in _BUILDERS:
        (tmp_path / room).mkdir()
        (tmp_path / room / "part.py").write_text("one")
    monkeypatch.setattr(store, "__file__", str(tmp_path / "datasets" / "store.py"))
    keys = [build_key(["aa"])]
    for room in _BUILDERS:
        (tmp_path / room / "part.py").write_text("two")
        keys.append(build_key(["aa"]))
    assert len(set(keys)) == len(_BUILDERS) + 1


@pytest.mark.parametrize("basin", ["delaware_basin", "pacific_northwest"])
def test_a_dataset_is_built_anew_when_anything_it_is_built_by_changes(basin):
    """All modules that building leads to lie in the rooms of the key, or in those below without data."""
    seen, todo = set(), [f"datasets.{basin}.build"]
    while todo:
        if (module := todo.pop()) in seen:
            continue
        seen.add(module)
        path = ROOT.joinpath(*module.split("."))
        file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        todo += [inner(name) for name, _, typing in imports(file) if inner(name) and not typing]
    assert "readers.weather" in seen
    assert {module.split(".")[0] for module in seen} <= {*_BUILDERS, "util", "errors"}
