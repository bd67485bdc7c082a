"""Reconstruction on the small river: what is used, what is not, lazily, and what it says."""

from __future__ import annotations

import dask
import numpy as np
import pytest
import xarray as xr

import xmsgl
from xmsgl.errors import InvalidArgumentError, InvalidDatasetError, UncalibratedModelError, UnknownNameError
from xmsgl.models.file import packaged
from xmsgl.models.file.model import load_model
from xmsgl.prediction.downscale import downscale
from xmsgl.reconstruct import reconstruct
from xmsgl.reconstruct.given import LIMIT
from xmsgl.training.train import train

FINE, COARSE = "water_temperature_fine", "water_temperature_coarse"


@pytest.fixture(scope="module")
def model(river_once, small_fits):
    return train(river_once, "trees", validation="folds:3", iterations=15, progress=False)


def only_days(ds, chosen):
    """Keep the observations of some days."""
    return ds.assign({name: ds[name].where(chosen) for name in (FINE, COARSE)})


def test_it_is_near_the_sensors(river, model):
    seen = river[FINE].notnull()
    before = abs(downscale(river, model) - river[FINE]).where(seen).mean()
    after = abs(reconstruct(river, model) - river[FINE]).where(seen).mean()
    assert float(after) < 0.5 * float(before)


def test_without_observations_it_is_the_model(river, model, caplog):
    alone = downscale(river, model)
    found = reconstruct(only_days(river, xr.zeros_like(river.time, dtype=bool)), model)
    xr.testing.assert_equal(found, alone)
    assert "no sensor reports" in caplog.text


def test_quantiles_far_from_all_observations_are_those_of_the_model(river, model):
    none = only_days(river, xr.zeros_like(river.time, dtype=bool))
    found = reconstruct(none, model, quantiles=[0.3, 0.5, 0.7])
    width = found.sel(quantile=0.7) - found.sel(quantile=0.3)
    warm = found.sel(quantile=0.3) > 0
    assert float(width.where(warm).std()) < 1e-5


@pytest.mark.parametrize("mode", ["smooth", "filter"])
def test_what_lies_too_far_or_ahead_is_not_used(river, model, mode):
    """A change of the observations from day 300 on changes nothing before the days that may see it."""
    later = xr.DataArray(np.arange(river.sizes["time"]) >= 300, dims="time")
    changed = river.assign({name: river[name] + 5 * later for name in (FINE, COARSE)})
    one, other = (reconstruct(ds, model, mode=mode) for ds in (river, changed))
    first = 300 - LIMIT if mode == "smooth" else 300
    xr.testing.assert_equal(one.isel(time=slice(0, first)), other.isel(time=slice(0, first)))
    differs = (one != other).any("fine").values
    assert differs[300:310].all()
    assert not differs[300 - LIMIT : 300].any() if mode == "filter" else differs[299]


def test_filter_and_smooth_agree_on_the_last_day(river, model):
    last = [reconstruct(river, model, mode=mode).isel(time=-1) for mode in ("smooth", "filter")]
    np.testing.assert_array_equal(*last)


def test_a_forecast_is_the_filter_of_days_without_observations(river, model):
    until = river.time[399]
    known = only_days(river, river.time <= until)
    forecast = reconstruct(known, model, mode="forecast", lead=7)
    assert forecast.dims == ("lead", "fine")
    assert forecast.lead.values.tolist() == [*range(1, 8)]
    assert forecast.issue.values == until.values
    filtered = reconstruct(known, model, mode="filter").sel(time=forecast.time.values)
    np.testing.assert_allclose(forecast.values, filtered.values, atol=1e-5)
    np.testing.assert_array_equal(forecast.time, river.time[400:407])


def test_a_forecast_is_issued_on_the_last_day_given(river, model):
    """Although no sensor may have reported on that day."""
    until = river.time[:400]
    given = river[[FINE, COARSE]].sel(time=until)
    given = only_days(given, given.time < given.time[-3])
    forecast = reconstruct(river, model, mode="forecast", lead=4, observed=given)
    assert forecast.issue.values == until[-1].values
    np.testing.assert_array_equal(forecast.time, river.time[400:404])


