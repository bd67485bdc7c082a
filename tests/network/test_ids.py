"""Ids as files store them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from xmsgl.network.ids import id_values, is_missing, kind_of, missing


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ([3, 0], [3, 0]),
        ([1.0, np.nan], [1, 0]),
        (["x", ""], ["x", ""]),
        (np.array([1, None], dtype=object), [1, 0]),
        (np.array([1.0, None, ""], dtype=object), [1, 0, 0]),
        (np.array(["a", None, np.nan], dtype=object), ["a", "", ""]),
        (np.array([None, None], dtype=object), [0, 0]),
        (np.array([b"ab", b""]), ["ab", ""]),
        (np.array([3, 4], dtype=np.uint8), [3, 4]),
        (pd.array(["a", None], dtype="string"), ["a", ""]),
        (pd.array([7, None], dtype="Int64"), [7, 0]),
    ],
    ids=[
        *("integers", "floats", "strings", "objects", "float-objects", "text", "nothing", "bytes"),
        *("small-integers", "pandas-text", "pandas-integers"),
    ],
)
def test_id_values(given, wanted):
    found = id_values(given)
    assert found.dtype.kind in "iU"
    assert found.tolist() == wanted
    assert missing(found).tolist() == [value in (0, "") for value in wanted]


@pytest.mark.parametrize(
    "given",
    [
        [1.5],
        [2.0**60],
        [np.inf],
        np.array([1, "a"], dtype=object),
        np.array([True], dtype=object),
        [2.0**53],
        np.array([2**70], dtype=object),
        np.array(["2001-01-01"], dtype="datetime64[ns]"),
    ],
    ids=[
        "fraction",
        "beyond-float",
        "infinite",
        "mixed",
        "bool",
        "as-many-as-floats-tell-apart",
        "beyond-int64",
        "dates",
    ],
)
def test_what_is_not_an_id_stays_as_it_is(given):
    np.testing.assert_array_equal(id_values(given), np.asarray(given))
    assert id_values(given).dtype.kind not in "iU"
    assert not missing(id_values(given)).any()


@pytest.mark.parametrize(
    "value", [None, np.nan, np.float32("nan"), pd.NaT, pd.NA, np.datetime64("NaT"), 0, "", "a", True, 1.5]
)
def test_missing_values_are_those_of_pandas(value):
    assert is_missing(value) == pd.isna(value)


def test_kinds_have_names():
    assert kind_of(np.array([1, "a"], dtype=object)) == "a mix of int and str"
    assert kind_of(np.array(["2001-01-01"], dtype="datetime64[ns]")) == "dates"
    assert kind_of(np.array([], dtype=object)) == "object values"
    assert kind_of(np.array([None, None], dtype=object)) == "NoneType values"
    assert kind_of(np.array([1, 2], dtype=np.uint8)) == "integers"
