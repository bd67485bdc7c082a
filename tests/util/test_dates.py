"""Days as text and as dates of other libraries, against those of pandas and of the calendar."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from xmsgl.errors import InvalidArgumentError
from xmsgl.util.dates import day_range, one_day


@pytest.mark.parametrize(
    "value",
    [
        "2003-04-01",
        " 2003-04-01T00:00 ",
        "20030401",
        dt.date(2003, 4, 1),
        dt.datetime(2003, 4, 1),
        pd.Timestamp("2003-04-01"),
        pd.Period("2003-04-01", "D"),
        np.datetime64("2003-04-01", "ns"),
        np.array("2003-04-01", "datetime64[s]"),
        xr.DataArray(pd.date_range("2003-04-01", periods=1), dims="time")[0],
    ],
    ids=lambda value: type(value).__name__,
)
def test_one_day_is_read_from_text_and_from_dates(value):
    assert one_day(value, "day") == np.datetime64("2003-04-01")
    assert one_day(value, "day").dtype == "datetime64[D]"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("2003-04", "day must be one day, but '2003-04' is a whole month; give a day, such as '2003-04-30'"),
        ("2004", "is a whole year; give a day, such as '2004-12-31'"),
        (np.datetime64("2003-04"), "is a whole month"),
        (pd.Period("2003", "Y"), "is a whole year"),
        ("01/06/2003", r"\(yyyy-mm-dd\), not '01/06/2003', because its day and its month may be confused"),
        ("2003041", r"must be a day such as 2021-04-01 \(yyyy-mm-dd\), not '2003041'"),
        ("2003-02-30", "is not a date of the calendar"),
        ("2003-04-01T12:00", "has a time of day; give the day without it, such as '2003-04-01'"),
        ("2003-04-01T00:00Z", "has a time zone"),
        (pd.Timestamp("2003-04-01", tz="Europe/Berlin"), "has a time zone"),
        (dt.datetime(2003, 4, 1, tzinfo=dt.UTC), "has a time zone"),
        (pd.NaT, "must be a day"),
        (np.datetime64("NaT"), "must be a day"),
        (20030401, "must be a day"),
        (True, "must be a day"),
        (None, "must be a day"),
        (["2003-04-01"], "must be a day"),
        (np.array(["2003-04-01"], "datetime64[D]"), "must be a day"),
    ],
    ids=str,
)
def test_what_is_not_one_day_is_refused(value, message):
    with pytest.raises(InvalidArgumentError, match=message):
        one_day(value, "day")


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("2004-02", "2004-02-01", "2004-02-29"),
        ("2003", "2003-01-01", "2003-12-31"),
        ("2003-12-31", "2003-12-31", "2003-12-31"),
    ],
)
def test_a_part_of_a_date_stands_for_all_its_days(text, first, last):
    assert day_range(text, "days") == (np.datetime64(first), np.datetime64(last))