def test_a_forecast_draws_nearer_to_the_model_with_its_lead(river, model):
    known = only_days(river, river.time <= river.time[399])
    forecast = reconstruct(known, model, mode="forecast", lead=300)
    alone = downscale(river, model).sel(time=forecast.time.values)
    apart = abs(forecast.values - alone.values).mean(axis=1)
    assert apart[-30:].mean() < 0.5 * apart[:5].mean()
    assert (apart[LIMIT:] == 0).all()


@pytest.mark.parametrize("mode", ["smooth", "forecast"])
@pytest.mark.parametrize("days", [50, 365])
def test_lazily_it_is_the_same(river, model, mode, days):
    known = only_days(river, river.time <= river.time[-20])
    eager = reconstruct(known, model, mode=mode, quantiles=[0.3, 0.5, 0.7])
    with dask.config.set(scheduler="synchronous"):
        lazy = reconstruct(known.chunk(time=days), model, mode=mode, quantiles=[0.3, 0.5, 0.7])
        assert lazy.chunks is not None
        np.testing.assert_array_equal(lazy.compute(), eager)


def test_a_sensor_counts_once(river, model):
    """Observations of a segment on days with one of its reaches change nothing."""
    seen = river[FINE].notnull().groupby(river.coarse_segment).any()
    seen = seen.rename(coarse_segment="coarse").reindex(coarse=river.coarse, fill_value=False)
    one = reconstruct(river, model)
    other = reconstruct(river.assign({COARSE: river[COARSE].where(~seen, 30.0)}), model)
    xr.testing.assert_equal(one, other)


def test_segments_alone(river, model):
    without = river.drop_vars(FINE)
    found = reconstruct(without, model)
    alone = downscale(without, model)
    assert float(abs(found - alone).mean()) > 0.1
    by_segment = found.groupby(river.coarse_segment).mean().rename(coarse_segment="coarse")
    error = abs(by_segment - river[COARSE]).mean()
    before = abs(
        alone.groupby(river.coarse_segment).mean().rename(coarse_segment="coarse") - river[COARSE]
    ).mean()
    assert float(error) < 0.5 * float(before)


@pytest.mark.parametrize("shape", ["dataset", "array", "other order", "fewer", "days with gaps"])
def test_observations_given(river, model, shape):
    expected = reconstruct(river.drop_vars(COARSE), model)
    given = {
        "dataset": river[[FINE]],
        "array": river[FINE],
        "other order": river[FINE].isel(time=slice(None, None, -1), fine=slice(None, None, -1)).transpose(),
        "days with gaps": river[FINE].isel(time=np.flatnonzero(river[FINE].notnull().any("fine"))),
        "fewer": river[FINE].isel(fine=np.flatnonzero(river[FINE].notnull().any("time"))),
    }[shape]
    none = river.assign({name: river[name] * np.nan for name in (FINE, COARSE)})
    xr.testing.assert_equal(reconstruct(none, model, observed=given), expected)


def test_a_datatree(river, model):
    xr.testing.assert_equal(river.msgl.to_datatree().msgl.reconstruct(model), reconstruct(river, model))


def test_days_in_another_order(river, model):
    order = np.random.default_rng(0).permutation(river.sizes["time"])
    found = reconstruct(river.isel(time=order), model)
    np.testing.assert_array_equal(found.time, river.time[order])
    xr.testing.assert_equal(found.sortby("time"), reconstruct(river, model))


def test_quantiles(river, model):
    some = only_days(river, river.time < river.time[400])
    found = reconstruct(some, model, quantiles=[0.3, 0.5, 0.7])
    assert found.dims == ("quantile", "time", "fine")
    other = reconstruct(some, model, quantiles=[0.7, 0.3])
    np.testing.assert_array_equal(other, found.sel(quantile=[0.7, 0.3]))
    assert (found.diff("quantile") >= 0).all()
    width = found.sel(quantile=0.7) - found.sel(quantile=0.3)
    seen = some[FINE].notnull()
    assert float(width.where(seen).mean()) < 0.8 * float(width.isel(time=slice(560, None)).mean())


