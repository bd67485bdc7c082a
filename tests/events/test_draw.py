"""Simulated events against runs of the whole process model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from xmsgl import schema
from xmsgl.errors import InvalidArgumentError, InvalidDatasetError
from xmsgl.events import simulate
from xmsgl.events.draw import place_sensors
from xmsgl.events.kinds import KINDS, profile
from xmsgl.network.topology import link
from xmsgl.simulate import discharge, stream_temperature

if TYPE_CHECKING:
    import xarray as xr


def whole_model(ds: xr.Dataset, heat: np.ndarray | float) -> np.ndarray:
    """Every reach and every day, from the variables of the dataset."""
    air, solar, rain = (
        schema.fine_values(ds, name).transpose("time", "fine").values.astype(float)
        for name in ("air_temperature", "solar_radiation", "precipitation")
    )
    down = link(ds.fine.values, ds.downstream_fine.values)
    area = ds.drainage_area_fine.values.astype(float)
    water = discharge(down, drainage_area=area, precipitation=rain, air_temperature=air)
    return stream_temperature(
        down,
        length=ds.length_fine.values,
        width=9 * (area * 1.4 / 86.4) ** 0.5,
        slope=ds.slope_fine.values,
        air_temperature=air,
        solar_radiation=solar,
        discharge=water.discharge,
        groundwater_fraction=water.baseflow_fraction,
        snowmelt_fraction=water.snowmelt_fraction,
        heat=heat,
    )


def test_sensors_record_the_difference_of_two_runs(basin) -> None:
    events = simulate(basin, n=16, sensors=0.3, noise=1e-4, seed=7)
    before = whole_model(basin, 0.0)
    sensors = basin.indexes["fine"].get_indexer(events.sensor)
    assert len(set(events.kind.values.tolist())) >= 5
    for _, event in events.groupby("event"):
        event = event.squeeze("event")
        kind, onset, duration = str(event.kind.item()), event.onset.item(), event.duration.item()
        first = basin.indexes["time"].get_loc(event.first_day.values)
        window = slice(first, first + 60)
        source = basin.indexes["fine"].get_loc(event.source.item())
        if kind == "sensor_in_air":
            expected = np.zeros((60, sensors.size))
            air = schema.fine_values(basin, "air_temperature").transpose("time", "fine").values
            dry = slice(onset, min(onset + duration, 60))
            number = sensors.tolist().index(source)
            expected[dry, number] = (air - before)[window][dry, source]
            assert np.isnan(event.magnitude)
        else:
            heat = np.zeros(before.shape)
            released = KINDS[kind].sign * 10 ** event.magnitude.item() * profile(kind, duration, 60, onset)
            heat[window, source] = released
            expected = (whole_model(basin, heat) - before)[window][:, sensors]
        np.testing.assert_allclose(event.residual, expected, atol=6e-4)


def test_noise_and_the_size_of_events(events) -> None:
    quiet = events.residual.isel(day=slice(0, 5))  # before the first possible day
    assert float(quiet.std()) == pytest.approx(0.1, rel=0.05)
    assert (np.abs(events.residual).max(["day", "sensor"]) > 0.3).all()
    assert set(events.kind.values.tolist()) <= set(KINDS)
    assert (events.onset >= 5).all()
    assert (events.onset < 30).all()


def test_equal_arguments_give_equal_events_and_other_seeds_others(basin, events) -> None:
    again = simulate(basin, n=48, sensors=0.3, seed=2)
    assert again.drop_attrs().equals(events.drop_attrs())
    assert not simulate(basin, n=48, sensors=0.3, seed=3).residual.equals(events.residual)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_profile_has_the_mean_of_one_within_the_record(kind: str) -> None:
    about = KINDS[kind]
    for duration in range(about.shortest, about.longest + 1):
        shape = profile(kind, duration, 60, 10)
        assert shape[10 : 10 + duration].mean() == pytest.approx(1.0)
        assert not shape[:10].any()
        assert not shape[10 + duration :].any()
        late = profile(kind, duration, 60, 58)
        np.testing.assert_array_equal(late[58:], profile(kind, duration, 99, 58)[58:60])


def test_outlets_have_sensors() -> None:
    down = np.array([1, 2, -1, 4, -1, 4])
    places = place_sensors(down, 0.5, np.random.default_rng(0))
    assert places.size == 3
    assert {2, 4} <= set(places.tolist())


@pytest.mark.parametrize(
    "wrong", [{"n": 0}, {"sensors": 0.0}, {"sensors": 1.5}, {"days": 5}, {"noise": 0.0}, {"days": 700}]
)
def test_wrong_arguments_are_named(basin, wrong: dict) -> None:
    with pytest.raises(InvalidArgumentError, match=next(iter(wrong))):
        simulate(basin, **{"n": 2, **wrong})


def test_days_out_of_order_and_other_units_are_refused(basin) -> None:
    with pytest.raises(InvalidDatasetError, match="not sorted"):
        simulate(basin.isel(time=np.random.default_rng(0).permutation(basin.sizes["time"])), n=3)
    miles = basin.assign(length_fine=basin.length_fine.assign_attrs(units="km"))
    with pytest.raises(InvalidDatasetError, match="length_fine"):
        simulate(miles, n=3)
    with pytest.raises(InvalidDatasetError, match="time"):
        simulate(basin.isel(time=basin.time.dt.day != 7), n=3)


def test_a_missing_driver_is_named(basin) -> None:
    with pytest.raises(InvalidDatasetError, match="precipitation"):
        simulate(basin.drop_vars("precipitation_coarse"), n=2)
    gap = basin.assign(solar_radiation_coarse=basin.solar_radiation_coarse.where(basin.time.dt.day != 3))
    with pytest.raises(InvalidDatasetError, match="solar_radiation"):
        simulate(gap, n=2)
