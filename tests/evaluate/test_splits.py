from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from xmsgl.errors import InvalidArgumentError, InvalidDatasetError
from xmsgl.evaluate.splits import (
    TEMPORAL_PROTOCOL,
    hold_out_segments,
    keep_fraction,
    mask_labels,
    split_years,
    temporal_split,
    water_year,
)

MARKER = 33.3
LABELS = ("water_temperature_coarse", "water_temperature_fine", "water_temperature_max_fine")


@pytest.fixture
def basin():
    """Ten segments in random order with three reaches each, 800 days, labels at both scales."""
    rng = np.random.default_rng(0)
    coarse = rng.permutation(10) + 1
    segment = rng.permutation(np.repeat(coarse, 3))
    fine = rng.permutation(30) + 1000
    days = pd.date_range("2000-01-01", periods=800)
    ds = xr.Dataset({"coarse_segment": ("fine", segment)}, {"time": days, "coarse": coarse, "fine": fine})
    for name in LABELS:
        scale = name.rsplit("_", 1)[1]
        values = rng.normal(10, 3, (800, ds.sizes[scale]))
        values[rng.random(values.shape) < 0.6] = np.nan
        ds[name] = (("time", scale), values, {"units": "degC", "long_name": name})
    ds["true_temperature_fine"] = ds["water_temperature_fine"].fillna(0)
    return ds


def test_water_year_of_every_day_by_a_loop():
    days = pd.date_range("1999-01-01", "2001-12-31")
    expected = [day.year + 1 if day.month in (10, 11, 12) else day.year for day in days]
    assert water_year(days).values.tolist() == expected
    assert water_year(xr.DataArray(days, dims="time", coords={"time": days})).dims == ("time",)


def test_water_year_of_datasets_of_both_forms(basin):
    given = basin.drop_vars("water_temperature_max_fine").sortby(["coarse", "fine"])
    tree = xr.DataTree.from_dict({"/coarse": given.drop_dims("fine"), "/fine": given.drop_dims("coarse")})
    xr.testing.assert_equal(water_year(tree), water_year(basin))


@pytest.mark.parametrize(
    ("time", "message"),
    [
        ([2001, 2002], "time must be a day such as .* not 2001"),
        (["2001"], "2001-01-01 to 2001-12-31 is given as one"),
        ("01/06/2003", "may be confused"),
        (pd.date_range("2001-10-01", periods=2, tz="Europe/Berlin"), "has a time zone"),
        ([pd.NaT], "must be a day"),
        (xr.DataArray([1], coords={"time": [2001]}), "has dtype int64; give dates"),
    ],
    ids=["numbers", "year", "month-first", "zone", "missing", "coordinate"],
)
def test_water_year_of_no_days_is_refused(time, message):
    with pytest.raises(InvalidArgumentError, match=message):
        water_year(time)


def test_the_protocol_is_that_of_the_benchmark():
    days = pd.date_range("1979-10-01", "2021-09-30")
    parts = split_years(days)
    assert bool((parts.train.astype(int) + parts.validation + parts.test == 1).all())
    assert bool(parts.test.sel(time="1979-10-01"))
    assert bool(parts.train.sel(time="1984-10-01"))
    assert bool(parts.validation.sel(time="2006-06-01"))
    assert not bool(parts.validation.sel(time="2010-10-01"))
    assert bool(parts.test.sel(time="2020-10-01"))
    assert set(TEMPORAL_PROTOCOL) == {"train", "validation", "test"}
    years = {
        part: [y for first, last in spans for y in range(first, last + 1)]
        for part, spans in TEMPORAL_PROTOCOL.items()
    }
    assert sorted(year for part in years.values() for year in part) == list(range(1980, 2022))
    assert [len(years[part]) for part in ("train", "validation", "test")] == [26, 5, 11]


@pytest.mark.parametrize(
    ("years", "message"),
    [
        pytest.param(
            {"train": [2000], "test": [(1999, 2001)], "validation": []}, "2000 is both in train", id="overlap"
        ),
        pytest.param({"train": [(2005, 2001)]}, "run backwards", id="backwards"),
    ],
)
def test_invalid_years_are_refused(years, message):
    with pytest.raises(InvalidArgumentError, match=message):
        split_years(pd.date_range("2000-01-01", periods=3), **years)


def test_parts_share_drivers_and_no_label(basin):
    parts = temporal_split(basin, train=[2000, 2001], validation=[], test=[2002])
    for name in LABELS:
        train, test = parts["train"][name], parts["test"][name]
        assert not bool((train.notnull() & test.notnull()).any())
        xr.testing.assert_identical(train.fillna(test), basin[name])
        assert not parts["validation"][name].notnull().any()
    xr.testing.assert_identical(parts["test"].true_temperature_fine, basin.true_temperature_fine)