def test_a_file_keeps_the_covariance(river, model, tmp_path):
    back = load_model(model.save(tmp_path / "model.safetensors"))
    assert back.spec.errors == model.spec.errors
    xr.testing.assert_equal(reconstruct(river, back), reconstruct(river, model))


def test_attributes(river, model):
    found = reconstruct(river, model, mode="filter")
    assert found.attrs["units"] == "degC"
    assert found.attrs["observations"] == "of sensors up to the day itself"
    assert "reconstruct(" in found.attrs["history"]


class TestRefused:
    def test_a_model_without_folds(self, river):
        plain = train(river, "trees", iterations=3, progress=False)
        with pytest.raises(UncalibratedModelError, match="validation='folds'"):
            reconstruct(river, plain)

    def test_coordinates_that_training_had_not(self, river, model):
        placed = river.assign(
            lat_fine=("fine", np.full(12, 40.0)), lon_fine=("fine", np.linspace(-75, -74, 12))
        )
        with pytest.raises(InvalidArgumentError, match="trained with no coordinates, unlike"):
            reconstruct(placed, model)

    def test_an_unknown_mode(self, river, model):
        with pytest.raises(UnknownNameError, match="smooth"):
            reconstruct(river, model, mode="smoth")

    def test_observations_at_noon(self, river, model):
        noon = river[FINE].assign_coords(time=river.indexes["time"] + np.timedelta64(12, "h"))
        with pytest.raises(InvalidArgumentError, match="at the same time of day"):
            reconstruct(river, model, observed=noon)

    def test_some_observations_between_the_days(self, river, model):
        hours = np.where(np.arange(river.sizes["time"]) % 7 == 3, 12, 0).astype("timedelta64[h]")
        mixed = river[FINE].assign_coords(time=river.indexes["time"] + hours)
        with pytest.raises(InvalidArgumentError, match=r"lie between the days.*12:00"):
            reconstruct(river, model, observed=mixed)

    @pytest.mark.parametrize(("mode", "lead"), [("smooth", 3), ("forecast", 0)])
    def test_a_wrong_lead(self, river, model, mode, lead):
        with pytest.raises(InvalidArgumentError, match="at least 1 for mode='forecast'"):
            reconstruct(river, model, mode=mode, lead=lead)

    def test_a_forecast_without_drivers(self, river, model):
        with pytest.raises(InvalidArgumentError, match="drivers for 0 days of forecast"):
            reconstruct(river, model, mode="forecast")

    def test_a_forecast_without_observations(self, river, model):
        none = only_days(river, xr.zeros_like(river.time, dtype=bool))
        before = river[FINE].assign_coords(time=river.indexes["time"] - np.timedelta64(3000, "D"))
        for observed in (None, before):
            with pytest.raises(InvalidArgumentError, match="no observation lies on a day"):
                reconstruct(none, model, mode="forecast", observed=observed)

    def test_no_observations(self, river, model):
        with pytest.raises(InvalidArgumentError, match="give observed="):
            reconstruct(river.drop_vars([FINE, COARSE]), model)

    def test_unknown_reaches(self, river, model):
        other = river[FINE].assign_coords(fine=river.fine + 1000)
        with pytest.raises(InvalidArgumentError, match="not among the ids of 'fine'"):
            reconstruct(river, model, observed=other)

    def test_kelvin(self, river, model):
        kelvin = (river[FINE] + 273.15).assign_attrs(units="K")
        with pytest.raises(InvalidArgumentError, match="in K, not in degC"):
            reconstruct(river, model, observed=kelvin)

    def test_a_day_twice(self, river, model):
        twice = xr.concat([river[FINE], river[FINE].isel(time=[0])], "time")
        with pytest.raises(InvalidArgumentError, match="two observations or more of time"):
            reconstruct(river, model, observed=twice)


