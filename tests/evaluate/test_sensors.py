"""Sensors compared with all others: against dense linear algebra, and with planted faults."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import xmsgl
from tests.reconstruct.test_given import COVARIANCE, T, dense, make_river
from xmsgl.errors import InvalidArgumentError, InvalidDatasetError, UncalibratedModelError
from xmsgl.evaluate import check_sensors, mask_labels
from xmsgl.evaluate.sensors import _scores
from xmsgl.models.file.model import Model
from xmsgl.reconstruct.given import Errors

LABELS = ("water_temperature_fine", "water_temperature_coarse")


@pytest.mark.parametrize("seed", range(3))
def test_a_score_is_that_of_dense_algebra_without_the_own_segment(seed):
    river = make_river(20, seed, coordinates=True)
    rng = np.random.default_rng(seed)
    reaches = np.array([0, 1, 4, 8, 10, 15, 19])  # the first two on one segment
    values = np.full((T + 1, 7), np.nan, np.float32)
    values[20] = rng.normal(0, 2, 7)
    values[[19, 23], 4] = rng.normal(0, 2, 2)
    found = _scores(Errors(values, reaches), river, COVARIANCE)
    assert found["days"].tolist() == [1, 1, 1, 1, 3, 1, 1]
    once = np.where(np.arange(T + 1)[:, None] == 20, values, np.nan)
    for k in (0, 1):
        mean, variance = dense(river, Errors(values[:, 2:], reaches[2:]), reaches[k], 20, COVARIANCE)
        row = found.loc[reaches[k]]
        assert row["difference"] == pytest.approx(values[20, k] - mean, abs=1e-3)
        assert row["shift"] == pytest.approx((values[20, k] - mean) / np.sqrt(variance), abs=1e-3)
        assert row["spread"] == 0
    k, days = 4, (19, 20, 23)
    others = Errors(np.delete(once, k, axis=1), np.delete(reaches, k))
    each = [dense(river, others, reaches[k], day, COVARIANCE) for day in days]
    standard = [(values[day, k] - m) / np.sqrt(v) for day, (m, v) in zip(days, each, strict=True)]
    row = found.loc[reaches[k]]
    assert row["shift"] == pytest.approx(np.median(standard), abs=1e-3)
    assert row["spread"] == pytest.approx(
        1.4826 * np.median(np.abs(standard - np.median(standard))), abs=1e-3
    )


@pytest.fixture(scope="module")
def basin(small_fits):
    ds = xmsgl.datasets.simulated(n_coarse=8, years=2, label_fraction=1.0, seed=3)
    return ds, ds.msgl.train("trees", validation="folds:4", iterations=30, progress=False)


def faulty(ds, segment, change):
    """Change the observations of a segment, at both scales."""
    own = {"fine": ds["coarse_segment"].values == segment, "coarse": ds.coarse.values == segment}
    changed = {}
    for name in LABELS:
        values = ds[name].values.copy()
        where = own[name.rsplit("_", 1)[1]]
        values[:, where] += change[:, None]
        changed[name] = (ds[name].dims, values)
    return ds.assign(changed)


def test_good_sensors_are_not_suspect(basin):
    ds, model = basin
    found = check_sensors(ds, model)
    assert not found.suspect.any()
    assert set(found.sensor.values) <= set(ds.fine.values)
    seen = ds[LABELS[0]].notnull().sum("time")
    assert found.days.sum() == seen.sum()


@pytest.mark.parametrize("fault", ["shifted", "in air"])
def test_a_faulty_sensor_comes_first(basin, fault):
    ds, model = basin
    days = np.arange(ds.sizes["time"])
    change = (
        np.full(days.size, 12.0) if fault == "shifted" else np.random.default_rng(0).normal(0, 12, days.size)
    )
    segment = ds.coarse.values[3]
    found = check_sensors(faulty(ds, segment, change.astype(np.float32)), model)
    first = found.isel(sensor=0)
    assert ds["coarse_segment"].sel(fine=first.sensor.item()).item() == segment
    assert first.suspect
    on_others = ds["coarse_segment"].sel(fine=found.sensor.values).values != segment
    assert not found.suspect.values[on_others].any()
    assert (first["shift"] > 3) if fault == "shifted" else (first["spread"] > 3)


def test_what_it_refuses(basin):
    ds, model = basin
    with pytest.raises(InvalidArgumentError, match="threshold"):
        check_sensors(ds, model, threshold=-1)
    with pytest.raises(InvalidArgumentError, match="no sensor"):
        check_sensors(mask_labels(ds, segments=ds.coarse.values), model)
    fine = "water_temperature_fine"
    for wrong in (ds[fine].where(ds.time != ds.time[0], -9999), (ds[fine] + 273.15).drop_attrs()):
        with pytest.raises(InvalidDatasetError, match="which water cannot have"):
            check_sensors(ds.assign({fine: wrong}), model)
    plain = Model(replace(model.spec, errors={}), model.weights, model.history)
    with pytest.raises(UncalibratedModelError, match="folds"):
        check_sensors(ds, plain)


def test_the_order_of_days_does_not_matter(river_once, small_fits):
    model = river_once.msgl.train("trees", validation="folds:3", iterations=10, progress=False)
    order = np.random.default_rng(0).permutation(river_once.sizes["time"])
    expected = check_sensors(river_once, model)
    found = check_sensors(river_once.isel(time=order), model)
    np.testing.assert_allclose(found.difference.sel(sensor=expected.sensor), expected.difference, atol=1e-4)