def test_segments_are_held_out_at_both_scales(basin):
    coarse, fine = hold_out_segments(basin, fraction=0.3, seed=4)
    held = set(basin.coarse.values[coarse.values].tolist())
    drawn = np.random.RandomState(4).choice(10, 3, replace=False)
    assert held == {int(np.sort(basin.coarse.values)[place]) for place in drawn}
    for reach in basin.fine.values:
        on = int(basin.coarse_segment.sel(fine=reach)) in held
        assert bool(fine.sel(fine=reach)) == on


def test_a_fraction_of_segments_is_rounded(basin):
    counts = [int(hold_out_segments(basin, fraction)[0].sum()) for fraction in (0, 0.01, 0.14, 0.16, 0.37, 1)]
    assert counts == [0, 1, 1, 2, 4, 10]


def test_the_draw_does_not_depend_on_the_order_of_the_file(basin):
    coarse, fine = hold_out_segments(basin, seed=1)
    turned = hold_out_segments(basin.isel(coarse=slice(None, None, -1), fine=slice(None, None, -1)), seed=1)
    assert bool((coarse == turned[0]).all())
    assert bool((fine == turned[1]).all())
    assert not bool((coarse == hold_out_segments(basin, seed=2)[0]).all())


def test_only_candidates_are_drawn(basin):
    coarse, _ = hold_out_segments(basin, fraction=1, candidates=[3, 7])
    assert sorted(basin.coarse.values[coarse.values]) == [3, 7]
    with pytest.raises(InvalidArgumentError, match="77"):
        hold_out_segments(basin, candidates=[3, 77])


@pytest.mark.parametrize(("fraction", "count"), [(0, 0), (0.01, 1), (0.29, 5), (1, 20)])
def test_names_are_drawn_and_their_segments_held_out_as_a_whole(basin, fraction, count):
    """Twenty names, two on each segment, on one and two of its reaches."""
    seen, names = set(), []
    for segment in basin.coarse_segment.values.tolist():
        names.append(f"{segment}_{1 + (segment in seen)}")
        seen.add(segment)
    ds = basin.assign(half_fine=("fine", names))
    coarse, fine = hold_out_segments(ds, fraction, seed=2, by="half_fine")
    pool = sorted(set(names), key=lambda name: name.split("_"))
    assert pool[:4] == ["1_1", "1_2", "10_1", "10_2"] != sorted(names)[:4]
    drawn = [pool[place] for place in np.random.RandomState(2).choice(20, count, replace=False)]
    held = {int(name.split("_")[0]) for name in drawn}
    assert set(basin.coarse.values[coarse.values].tolist()) == held
    for reach, segment in zip(basin.fine.values, basin.coarse_segment.values, strict=True):
        assert bool(fine.sel(fine=reach)) == (int(segment) in held)


def test_numbers_are_drawn_in_their_order(basin):
    ds = basin.assign(unit_fine=("fine", np.where(basin.coarse_segment.values < 6, 9, 10)))
    coarse, _ = hold_out_segments(ds, 0.5, seed=0, by="unit_fine")
    unit = [9, 10][np.random.RandomState(0).choice(2, 1, replace=False)[0]]
    assert sorted(basin.coarse.values[coarse.values]) == ([1, 2, 3, 4, 5] if unit == 9 else [6, 7, 8, 9, 10])
    coarse, _ = hold_out_segments(ds, 1, by="unit_fine", candidates=[10])
    assert sorted(basin.coarse.values[coarse.values]) == [6, 7, 8, 9, 10]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param({"by": "half_fine"}, "by is 'half_fine'", id="absent"),
        pytest.param({"by": "coarse"}, "variable of the dataset over 'fine'", id="over segments"),
        pytest.param(
            {"by": "coarse_segment", "candidates": [3, 77]}, "values of 'coarse_segment'", id="stranger"
        ),
        pytest.param({"candidates": []}, "no candidates to draw from", id="none"),
    ],
)
def test_invalid_candidates_are_refused(basin, options, message):
    with pytest.raises(InvalidArgumentError, match=message):
        hold_out_segments(basin, **options)


@pytest.mark.parametrize("fraction", [0, 0.001, 0.01, 0.1, 0.5, 1], ids="keep-{}".format)
def test_the_count_kept_is_exact(basin, fraction):
    labels = basin.water_temperature_fine
    kept = keep_fraction(labels, fraction, seed=3)
    assert int(kept.count()) == round(fraction * int(labels.count()))
    assert bool(((kept == labels) | kept.isnull()).all())
    assert kept.attrs == labels.attrs