@pytest.fixture
def shipped(monkeypatch, tmp_path, model):
    model.save(tmp_path / f"{packaged.SENSORS}.safetensors")
    monkeypatch.setattr(packaged, "_folder", lambda: tmp_path)


def test_without_a_model_it_is_the_packaged_one(river, model, shipped, caplog):
    with caplog.at_level("INFO", "xmsgl"):
        found = river.msgl.reconstruct()
    xr.testing.assert_equal(found, reconstruct(river, model))
    assert found.attrs["model_sha256"] == model.sha256
    assert packaged.SENSORS in caplog.text


def test_the_packaged_model_is_refused_in_another_basin_and_the_advice_works(shipped, monkeypatch):
    other = xmsgl.datasets.simulated(n_coarse=8, years=2, seed=3)
    with pytest.raises(InvalidArgumentError, match=r"another basin.*recipe='sensors'"):
        other.msgl.reconstruct()
    own = other.msgl.train(recipe="sensors", iterations=5, progress=False)
    assert own.folds == 5
    assert other.msgl.reconstruct(own).sizes == other.msgl.downscale(own).sizes


def test_each_member_of_the_weather_is_reconstructed_alone(river, model):
    known = river[[FINE, COARSE]].isel(time=slice(0, 400))
    members = [river]
    members += [river.assign(air_temperature_coarse=river.air_temperature_coarse + shift) for shift in (2, 5)]
    driver = "air_temperature_coarse"
    warmer = xr.concat([one[driver] for one in members], "member")
    several = river.assign({driver: warmer}).assign_coords(member=["a", "b", "c"])
    options = {"observed": known, "mode": "forecast", "lead": 5, "quantiles": [0.3, 0.5]}
    found = several.msgl.reconstruct(model, **options)
    assert dict(found.sizes) == {"member": 3, "quantile": 2, "lead": 5, "fine": 12}
    for name, one in zip("abc", members, strict=True):
        xr.testing.assert_equal(found.sel(member=name, drop=True), one.msgl.reconstruct(model, **options))
    assert float(abs(found.diff("member")).max()) > 0.1
    lazy = several.chunk(time=100).msgl.reconstruct(model, **options)
    xr.testing.assert_allclose(lazy, found)


def test_only_drivers_have_members(river, model):
    several = river.assign({FINE: river[FINE].expand_dims(member=2)})
    with pytest.raises(InvalidArgumentError, match=f"{FINE}.*member"):
        several.msgl.reconstruct(model)


def test_an_ensemble_has_members(river, model):
    none = river.assign(air_temperature_coarse=river.air_temperature_coarse.expand_dims(member=0))
    with pytest.raises(InvalidArgumentError, match="has no member"):
        reconstruct(none, model)


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("scale", ["fine", "coarse"])
def test_impossible_observations_are_refused(river, model, scale, lazy):
    name = f"water_temperature_{scale}"
    values = river[name].transpose("time", scale).values.copy()
    at = tuple(np.argwhere(np.isfinite(values))[5])
    for wrong in (-9999.0, 288.15, np.inf):
        values[at] = wrong
        bad = river.assign({name: (("time", scale), values.copy(), river[name].attrs)})
        with pytest.raises(InvalidDatasetError, match="1 observed temperature outside -5 to 45 degC"):
            reconstruct(bad.chunk(time=100) if lazy else bad, model).compute()


def test_too_few_errors_are_warned_of(river, caplog):
    few = river.assign({name: river[name].where(river.time.dt.day == 1) for name in (FINE, COARSE)})
    few = few.isel(time=slice(0, 450))
    trained = train(few, "trees", validation="folds:2", iterations=3, progress=False)
    assert not trained.spec.errors
    assert "too few errors" in caplog.text
    with pytest.raises(UncalibratedModelError, match="or there were too few errors"):
        reconstruct(few, trained)
