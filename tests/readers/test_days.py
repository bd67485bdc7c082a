"""Days of tables, compared with datetime.strptime; the advice of each message is run."""

from __future__ import annotations

import datetime as dt
import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xmsgl.errors import InvalidArgumentError
from xmsgl.readers.days import check_date_format, read_days


def days(values, **options):
    return read_days(pd.Series(values), "t.csv", header="date", id_header="id", **options)


@settings(max_examples=60, deadline=None)
@given(
    dates=st.lists(st.dates(dt.date(1700, 1, 1), dt.date(2200, 1, 1)), min_size=1, max_size=5),
    form=st.sampled_from(["%Y-%m-%d", "%d/%m/%Y", "%m/%d/%Y", "%Y%m%d", "%d.%m.%Y", "%d %b %Y", "%Y %j"]),
    as_numbers=st.booleans(),
)
def test_formats_against_strptime(dates, form, as_numbers):
    written = [date.strftime(form) for date in dates]
    values = [int(text) for text in written] if as_numbers and form == "%Y%m%d" else written
    found = days(values, date_format=form)
    assert [moment.date() for moment in found] == [
        dt.datetime.strptime(text, form).date() for text in written
    ]
    assert found.unit == "ns"
    if form != "%Y-%m-%d":
        with pytest.raises(InvalidArgumentError, match=r"row 1 below the header has"):
            days(values)


@pytest.mark.parametrize(
    "values",
    [
        pytest.param(["2001-01-31", "2001-02-01T00:00", " 2001-02-02 00:00:00.000 "], id="ISO"),
        pytest.param([dt.date(2001, 1, 31), dt.date(2001, 2, 1), dt.date(2001, 2, 2)], id="dates"),
        pytest.param(pd.date_range("2001-01-31", periods=3), id="datetime64"),
        pytest.param(list(pd.date_range("2001-01-31", periods=3)), id="objects"),
        pytest.param(pd.period_range("2001-01-31", periods=3, freq="D"), id="periods"),
        pytest.param(pd.Series(["2001-01-31", "2001-02-01", "2001-02-02"], dtype="category"), id="category"),
    ],
)
@pytest.mark.parametrize("date_format", [None, "%d/%m/%Y"])
def test_dates_and_iso_need_no_format(values, date_format):
    assert days(values, date_format=date_format).equals(pd.date_range("2001-01-31", periods=3))


def test_a_format_that_looks_like_iso_is_followed():
    assert days(["2001-02-01"], date_format="%Y-%d-%m")[0] == pd.Timestamp("2001-01-02")


@pytest.mark.parametrize(
    ("values", "fault"),
    [
        pytest.param(["2001-01-31", "31/01/2001"], "row 2 below the header has '31/01/2001'", id="mixed"),
        pytest.param(["spring", "summer"], "row 1 below the header has 'spring'", id="words"),
        pytest.param([978307200], "has '978307200'", id="seconds"),
        pytest.param(["2001-01-31", None, ""], "has 2 rows without a time: rows 2, 3 below", id="missing"),
        pytest.param(["2001-02-30"], "must be dates that exist; row 1 .* '2001-02-30'", id="no such day"),
        pytest.param(["2001-01-01", "0001-01-01"], "must lie between 1678 and 2261; row 2 ", id="year 1"),
        pytest.param([], "t.csv has no rows; leave the table out", id="no rows"),
        pytest.param([True], "has 'True'", id="truth"),
    ],
)
def test_invalid_days_are_named(values, fault):
    with pytest.raises(InvalidArgumentError, match=f"t.csv.*{fault}|{fault}"):
        days(values)


