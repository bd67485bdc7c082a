"""Windows: how a record is cut, and which days count."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xmsgl.errors import InvalidArgumentError
from xmsgl.inputs.windows import Window, calendar_windows, cut_windows


@settings(max_examples=60, deadline=None)
@given(n_days=st.integers(0, 900), length=st.integers(1, 400), warmup=st.integers(0, 400))
def test_every_day_is_scored_exactly_once(n_days, length, warmup):
    counted = np.zeros(n_days, int)
    for window in cut_windows(n_days, length, warmup):
        days, scored = window.days(length, n_days), window.scored(length)
        assert days.shape == scored.shape == (warmup + length,)
        np.add.at(counted, days[scored], 1)
    assert (counted == 1).all()


@settings(max_examples=40, deadline=None)
@given(n_days=st.integers(1, 900), length=st.integers(1, 400), warmup=st.integers(0, 400))
def test_days_run_on_without_a_gap(n_days, length, warmup):
    for window in cut_windows(n_days, length, warmup):
        days = window.days(length, n_days)
        assert set(np.diff(days).tolist()) <= {0, 1}
        assert days[warmup] == window.start
        assert (days[:warmup] <= window.start).all()


def test_two_years_in_windows_of_365_days_after_a_warm_up():
    windows = cut_windows(800, 365, 60)
    assert [(w.start, w.stop, w.warmup) for w in windows] == [(0, 365, 60), (365, 730, 60), (730, 800, 60)]
    np.testing.assert_array_equal(windows[1].days(365, 800), np.arange(305, 730))
    ragged = windows[2]
    assert ragged.scored(365).sum() == 70
    np.testing.assert_array_equal(ragged.days(365, 800)[:130], np.arange(670, 800))
    assert (ragged.days(365, 800)[130:] == 799).all()


def test_the_first_warm_up_repeats_the_first_day():
    days = Window(0, 365, 60).days(365, 800)
    assert (days[:60] == 0).all()
    np.testing.assert_array_equal(days[60:], np.arange(365))
    early = Window(20, 40, 30)
    np.testing.assert_array_equal(early.days(20, 800), np.r_[np.zeros(10, int), np.arange(40)])


@pytest.mark.parametrize(("length", "warmup"), [(0, 0), (-3, 0), (10, -1)])
def test_invalid_windows_are_refused(length, warmup):
    with pytest.raises(InvalidArgumentError, match=f"window={length}, warmup={warmup}"):
        cut_windows(100, length, warmup)


@settings(max_examples=60, deadline=None)
@given(n_days=st.integers(0, 60), length=st.integers(1, 20), first=st.integers(-50, 50))
def test_windows_begin_at_the_first_and_at_every_length_from_it(n_days, length, first):
    numbers = [(day - first) // length for day in range(n_days)]
    cuts = [(numbers.index(k), n_days - numbers[::-1].index(k), 3) for k in sorted(set(numbers))]
    windows = cut_windows(n_days, length, 3, first)
    assert [(w.start, w.stop, w.warmup) for w in windows] == cuts


@pytest.mark.parametrize("first_day", ["1990-02-03", "2001-01-04", "2010-12-31"])
def test_calendar_windows_begin_whole_windows_from_a_day(first_day):
    days = pd.date_range("2001-01-01", periods=100)
    windows = calendar_windows(days, 7, 5, first_day)
    assert [w.start for w in windows[1:]] == [
        i for i, day in enumerate(days) if i and (day - pd.Timestamp(first_day)).days % 7 == 0
    ]
    assert (windows[0].start, windows[-1].stop, windows[0].warmup) == (0, 100, 5)
    assert calendar_windows(days[:0], 7, 5, first_day) == []


def test_windows_of_one_day():
    assert calendar_windows(pd.DatetimeIndex([]), 1, 0, "2001-01-01") == []
    assert cut_windows(2, 1, 0) == [Window(0, 1, 0), Window(1, 2, 0)]
