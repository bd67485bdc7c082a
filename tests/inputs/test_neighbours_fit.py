"""Anomalies of observed segments from a dataset's labels, against a regression by another route."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from xmsgl.errors import InvalidArgumentError
from xmsgl.inputs.neighbours_fit import fit_neighbours

LENGTHS = (5e3, 2e4)


def regressed(ds):
    """Observed minus regressed, (time, coarse), by pandas and a least-squares solver on stacked rows."""
    angle = 2 * np.pi * ds.time.dt.dayofyear.values / 365.25
    rows, labels, where = [], [], []
    for k in range(ds.sizes["coarse"]):
        at = ds.isel(coarse=k)
        columns = [np.cos(angle), np.sin(angle)]
        for driver, windows in (
            ("air_temperature", (1, 3, 7, 30, 90)),
            ("precipitation", (1, 7, 30)),
            ("solar_radiation", (1, 7, 30)),
        ):
            series = pd.Series(at[f"{driver}_coarse"].values.astype(float))
            columns += [series.rolling(days, min_periods=1).mean() for days in windows]
        for static in ("elevation", "drainage_area", "slope"):
            columns.append(np.full(ds.sizes["time"], float(at[f"{static}_coarse"])))
        seen = np.isfinite(at.water_temperature_coarse.values)
        rows.append(np.column_stack(columns)[seen])
        labels.append(at.water_temperature_coarse.values[seen].astype(float))
        where.append((seen, k))
    x, y = np.concatenate(rows), np.concatenate(labels)
    scaled = (x - x.mean(0)) / x.std(0)
    # A ridge is one more row a column: of 1, for attributes of as much as three segments' labels.
    strength = np.append(np.ones(x.shape[1] - 3), np.full(3, 3 * len(y) / sum(map(bool, map(len, labels)))))
    ridge = np.vstack([scaled, np.diag(np.sqrt(strength))])
    slopes = np.linalg.lstsq(ridge, np.concatenate([y - y.mean(), np.zeros(x.shape[1])]), rcond=None)[0]
    rest = np.split(y - y.mean() - scaled @ slopes, np.cumsum([len(part) for part in labels])[:-1])
    out = np.full((ds.sizes["time"], ds.sizes["coarse"]), np.nan)
    for part, (seen, k) in zip(rest, where, strict=True):
        out[seen, k] = part
    return out


def shrunk(rest, season):
    """Mean of a season, as if 20 days more had the mean of the year."""
    year = np.nanmean(rest)
    values = rest[season & np.isfinite(rest)]
    return (values.sum() + 20 * year) / (values.size + 20)


@pytest.mark.parametrize("south", [False, True], ids=["north", "south"])
def test_anomalies_are_observed_minus_regressed(river, south):
    if south:  # the same weather half a year later
        river = river.assign_coords(time=river.time + np.timedelta64(182, "D"))
    river["water_temperature_coarse"][:, 3] = np.nan
    known = fit_neighbours(river, LENGTHS)
    rest = regressed(river)
    observed = [0, 1, 2, 4]
    warm = np.isin(river.time.dt.month, [11, 12, 1, 2, 3] if south else [5, 6, 7, 8, 9])
    assert known.lengths == LENGTHS
    assert known.segments == (101, 102, 103, 105)
    assert known.days == tuple(np.isfinite(rest).sum(0)[observed])
    np.testing.assert_allclose(known.mean, np.nanmean(rest[:, observed], 0), atol=1e-6)
    np.testing.assert_allclose(known.warm, [shrunk(rest[:, k], warm) for k in observed], atol=1e-6)
    np.testing.assert_allclose(known.cold, [shrunk(rest[:, k], ~warm) for k in observed], atol=1e-6)
    assert np.ptp(known.mean) > 0.1


def test_a_colder_brook_is_found(two_rivers):
    """2 degC colder from June to August, at one segment of ten: the warm season says so, there."""
    before = fit_neighbours(two_rivers, LENGTHS)
    label = two_rivers.water_temperature_coarse
    spring = (two_rivers.coarse == 1102) & two_rivers.time.dt.month.isin([6, 7, 8])
    cold = two_rivers.assign(water_temperature_coarse=label - 2 * spring)
    after = fit_neighbours(cold, LENGTHS)
    change = dict(zip(after.segments, np.subtract(after.warm, before.warm), strict=True))
    assert min(change, key=change.get) == 1102
    assert change.pop(1102) < -0.5
    assert max(map(abs, change.values())) < 0.5


def test_masked_labels_do_not_matter(river):
    """Whatever stood where there is NaN, also among the drivers' days."""
    label = river.water_temperature_coarse
    hidden = river.time.dt.year == 2002
    masked = river.assign(water_temperature_coarse=label.where(~hidden))
    planted = river.assign(water_temperature_coarse=label.where(~hidden, 40.0).where(~hidden))
    assert fit_neighbours(planted, LENGTHS) == fit_neighbours(masked, LENGTHS)
    assert fit_neighbours(masked, LENGTHS) != fit_neighbours(river, LENGTHS)


def test_order_and_chunks_do_not_matter(river):
    shuffled = river.isel(coarse=[2, 0, 4, 1, 3]).chunk(time=250)
    assert fit_neighbours(shuffled, LENGTHS) == fit_neighbours(river, LENGTHS)


def test_fine_labels_are_not_needed(river):
    alone = river.drop_vars("water_temperature_fine")
    assert fit_neighbours(alone, LENGTHS) == fit_neighbours(river, LENGTHS)


@pytest.mark.parametrize("gone", ["missing", "masked"])
def test_without_coarse_labels_it_says_so(river, gone):
    label = river.water_temperature_coarse
    ds = river.drop_vars(label.name) if gone == "missing" else river.assign({label.name: label * np.nan})
    with pytest.raises(InvalidArgumentError, match="labels of segments, water_temperature_coarse"):
        fit_neighbours(ds, LENGTHS)


def test_without_a_length_it_says_so(river):
    with pytest.raises(InvalidArgumentError, match="need a length along the river"):
        fit_neighbours(river, ())