@given(st.integers(1, 40), st.integers(1, 8), st.integers(0, 50))
@settings(max_examples=15, deadline=None)
def test_the_labels_kept_do_not_depend_on_chunks_or_order(rows, columns, seed):
    rng = np.random.default_rng(seed)
    coords = {"time": pd.date_range("2000-01-01", periods=40), "fine": rng.permutation(8)}
    labels = xr.DataArray(np.where(rng.random((40, 8)) < 0.4, 1.0, np.nan), coords, ("time", "fine"))
    kept = keep_fraction(labels, 0.2, seed=seed)
    lazy = keep_fraction(labels.chunk(time=rows, fine=columns), 0.2, seed=seed)
    assert lazy.chunks is not None
    xr.testing.assert_identical(lazy.compute(), kept)
    turned = keep_fraction(labels.isel(fine=slice(None, None, -1)).transpose(), 0.2, seed=seed)
    xr.testing.assert_identical(turned.transpose().isel(fine=slice(None, None, -1)), kept)


def test_other_days_are_not_thinned(basin):
    labels = basin.water_temperature_fine
    train = split_years(basin, train=[2000, 2001], validation=[], test=[2002]).train
    kept = keep_fraction(labels, 0.01, seed=0, days=train)
    xr.testing.assert_identical(kept.where(~train), labels.where(~train))
    assert int(kept.where(train).count()) == round(0.01 * int(labels.where(train).count()))


def test_no_planted_marker_survives_at_either_scale(basin):
    """Every label to hide gets a unique value; none may remain."""
    days = pd.date_range("2000-05-01", "2000-07-15")
    coarse, _ = hold_out_segments(basin, fraction=0.3, seed=0)
    held = basin.coarse.values[coarse.values]
    planted, count = basin.copy(deep=True), 0
    for name in LABELS:
        values = planted[name].values
        for column, label in enumerate(basin[name][basin[name].dims[1]].values):
            segment = label if "coarse" in name else int(basin.coarse_segment.sel(fine=label))
            rows = np.isin(basin.time.values, days) | (segment in held)
            values[rows, column] = MARKER
            count += int(rows.sum())
    hidden = mask_labels(planted, days=days, segments=coarse)
    assert sum(int((planted[name] == MARKER).sum()) for name in LABELS) == count
    for name in LABELS:
        assert not bool((hidden[name] == MARKER).any())
        xr.testing.assert_identical(hidden[name], basin[name].where(planted[name] != MARKER))


@pytest.mark.parametrize(
    "form",
    [lambda mask: mask, lambda mask: mask[::-1], lambda mask: mask.coarse.values[mask.values]],
    ids=["mask", "mask-in-other-order", "ids"],
)
def test_segments_may_be_given_as_masks_or_ids(basin, form):
    coarse, _ = hold_out_segments(basin, fraction=0.3, seed=0)
    xr.testing.assert_identical(
        mask_labels(basin, segments=form(coarse)), mask_labels(basin, segments=coarse)
    )


@pytest.mark.parametrize(
    "days",
    [
        "2000-05",
        ["2000-05"],
        np.datetime64("2000-05"),
        pd.period_range("2000-05", periods=1, freq="M"),
        pd.date_range("2000-05-01", "2000-05-31")[::-1],
        ["2000-05", "2000-05-03"],
    ],
    ids=["text", "list", "numpy", "periods", "backwards", "twice"],
)
def test_a_month_hides_all_of_its_days(basin, days):
    mixed = basin.isel(time=np.random.default_rng(0).permutation(basin.sizes["time"]))
    hidden = mask_labels(mixed, days=days)
    inside = (mixed.time.dt.year == 2000) & (mixed.time.dt.month == 5)
    for name in LABELS:
        xr.testing.assert_identical(hidden[name], mixed[name].where(~inside))


def test_a_year_hides_the_days_that_the_dataset_has_of_it(basin):
    hidden = mask_labels(basin, days=["2000"]).water_temperature_fine
    xr.testing.assert_identical(hidden, basin.water_temperature_fine.where(basin.time.dt.year != 2000))


@pytest.mark.parametrize(
    ("days", "message"),
    [
        (pd.date_range("2000-05-01", periods=3, tz="UTC"), "days .* has a time zone"),
        (["2000-05-01T06:00"], "has a time of day"),
        (["05/06/2000"], "may be confused"),
        ([20000501], "must be a day"),
        ("1990-01", "not in the dataset: 1990-01-01"),
    ],
    ids=["zone", "hour", "month-first", "number", "unknown-month"],
)
def test_days_that_may_be_misread_are_refused(basin, days, message):
    with pytest.raises(InvalidArgumentError, match=message):
        mask_labels(basin, days=days)


