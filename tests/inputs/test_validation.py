"""Which days judge a model: drawn before anything is fitted, and written as text."""

from __future__ import annotations

import datetime as dt
import re

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from xmsgl.errors import InvalidArgumentError
from xmsgl.inputs.validation import (
    Asked,
    Split,
    label_values,
    read_validation,
    split_labels,
    without_labels,
    write_validation,
)

SCALES = ("coarse", "fine")
SPRING = slice("2002-03-01", "2002-05-31")


def split(ds, validation, *, scales=SCALES, window=90, seed=0):
    return split_labels(ds, scales, window=window, validation=write_validation(validation), seed=seed)


def labelled(ds, scales=SCALES):
    """Days with a label at some scale, by the methods of xarray."""
    return np.any([ds[f"water_temperature_{s}"].notnull().any(s).values for s in scales], axis=0)


# ----------------------------------------------------------------------- the split


@settings(max_examples=60, deadline=None)
@given(share=st.floats(0.02, 0.6), window=st.integers(20, 500), seed=st.integers(0, 99))
def test_a_share_leaves_labels_on_both_sides(river_once, share, window, seed):
    days = split(river_once, share, window=window, seed=seed)
    assert days.training.any()
    assert not (days.training & days.validation).any()
    np.testing.assert_array_equal(
        days.training | (days.validation & labelled(river_once)), labelled(river_once)
    )
    assert (days.validation & labelled(river_once, ["coarse"])).any()
    assert (days.training & labelled(river_once, ["coarse"])).any()
    if -(-800 // window) >= 6:  # whole windows are given away
        for start in range(0, 800, window):
            part = days.validation[start : start + window]
            assert part.all() or not part.any()


@pytest.mark.parametrize("seed", range(8))
def test_a_remnant_of_a_window_is_not_the_validation(river, seed):
    for days in (5 * 90 + 1, 4 * 90 + 1, 8 * 90 + 44):
        part = river.isel(time=slice(days))
        found = split(part, 0.15, window=90, seed=seed).validation
        assert found.sum() >= 0.1 * days
        assert not found[days // 90 * 90 :].all()


def test_a_share_is_drawn_from_the_seed(river):
    one, same, other = (split(river, 0.3, window=30, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.validation, same.validation)
    assert (one.validation != other.validation).any()
    assert one.validation.sum() == pytest.approx(0.3 * 800, abs=45)


def test_the_split_depends_on_where_labels_are_and_not_on_what_they_say(river):
    warmer = river.copy(deep=True)
    for scale in SCALES:
        warmer[f"water_temperature_{scale}"] = warmer[f"water_temperature_{scale}"] * 0.5 + 20
    for validation in (0.3, "2002-03-01/2002-05-31", None):
        one, two = split(river, validation, window=30), split(warmer, validation, window=30)
        np.testing.assert_array_equal(one.training, two.training)
        np.testing.assert_array_equal(one.validation, two.validation)


@pytest.mark.parametrize(
    ("validation", "expected"),
    [
        (slice("2002-03-01", "2002-03-31"), slice("2002-03-01", "2002-03-31")),
        (slice("2003", None), slice("2003-01-01", "2003-12-09")),
        (slice(None, "2001"), slice("2001-10-01", "2001-12-31")),
        (slice("2002", "2002"), slice("2002-01-01", "2002-12-31")),
        (slice("2002/03/05", "2002/04"), slice("2002-03-05", "2002-04-30")),
        (slice(pd.Timestamp(2002, 5, 1), np.datetime64("2002-05-02")), slice("2002-05-01", "2002-05-02")),
        (slice(dt.datetime(2002, 5, 1), dt.datetime(2002, 5, 2)), slice("2002-05-01", "2002-05-02")),
    ],
    ids=["days", "open-end", "open-start", "a-year", "slashes", "timestamps", "datetimes"],
)
def test_a_slice_means_the_days_that_sel_would_give(river, validation, expected):
    chosen = river.time.values[split(river, validation).validation]
    np.testing.assert_array_equal(chosen, river.time.sel(time=validation).values)
    np.testing.assert_array_equal(chosen, river.time.sel(time=expected).values)


@pytest.mark.parametrize(
    "validation",
    [
        "2002-01-01/2002-01-31,2003-01-01/2003-01-31",
        " 2002-01-01 / 2002-01-31 , 2003-01-01 / 2003-01-31 ",
        [slice("2002-01-01", "2002-01-31"), slice("2003-01-01", "2003-01-31")],
        (slice("2002-01", "2002-01"), slice("2003-01", "2003-01")),
    ],
    ids=["text", "spaces", "list", "tuple"],
)
def test_several_periods(river, validation):
    chosen = pd.DatetimeIndex(river.time.values[split(river, validation).validation])
    assert len(chosen) == 62
    assert {(day.year, day.month) for day in chosen} == {(2002, 1), (2003, 1)}


def test_no_validation(river):
    days = split(river, None)
    assert not days.validation.any()
    np.testing.assert_array_equal(days.training, labelled(river))


def test_only_scales_that_are_learned_from_count(river):
    river["water_temperature_coarse"][:400] = np.nan
    coarse = split(river, None, scales=["coarse"])
    assert not coarse.training[:400].any()
    np.testing.assert_array_equal(coarse.training, labelled(river, ["coarse"]))
    with pytest.raises(
        InvalidArgumentError, match="have no labels; the dataset covers 2001-10-01 to 2003-12"
    ):
        split(river, "2001-11-01/2001-11-30", scales=["coarse"])
    assert split(river, "2001-11-01/2001-11-30", scales=["fine"]).validation.sum() == 30


@pytest.mark.parametrize(
    ("validation", "message"),
    [
        (slice("1990", "1991"), "have no labels.*2001-10-01 to 2003-12-09"),
        (slice("2002-05-01", "2002-04-01"), "have no labels"),
        (slice("spring", None), "a day of validation must be a day such as 2021-04-01"),
        ("2002-03-01/2002-13-31", "'2002-13-31' is not a date of the calendar"),
        ("01-03-2002/..", "its day and its month may be confused"),
        ("../..", "no label to learn from: water_temperature_coarse and _fine have no finite value outside"),
    ],
    ids=["elsewhere", "backwards", "no-day", "no-month", "day first", "all"],
)
def test_days_that_do_not_fit_the_dataset_are_refused(river, validation, message):
    with pytest.raises(InvalidArgumentError, match=message):
        split(river, validation)


def test_no_label_to_learn_from_is_refused(river):
    for scale in SCALES:
        river[f"water_temperature_{scale}"][:600] = np.nan
    with pytest.raises(InvalidArgumentError, match="no label to learn from"):
        split(river, slice("2003-01-01", None))


# --------------------------------------------------------------------- segments


def test_held_segments_are_kept_with_their_reaches_and_nothing_else_is(river):
    found = split(river, "segments:0.4")
    assert not found.validation.any()
    held = set(river.coarse.values[found.held["coarse"]].tolist())
    gauged = set(river.coarse.values[river.water_temperature_coarse.notnull().any("time").values].tolist())
    gauged |= set(river.coarse_segment.values[river.water_temperature_fine.notnull().any("time").values])
    assert held < gauged
    assert len(held) == max(1, round(0.4 * len(gauged)))
    assert set(river.coarse_segment.values[found.held["fine"]].tolist()) == held
    assert not held & set(river.coarse_segment.values[~found.held["fine"]].tolist())
    for scale in SCALES:
        seen = river[f"water_temperature_{scale}"].notnull().values
        learned, kept = found.learned.mask(scale) & seen, found.kept.mask(scale) & seen
        np.testing.assert_array_equal(learned ^ kept, seen)
        np.testing.assert_array_equal(kept, seen & found.held[scale])


@pytest.mark.parametrize("order", range(5))
def test_the_order_of_the_dataset_does_not_change_what_is_held(river, order):
    rng = np.random.default_rng(order)
    mixed = river.isel(
        coarse=rng.permutation(river.sizes["coarse"]), fine=rng.permutation(river.sizes["fine"])
    )
    own, other = split(river, "segments:0.4"), split(mixed, "segments:0.4")
    for scale in ("coarse", "fine"):
        held = set(river[scale].values[own.held[scale]])
        assert held == set(mixed[scale].values[other.held[scale]])


def test_days_and_segments_are_both_kept(river):
    found = split(river, "2002-03-01/2002-05-31,segments:0.3")
    np.testing.assert_array_equal(found.validation, split(river, "2002-03-01/2002-05-31").validation)
    for scale in SCALES:
        expected = np.logical_or.outer(found.validation, found.held[scale])
        np.testing.assert_array_equal(found.kept.mask(scale), expected)
        learned = np.logical_and.outer(found.training, ~found.held[scale])
        np.testing.assert_array_equal(found.learned.mask(scale), learned)
    assert read_validation("days,segments") == Asked(share=0.15, segments=0.15)


def test_segments_of_an_ungauged_river_cannot_be_held_out(river):
    river["water_temperature_coarse"][:, 1:] = np.nan
    with pytest.raises(InvalidArgumentError, match="needs at least 2 segments with observations, not 1"):
        split(river, "segments", scales=["coarse"])


# ------------------------------------------------------------------ read and written


@pytest.mark.parametrize(
    "validation",
    [
        *(0.0, 1.0, 1, 0, -0.5, 2, float("nan"), float("inf"), True, False, np.True_, np.float32(1.5)),
        *("", "2002", "2002/", "/2002", "often", "2002/2003,", "2002/2003,2004", [], ["2002"], 2002),
        *([slice("2002", None), "2003/2004"], {}, {"2002/2003"}, ValueError, ("2002", "2003"), [0.1]),
        *(slice(2002, 2003), slice(2002, None), slice(None, 5.0)),
        *("segments:", "segments:2", "days,days", "days,2002/2003", "segments:x"),
    ],
    ids=repr,
)
def test_what_is_neither_a_fraction_nor_days_is_refused(validation):
    message = (
        "validation must be a fraction of the windows between 0 and 1, None, or text: date ranges such as "
        "'2011-10-01/2012-09-30' or 'days:0.15' for a fraction of the windows, 'segments' or 'segments:0.2' "
        "for whole segments, days and segments with a comma, or 'folds' or 'folds:4' for as many trainings, "
        "each without a part of the segments; got "
    )
    with pytest.raises(InvalidArgumentError, match=message):
        read_validation(write_validation(validation))


def test_following_the_advice_keeps_days_and_segments():
    with pytest.raises(InvalidArgumentError) as caught:
        read_validation("0.15,segments")
    *days, word, share, folds, four = re.findall(r"'([^']+)'", str(caught.value).partition("; got")[0])
    for one in days:
        for other in (word, share):
            asked = read_validation(f"{one},{other}")
            assert asked.segments == (0.2 if other == share else 0.15)
            assert asked.share == (0.15 if one == "days:0.15" else None)
    assert days[-1] == "days:0.15"
    assert [read_validation(text).folds for text in (folds, four)] == [5, 4]


DAYS = st.dates(dt.date(1900, 1, 1), dt.date(2100, 12, 31))
ENDS = st.none() | DAYS.map(str) | DAYS.map(lambda day: str(day)[:7]) | DAYS.map(lambda day: str(day.year))


@given(st.lists(st.tuples(ENDS, ENDS), min_size=1, max_size=4))
def test_periods_come_back_as_they_were_written(ends):
    periods = [slice(start, stop) for start, stop in ends]
    text = write_validation(periods)
    assert read_validation(text) == Asked(periods=tuple(periods))
    assert write_validation(read_validation(text).periods) == write_validation(text) == text
    assert write_validation(periods[0]) == text.split(",")[0]


@given(DAYS, st.integers(0, 86_399))
def test_moments_are_written_as_their_days(day, second):
    moment = pd.Timestamp(day) + pd.Timedelta(second, "s")
    text = f"{day}/.."
    assert write_validation(slice(moment, None)) == text
    assert write_validation(slice(moment.to_datetime64(), None)) == text
    assert write_validation(slice(moment.to_pydatetime(), None)) == text
    assert write_validation(slice(day, None)) == text


@given(st.floats(0, 1, exclude_min=True, exclude_max=True))
def test_a_fraction_is_a_plain_number(share):
    for given_as in (share, np.float64(share)):
        written = write_validation(given_as)
        assert type(written) is float
        assert written == share
        assert read_validation(written) == Asked(share=share)


def test_a_fraction_of_single_precision_and_none_are_taken():
    assert write_validation(np.float32(0.25)) == 0.25
    assert write_validation(None) is None
    assert read_validation(None) == Asked()


# ------------------------------------------------------------------------- labels


def test_values_of_labels_are_by_day_and_node_whatever_the_order(river):
    expected = river["water_temperature_fine"].transpose("time", "fine").values
    found = label_values(river.transpose("fine", "coarse", "time").astype(float), "fine")
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == np.float32
    none = label_values(river.drop_vars("water_temperature_fine"), "fine")
    assert none.shape == (800, 12)
    assert np.isnan(none).all()


def test_labels_of_some_days_are_taken_away_at_both_scales_and_nothing_else(river):
    days = np.zeros(800, bool)
    days[[3, 500]] = True
    nobody = {scale: np.zeros(river.sizes[scale], bool) for scale in SCALES}
    hidden = without_labels(river, Split(~days, days, nobody))
    for scale in SCALES:
        name = f"water_temperature_{scale}"
        expected = river[name].values.copy()
        expected[[3, 500]] = np.nan
        np.testing.assert_array_equal(hidden[name].values, expected)
        assert hidden[name].attrs == river[name].attrs
        assert hidden[name].dtype == river[name].dtype
    others = [name for name in river.variables if not str(name).startswith("water_temperature")]
    xr.testing.assert_identical(hidden[others], river[others])
    assert without_labels(river, Split(~days, np.zeros(800, bool), nobody)) is river


def test_taking_labels_away_computes_nothing(river, refuse_to_compute):
    with refuse_to_compute():
        late = np.arange(800) > 700
        nobody = {scale: np.zeros(river.sizes[scale], bool) for scale in SCALES}
        lazy = without_labels(river.chunk(time=100), Split(~late, late, nobody))
    assert lazy["water_temperature_fine"].chunks is not None
    assert int(lazy["water_temperature_fine"][701:].count()) == 0
