"""One pass over blocks finds what plain NumPy finds in the whole array."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from xmsgl.schema import scan as schema_scan
from xmsgl.schema.scan import scan

LOW, HIGH = -5.0, 45.0
VALUES = st.sampled_from([0.0, 1.5, -5.0, 45.0, -5.5, 46.0, np.nan, np.inf, -np.inf])
ARRAYS = hnp.arrays(np.float32, st.tuples(st.integers(1, 9), st.integers(1, 6)), elements=VALUES)


def found(ds):
    return scan(ds, {"t_fine": (LOW, HIGH)}, [])[0]["t_fine"]


def assert_right(summary, values):
    finite = np.isfinite(values)
    assert summary.finite == finite.sum()
    assert summary.nonzero == (values[finite] != 0).sum()
    assert summary.low == pytest.approx(values[finite].min() if finite.any() else np.nan, nan_ok=True)
    assert summary.high == pytest.approx(values[finite].max() if finite.any() else np.nan, nan_ok=True)
    outside = finite & ((values < LOW) | (values > HIGH))
    for spots, mask in (
        (summary.nan, np.isnan(values)),
        (summary.infinite, np.isinf(values)),
        (summary.outside, outside),
    ):
        days, nodes = np.nonzero(mask)
        assert spots.count == days.size
        np.testing.assert_array_equal(spots.days, np.unique(days))
        np.testing.assert_array_equal(spots.nodes, np.unique(nodes))


@settings(max_examples=60, deadline=None)
@given(values=ARRAYS, days=st.integers(1, 9), nodes=st.integers(1, 6))
def test_chunks(values, days, nodes):
    ds = xr.Dataset({"t_fine": (("time", "fine"), values)}).chunk({"time": days, "fine": nodes})
    assert_right(found(ds), values)


@settings(max_examples=60, deadline=None)
@given(values=ARRAYS, block=st.integers(1, 20))
def test_slices_of_an_array_in_memory(values, block):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(schema_scan, "_BLOCK_VALUES", block)
        assert_right(found(xr.Dataset({"t_fine": (("time", "fine"), values)})), values)


def test_transposed_and_integer_arrays():
    values = np.array([[0, 99, 3], [4, 5, 6]])
    assert_right(found(xr.Dataset({"t_fine": (("fine", "time"), values.T)})), values)


def test_small_values_are_read_as_they_are():
    ds = xr.Dataset({"ids_fine": ("fine", ["a", "b"]), "length_fine": ("fine", [1.0, 2.0])}).chunk()
    values = scan(ds, {}, ["ids_fine", "length_fine"])[1]
    assert values["ids_fine"].tolist() == ["a", "b"]
    assert values["length_fine"].tolist() == [1.0, 2.0]


def test_nothing_asked():
    assert scan(xr.Dataset(), {}, []) == ({}, {})
