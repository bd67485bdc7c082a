from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
import xarray as xr

import xmsgl
from xmsgl.errors import InvalidArgumentError
from xmsgl.util.history import stamp

KINDS = {
    "dataset": xr.Dataset({"a": ("x", [1.0, 2.0])}),
    "dataarray": xr.DataArray([1.0, 2.0], dims="x", name="a"),
    "datatree": xr.DataTree.from_dict({"/": xr.Dataset(), "/coarse": xr.Dataset({"a": ("x", [1.0])})}),
}


@pytest.mark.parametrize("obj", KINDS.values(), ids=KINDS)
def test_lines_are_appended_and_the_original_is_left(obj):
    once = stamp(obj, "first step")
    twice = stamp(once, "second step")
    assert "history" not in obj.attrs
    assert len(once.attrs["history"].splitlines()) == 1
    first, second = twice.attrs["history"].splitlines()
    assert first == once.attrs["history"]
    assert second.endswith(f" xmsgl {xmsgl.__version__}: second step")
    assert type(twice) is type(obj)


def test_time_is_now_in_utc():
    moment = stamp(xr.Dataset(), "now").attrs["history"].split()[0]
    written = datetime.strptime(moment, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    assert abs(datetime.now(UTC) - written) < timedelta(seconds=60)


def test_a_foreign_history_is_kept():
    obj = xr.Dataset(attrs={"history": "line one\nline two\n", "title": "t"})
    done = stamp(obj, "three")
    assert done.attrs["history"].splitlines()[:2] == ["line one", "line two"]
    assert len(done.attrs["history"].splitlines()) == 3
    assert done.attrs["title"] == "t"


def test_no_data_is_copied():
    values = np.arange(3.0)
    done = stamp(xr.DataArray(values, dims="x"), "look")
    assert np.shares_memory(done.values, values)


def test_line_breaks_become_blanks():
    done = stamp(xr.Dataset(), "one\n  two")
    assert done.attrs["history"].endswith(": one two")


@pytest.mark.parametrize("line", ["", " \n"], ids=["empty", "blank"])
def test_empty_line_is_refused(line):
    with pytest.raises(InvalidArgumentError, match="empty"):
        stamp(xr.Dataset(), line)
