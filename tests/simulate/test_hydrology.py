"""Runoff against balances and closed forms."""

from __future__ import annotations

import numpy as np
import pytest

from xmsgl.errors import CycleError, InvalidArgumentError
from xmsgl.simulate import discharge

DOWN = np.array([2, 2, -1])
AREA = np.array([10.0, 20.0, 45.0])


def test_water_balance_without_storage_change() -> None:
    """Over a long time what leaves is the runoff coefficient times what fell."""
    rng = np.random.default_rng(0)
    days = 6000
    rain = rng.gamma(0.5, 8.0, (days, 3))
    runoff = discharge(DOWN, drainage_area=AREA, precipitation=rain, air_temperature=np.full((days, 3), 12.0))
    local = np.array([10.0, 20.0, 15.0])
    fell = 0.45 * (rain * local).sum() / 86.4
    assert runoff.discharge[:, 2].sum() == pytest.approx(fell, rel=0.01)


def test_the_confluence_adds_up() -> None:
    rain = np.random.default_rng(1).gamma(0.5, 8.0, (300, 3))
    air = np.full((300, 3), 5.0)
    whole = discharge(DOWN, drainage_area=AREA, precipitation=rain, air_temperature=air).discharge
    alone = discharge([-1, -1, -1], drainage_area=[10, 20, 15], precipitation=rain, air_temperature=air)
    np.testing.assert_allclose(whole[:, 2], alone.discharge.sum(axis=1), rtol=1e-12)
    assert (whole[:, 2] >= whole[:, 0] + whole[:, 1]).all()


def test_recession_is_exponential() -> None:
    rain = np.zeros((200, 1))
    rain[0] = 100.0
    flow = discharge(
        [-1],
        drainage_area=[50.0],
        precipitation=rain,
        air_temperature=np.full((200, 1), 9.0),
        baseflow_index=0.0,
        fast_days=5.0,
    ).discharge[:, 0]
    np.testing.assert_allclose(flow[1:60] / flow[:59], 0.8, rtol=1e-10)


def test_snow_waits_for_warmth() -> None:
    days = 120
    rain = np.zeros((days, 1))
    rain[:30] = 5.0
    air = np.where(np.arange(days) < 60, -5.0, 6.0)[:, None]
    runoff = discharge(
        [-1], drainage_area=[50.0], precipitation=rain, air_temperature=air, baseflow_index=0.0
    )
    assert runoff.discharge[:60].max() == 0.0
    assert runoff.discharge[60:].sum() == pytest.approx(0.45 * 150.0 * 50.0 / 86.4, rel=1e-3)
    assert (runoff.snowmelt_fraction[60:70] == 1.0).all()
    assert (runoff.snowmelt_fraction[:60] == 0.0).all()


def test_dry_weather_flow_is_groundwater() -> None:
    rain = np.zeros((100, 1))
    rain[:10] = 20.0
    runoff = discharge([-1], drainage_area=[5.0], precipitation=rain, air_temperature=np.full((100, 1), 15.0))
    assert runoff.baseflow_fraction[9, 0] < 0.5
    assert runoff.baseflow_fraction[99, 0] > 0.99


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"drainage_area": [1.0, 0.0, 2.0]}, "drainage_area"),
        ({"precipitation": np.zeros((5, 2))}, "must both be"),
        ({"precipitation": np.full((4, 3), -1.0)}, "precipitation >= 0"),
        ({"air_temperature": np.full((4, 3), np.nan)}, "finite"),
        ({"fast_days": 0.5}, "fast_days"),
        ({"baseflow_index": 1.2}, "baseflow_index"),
    ],
    ids=["area", "shape", "negative-rain", "nan", "residence", "share"],
)
def test_faults(change: dict, message: str) -> None:
    good = {"drainage_area": AREA, "precipitation": np.ones((4, 3)), "air_temperature": np.ones((4, 3))}
    with pytest.raises(InvalidArgumentError, match=message):
        discharge(DOWN, **{**good, **change})


def test_cycle() -> None:
    with pytest.raises(CycleError):
        discharge(
            [1, 0], drainage_area=[1.0, 1.0], precipitation=np.ones((3, 2)), air_temperature=np.ones((3, 2))
        )