@pytest.mark.parametrize(
    "mask", [[True] * 10, np.array([True, False] * 5), [True, 3]], ids=["all", "some", "mix"]
)
def test_masks_without_labels_are_no_ids(basin, mask):
    with pytest.raises(InvalidArgumentError, match="segments has True or False without labels"):
        mask_labels(basin, segments=mask)
    with pytest.raises(InvalidArgumentError, match="days has True or False without labels"):
        mask_labels(basin, days=mask)
    with pytest.raises(InvalidArgumentError, match=r"candidates has True or False .*; give ids: ds"):
        hold_out_segments(basin, candidates=list(mask))
    labelled = xr.DataArray([True] * 10, {"coarse": basin["coarse"]})
    assert mask_labels(basin, segments=labelled).water_temperature_fine.isnull().all()


def test_text_is_no_id_where_ids_are_numbers(basin):
    with pytest.raises(InvalidArgumentError, match="not in the dataset: 3; the former are text, the latter"):
        mask_labels(basin, segments=["3"])
    with pytest.raises(InvalidArgumentError, match="of the dataset: 3; the former are text, the latter"):
        hold_out_segments(basin, candidates=["3"])


@pytest.mark.parametrize(
    ("one", "absent"),
    [("a", None), ("a", np.nan), ("a", pd.NA), ("a", ""), (1.0, np.nan)],
    ids=["none", "nan", "na", "empty", "float"],
)
def test_reaches_without_a_group_are_named_or_not_drawn(basin, one, absent):
    kind = float if one == 1.0 else object
    ds = basin.assign(sub=("fine", np.array([one] * 27 + [absent] * 3, dtype=kind)))
    lost = ", ".join(map(str, ds.fine.values[-3:]))
    with pytest.raises(InvalidArgumentError, match=f"'sub' has no value at 3 of 30 reaches: {lost}; give"):
        hold_out_segments(ds, 1.0, by="sub")
    coarse, _ = hold_out_segments(ds, 1.0, by="sub", candidates=[one])
    assert set(ds.coarse.values[coarse]) == set(ds.coarse_segment.values[:27])


def test_the_input_is_not_changed_and_lazy_stays_lazy(basin):
    before = basin.copy(deep=True)
    lazy = mask_labels(basin.chunk(time=100), days=["2000-05-01"], segments=[3])
    xr.testing.assert_identical(basin, before)
    assert all(lazy[name].chunks is not None for name in LABELS)
    xr.testing.assert_identical(lazy.compute(), mask_labels(basin, days=["2000-05-01"], segments=[3]))
    assert lazy.water_temperature_fine.attrs == basin.water_temperature_fine.attrs


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        pytest.param(
            lambda ds: mask_labels(ds, days=["1990-01-01"]), InvalidArgumentError, "1990-01-01", id="day"
        ),
        pytest.param(lambda ds: mask_labels(ds, segments=[3, 99]), InvalidArgumentError, "99", id="segment"),
        pytest.param(
            lambda ds: mask_labels(ds, days=split_years(ds.isel(time=slice(9)), train=[2000]).train),
            InvalidArgumentError,
            "has no value for 2000-01-10",
            id="short-mask",
        ),
        pytest.param(
            lambda ds: mask_labels(ds.drop_vars("coarse_segment"), segments=[3]),
            InvalidDatasetError,
            "coarse_segment missing",
            id="no-crosswalk",
        ),
        pytest.param(
            lambda ds: mask_labels(ds.drop_vars(LABELS), segments=[3]),
            InvalidDatasetError,
            "no labels",
            id="none",
        ),
        pytest.param(
            lambda ds: hold_out_segments(ds, 1.2), InvalidArgumentError, "fraction is 1.2", id="fraction"
        ),
        pytest.param(
            lambda ds: keep_fraction(ds.water_temperature_fine.drop_vars("fine"), 0.5),
            InvalidArgumentError,
            "labels along fine are missing or repeated",
            id="no-ids",
        ),
        pytest.param(
            lambda ds: keep_fraction(ds.water_temperature_fine[[0, 0, 1]], 0.5),
            InvalidArgumentError,
            "labels along time are missing or repeated",
            id="twice",
        ),
        pytest.param(
            lambda ds: mask_labels(ds, days=ds), InvalidArgumentError, "must be a day", id="dataset"
        ),
        pytest.param(
            lambda ds: keep_fraction(ds.water_temperature_fine, -0.1, 0),
            InvalidArgumentError,
            "fraction is -0.1",
            id="keep",
        ),
    ],
)
def test_faults_are_named(basin, call, error, message):
    with pytest.raises(error, match=message):
        call(basin)


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_seeds_that_numpy_cannot_take_are_refused(basin, seed):
    with pytest.raises(InvalidArgumentError, match=f"seed is {seed}; it must be at least 0 and below"):
        hold_out_segments(basin, seed=seed)
