"""The day of a map, selected as xarray selects, and its title."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from xmsgl.errors import InvalidArgumentError
from xmsgl.plot.days import at_time, by_day


@pytest.fixture
def record():
    days = pd.date_range("2001-01-01", periods=90)
    values = np.arange(180.0).reshape(90, 2)
    values[40, 1] = np.nan
    attrs = {"units": "degC", "long_name": "water"}
    return xr.DataArray(values, {"time": days, "fine": [7, 9]}, ("time", "fine"), "temp", attrs)


@pytest.mark.parametrize(
    ("time", "rows", "title"),
    [
        ("2001-02-03", [33], "2001-02-03"),
        (pd.Timestamp("2001-02-03"), [33], "2001-02-03"),
        (np.datetime64("2001-02-03"), [33], "2001-02-03"),
        ("2001-02", range(31, 59), "2001-02-01 to 2001-02-28\nmean of 28 days"),
        (slice("2001-02-09", "2001-02-11"), [39, 40, 41], "2001-02-09 to 2001-02-11\nmean of 3 days"),
        (slice("2001-03-31", None), [89], "2001-03-31"),
    ],
    ids=["text", "stamp", "numpy", "month", "slice", "slice-of-one"],
)
@pytest.mark.parametrize("order", ["forward", "backward"])
def test_days_are_found_and_averaged(record, time, rows, title, order):
    given = record if order == "forward" else record[::-1]
    found, said = at_time(given.chunk(time=7), time)
    np.testing.assert_allclose(found.values, np.nanmean(record.values[list(rows)], axis=0))
    assert said == title
    assert found.attrs == record.attrs


def test_nothing_is_computed(record, refuse_to_compute):
    with refuse_to_compute():
        at_time(record.chunk(), "2001-02")


def test_one_day_need_not_be_named(record):
    found, title = at_time(record[5:6])
    np.testing.assert_array_equal(found, record[5])
    assert title == "2001-01-06"
    still = record[5].drop_vars("time")
    assert at_time(still) == (still, "")


@pytest.mark.parametrize(
    ("change", "time", "message"),
    [
        (lambda r: r, None, r"'temp' has 90 days, 2001-01-01 to 2001-03-31; choose a day with time="),
        (lambda r: r, "1999-01-01", r"'1999-01-01' is not a day .* 2001-01-01 to 2001-03-31"),
        (lambda r: r, "spring", "'spring' is not a day"),
        (lambda r: r, slice("1999", "2000"), "no day of 'temp' lies in"),
        (lambda r: r[0], "2001-01-01", "does not vary with time; leave out time="),
        (lambda r: r.drop_vars("time"), 3, "labelled by date"),
        (lambda r: r[:0], None, "has 0 days"),
    ],
    ids=["missing", "unknown", "no-date", "empty", "static", "unlabelled", "no-days"],
)
def test_faults_are_named(record, change, time, message):
    with pytest.raises(InvalidArgumentError, match=message):
        at_time(change(record), time)


def test_a_forecast_is_found_by_its_days(record):
    lead = record.assign_coords(lead=("time", np.arange(1, 91)), issue=np.datetime64("2000-12-31"))
    lead = lead.swap_dims(time="lead")
    for time in ("2001-02-03", "2001-02"):
        found, title = at_time(lead, time)
        wanted, same = at_time(record, time)
        np.testing.assert_array_equal(found, wanted)
        assert title == same
    plain = lead.drop_vars("time")  # no days to find
    assert by_day(plain) is plain
