"""Trainings that each leave out a fold of the segments: what each learns from, their mean, its errors."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from tests.small import FEATURES, same
from xmsgl.errors import InvalidArgumentError
from xmsgl.inputs.validation import left_out_days
from xmsgl.models.file.intervals import fit_table
from xmsgl.models.file.model import load_model
from xmsgl.prediction.downscale import downscale, held_out_shares
from xmsgl.reconstruct import fit
from xmsgl.reconstruct.fit import fit_covariance
from xmsgl.training.settings import TrainSettings
from xmsgl.training.train import train

pytestmark = pytest.mark.usefixtures("small_fits")

TREES = {"iterations": 15, "keep": "last", "progress": False}
NETWORK = {
    "method": "remap",
    "hidden": 8,
    "warmup": 5,
    "epochs": 4,
    "keep": "last",
    "features": FEATURES,
}


@pytest.fixture(scope="module")
def folded(river_once, small_fits):
    return train(river_once, "trees", validation="folds:3", **TREES)


def gauged(ds):
    seen = ds.water_temperature_coarse.notnull().any("time")
    fine = ds.coarse_segment.values[ds.water_temperature_fine.notnull().any("time").values]
    return set(ds.coarse.values[seen.values].tolist()) | set(fine.tolist())


def test_each_segment_is_left_out_once(river, folded):
    held = [part.spec.held for part in folded.parts]
    assert folded.folds == len(held) == 3
    assert sorted(segment for some in held for segment in some) == sorted(gauged(river))
    assert folded.shares == pytest.approx((1 / 3,) * 3)
    assert "3, each trained without a part of the segments" in repr(folded)


def test_a_fold_learns_nothing_from_its_segments(river, folded):
    for k, part in enumerate(folded.parts):
        spoiled = river.copy()
        for scale, own in (("coarse", river.coarse), ("fine", river.coarse_segment)):
            left_out = xr.DataArray(np.isin(own.values, part.spec.held), dims=scale)
            label = f"water_temperature_{scale}"
            spoiled[label] = river[label] + 5 * left_out
        again = train(spoiled, "trees", validation="folds:3", **TREES)
        equal = [same(one, other) for one, other in zip(again.parts, folded.parts, strict=True)]
        assert equal == [number == k for number in range(3)]


def test_a_fold_learns_nothing_from_its_years(river_of):
    river = river_of(2300)  # to January 2008
    years = river.time.dt.year
    model = train(river, "trees", validation="folds:2", **TREES)
    for year, left_out in ((2002, []), (2004, [0])):
        spoiled = river.copy()
        for scale in ("coarse", "fine"):
            label = f"water_temperature_{scale}"
            spoiled[label] = river[label] + 5 * (years == year)
        again = train(spoiled, "trees", validation="folds:2", **TREES)
        equal = [same(one, other) for one, other in zip(again.parts, model.parts, strict=True)]
        assert equal == [fold in left_out for fold in range(2)]


def test_errors_at_gauges_are_of_years_that_a_fold_left_out(river_of, monkeypatch):
    seen = {}

    def keep(errors, river, kind="ungauged", seed=0, companions=None):
        seen[kind] = errors
        return fit_covariance(errors, river, kind, seed, companions)

    monkeypatch.setattr(fit, "fit_covariance", keep)
    river = river_of(2300)
    model = train(river, "trees", validation="folds:2", **TREES)
    observed = river.water_temperature_fine.transpose("time", "fine")
    each = [downscale(river, part) for part in model.parts]
    years = river.time.dt.year.values
    for reach in np.flatnonzero(np.isfinite(observed).any("time")):
        segment = river.coarse_segment.values[reach]
        (own,) = (fold for fold, part in enumerate(model.parts) if segment in part.spec.held)
        (column,) = np.flatnonzero(seen["gauged"].reach == reach)
        for year in (2001, 2002, 2004):
            fold = {2001: 1, 2004: 0, 2007: 1}.get(year)
            days = np.flatnonzero((years == year) & np.isfinite(observed[:, reach]))
            error = seen["gauged"].values[days, column]
            if fold in (None, own):  # no training left out the year, or saw neither gauge nor year
                assert np.isnan(error).all()
            else:
                np.testing.assert_allclose(error, (observed - each[fold]).values[days, reach], atol=1e-4)


def test_a_third_of_the_years_of_a_long_record_is_left_out():
    time = pd.date_range("1984-10-01", "2020-09-30")
    left_out = left_out_days(time, 5)
    years = [set(time.year[days].tolist()) for days in left_out]
    assert sorted(map(len, years)) == [2, 2, 2, 3, 3]
    assert len(set.union(*years)) == 12  # of 37
    for days, own in zip(left_out, years, strict=True):
        np.testing.assert_array_equal(days, time.year.isin(own))


def test_of_a_short_record_parts_are_left_out():
    time = pd.date_range("2001-01-01", periods=6 * 365)
    for days, year in zip(left_out_days(time, 2), (2004, 2001), strict=True):  # 0 and 3 modulo 6
        assert set(time.year[days]) == {year}
    for n, length in ((6 * 365 - 1, 365), (800, 133), (180, 30)):
        left_out = left_out_days(time[:n], 2)
        starts = [np.flatnonzero(np.diff(days.astype(int), prepend=0) == 1).tolist() for days in left_out]
        assert starts == [[0], [-(-3 * n // 6)]]
        np.testing.assert_allclose(left_out.sum(axis=1), length, atol=1)
    assert not left_out_days(time[:179], 2).any()


def test_prediction_is_the_mean_of_the_folds(river, folded):
    each = [downscale(river, part).values for part in folded.parts]
    together = downscale(river, folded)
    np.testing.assert_allclose(together, np.mean(each, axis=0), atol=1e-5)
    xr.testing.assert_equal(downscale(river.chunk(time=90), folded).compute(), together)


def test_intervals_are_of_residuals_of_the_fold_that_left_a_segment_out(river, folded):
    observed = river.water_temperature_fine.transpose("time", "fine").values
    pairs = []
    for part in folded.parts:
        left_out = np.isin(river.coarse_segment.values, part.spec.held)
        predicted = downscale(river, part).values
        day, reach = np.nonzero(np.isfinite(observed) & left_out)
        pairs.append((predicted[day, reach], observed[day, reach], river.coarse_segment.values[reach]))
    table = fit_table(
        *(np.concatenate(some) for some in list(zip(*pairs, strict=True))[:2]),
        "fine",
        np.concatenate([segment for _, _, segment in pairs]),
    )
    assert folded.spec.intervals.segments == table.segments
    np.testing.assert_allclose(folded.spec.intervals.residuals, table.residuals, atol=1e-4)


def test_shares_where_a_segment_was_left_out(river, folded):
    shares = held_out_shares(folded, river)
    for reach, segment in enumerate(river.coarse_segment.values.tolist()):
        own = [segment in part.spec.held for part in folded.parts]
        expected = np.array(own, float) if any(own) else np.full(3, 1 / 3)
        np.testing.assert_allclose(shares[:, reach], expected)


def test_shares_in_another_basin(river, folded):
    other = river.assign_coords(coarse=river.coarse + 1000)
    names = ("coarse_segment", "downstream_coarse")
    other = other.assign({name: xr.where(river[name] == 0, 0, river[name] + 1000) for name in names})
    np.testing.assert_allclose(held_out_shares(folded, other), 1 / 3)


def test_a_stack_in_folds(river, tmp_path):
    parts = [NETWORK, {"method": "trees", "iterations": 10}]
    model = train(river, "stack", parts=parts, window=60, validation="folds:2", device="cpu", progress=False)
    assert [part.method for part in model.parts] == ["remap", "trees"] * 2
    assert model.folds == 2
    assert model.shares[:2] == model.shares[2:]
    assert sum(model.shares) == pytest.approx(1)
    back = load_model(model.save(tmp_path / "model.safetensors"))
    assert back.folds == 2
    assert [part.spec.held for part in back.parts] == [part.spec.held for part in model.parts]


@pytest.mark.parametrize("text", ["folds:1", "folds:x", "folds,days", "folds:"])
def test_wrong_folds_are_refused(text):
    with pytest.raises(InvalidArgumentError, match="'folds' or 'folds:4' for as many trainings"):
        TrainSettings.of(validation=text)


def test_folds_need_no_second_training():
    with pytest.raises(InvalidArgumentError, match="leave refit out"):
        TrainSettings.of(validation="folds", refit=True)