@pytest.mark.parametrize(
    "form", ["%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%Y/%m/%d", "%Y%m%d", "%d-%b-%Y", "%m/%d/%Y %H:%M"]
)
def test_the_suggested_format_fits(form):
    """On the 28th the day cannot be a month, so the message suggests one format."""
    written = [dt.datetime(2001, month, 28).strftime(form) for month in range(1, 13)]
    with pytest.raises(InvalidArgumentError) as caught:
        days(written)
    (advised,) = re.findall(r'date_format="([^"]*)"', str(caught.value))
    assert advised == form
    assert days(written, date_format=advised).equals(
        pd.DatetimeIndex([dt.datetime(2001, m, 28) for m in range(1, 13)])
    )


def test_ambiguous_dates_are_left_to_the_caller():
    with pytest.raises(InvalidArgumentError) as caught:
        days(["01/02/2001", "03/04/2001"])
    advised = re.findall(r'date_format="([^"]*)"', str(caught.value))
    assert advised == ["%d/%m/%Y", "%m/%d/%Y"]
    assert [days(["01/02/2001"], date_format=form)[0].month for form in advised] == [2, 1]


def test_a_format_that_does_not_fit_names_one_that_does():
    with pytest.raises(
        InvalidArgumentError, match=r"as date_format='%m/%d/%Y'; row 2 .* '31/01/2001'"
    ) as caught:
        days(["01/02/2001", "31/01/2001"], date_format="%m/%d/%Y")
    assert 'Give their format: date_format="%d/%m/%Y"' in str(caught.value)


FOLLOWED = {
    "serials": ([36922, 36923], {}, ["2001-01-31", "2001-02-01"]),
    "serials as text": (["36922", "36923"], {}, ["2001-01-31", "2001-02-01"]),
    "serials as floats": ([36922.0, 36923.0], {"date_format": "%Y%m%d"}, ["2001-01-31", "2001-02-01"]),
    "zone in text": (["2001-01-31T00:00Z", "2001-02-01T00:00Z"], {}, ["2001-01-31", "2001-02-01"]),
    "zone": (pd.date_range("2001-01-31", periods=2, tz="UTC"), {}, ["2001-01-31", "2001-02-01"]),
    "hours": (["2001-01-31 06:00", "2001-01-31 18:00"], {}, ["2001-01-31"]),
    "hours in a format": (["31/01/2001 06", "31/01/2001 18"], {"date_format": "%d/%m/%Y %H"}, ["2001-01-31"]),
    "hours of datetime64": (pd.date_range("2001-01-31 06:00", periods=2, freq="6h"), {}, ["2001-01-31"]),
}


@pytest.mark.parametrize(("values", "options", "wanted"), FOLLOWED.values(), ids=FOLLOWED)
def test_following_the_advice_fixes_the_error(values, options, wanted):
    """The code in the message is run unchanged."""
    with pytest.raises(InvalidArgumentError) as caught:
        days(values, **options)
    room = {"pd": pd, "frame": pd.DataFrame({"id": "a", "date": values, "flow": [1.0, 3.0], "code": "P"})}
    exec(re.search(r"frame\['date'\] = .*$", str(caught.value)).group(), room)
    frame = room["frame"]
    assert days(frame["date"], **options).equals(pd.DatetimeIndex(wanted))
    assert frame["flow"].mean() == 2.0


def test_hours_must_be_averaged_to_daily_means():
    with pytest.raises(InvalidArgumentError, match="Average to daily means first"):
        days(["2001-01-31", "2001-01-31 12:00"])


@pytest.mark.parametrize(
    "form", ["%Y", "%d/%m", "%Y-%m", "mixed", "ISO8601", 3, "%d/%m/%Y %z", "%d/%m/%Y %Q", "%d/%m/%Y %"]
)
def test_incomplete_formats_are_refused(form):
    with pytest.raises(InvalidArgumentError, match=r"date_format .*such as '%d/%m/%Y'"):
        check_date_format(form)


def test_rows_are_counted_below_the_header():
    with pytest.raises(InvalidArgumentError, match="row 1001 below the header has 'x'"):
        days(np.array(["2001-01-31"] * 1000 + ["x"]))
