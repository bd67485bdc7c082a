"""A river to explore: geometry, labels, segments, a prediction with gaps."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import shapely
import xarray as xr

DAYS = pd.date_range("2010-06-20", periods=40, unit="ns")
REACHES = [5, 3, 1, 4, 2]  # 1 and 2 into 3, 3 and 4 into 5; not in the order of flow
PLACES = {1: (-75.3, 40.4), 2: (-75.0, 40.5), 3: (-75.1, 40.2), 4: (-74.9, 40.3), 5: (-75.0, 40.0)}
DOWNSTREAM = {1: 3, 2: 3, 3: 5, 4: 5, 5: 0}
MOUTH = (-75.05, 39.8)


@pytest.fixture(scope="session")
def explored() -> xr.Dataset:
    rng = np.random.default_rng(3)
    shapes = []
    for reach in REACHES:
        start, end = np.array(PLACES[reach]), np.array(PLACES.get(DOWNSTREAM[reach], MOUTH))
        middle = (start + end) / 2 + 0.01
        shapes.append(shapely.to_wkb(shapely.LineString([start, middle, end]), hex=True))
    fine = np.where(rng.random((40, 5)) < 0.4, 15 + rng.normal(0, 2, (40, 5)), np.nan)
    fine[:, 2] = np.nan  # reach 1 was never observed
    coarse = np.where(rng.random((40, 2)) < 0.6, 16 + rng.normal(0, 2, (40, 2)), np.nan)
    daily = {"units": "degC"}
    return xr.Dataset(
        {
            "downstream_fine": ("fine", [DOWNSTREAM[reach] for reach in REACHES]),
            "coarse_segment": ("fine", [70, 70, 60, 70, 60]),
            "geometry_fine": ("fine", shapes),
            "stream_order_fine": ("fine", [5] * 5),  # wide lines, whose colour a screen shows undiluted
            "water_temperature_fine": (("time", "fine"), fine, daily),
            "water_temperature_coarse": (("time", "coarse"), coarse, daily),
            "simulated_temperature_coarse": (("time", "coarse"), 14 + rng.normal(0, 1, (40, 2)), daily),
        },
        {"time": DAYS, "fine": REACHES, "coarse": [60, 70]},
        {"title": "A small <river>"},
    )


@pytest.fixture(scope="session")
def predicted(explored: xr.Dataset) -> xr.DataArray:
    """Rising by the day, different by reach; reaches and days in another order than the dataset's."""
    rise = np.linspace(0, 8, 40)[:, None] + np.array([0.0, 2.0, 4.0, 5.0, 7.0])
    values = (10 + rise + np.random.default_rng(4).normal(0, 0.3, (40, 5))).astype(np.float32)
    values[7, 2] = np.nan
    da = xr.DataArray(values, {"time": DAYS, "fine": [1, 2, 3, 4, 5]}, attrs={"units": "degC"})
    return da.isel(time=np.random.default_rng(5).permutation(40))


@pytest.fixture(scope="session")
def quantiles(predicted: xr.DataArray) -> xr.DataArray:
    spread = xr.DataArray([-3.0, -1.0, 0.0, 1.0, 3.5], {"quantile": [0.05, 0.25, 0.5, 0.75, 0.95]})
    return (predicted + spread).transpose("quantile", "time", "fine").assign_attrs(units="degC")


#: Text of a dataset that would run, were it taken for HTML, for a template of Bokeh's or for a formula.
HOSTILE = (
    '<img src=x onerror="window.ran=1"></script><script>window.ran=1</script> &lt;b&gt;'
    " @time{safe} $index ${window.ran=1} `\\u003cb' {{ 7*7 }} $$\\href{javascript:ran=1}{x}$$ \\(y\\)"
)


@pytest.fixture(scope="session")
def hostile(explored: xr.Dataset, quantiles: xr.DataArray) -> tuple[xr.Dataset, xr.DataArray]:
    """The river and its prediction, with such text wherever a dataset may have text."""
    reach = {reach: f"{HOSTILE} reach {reach}" for reach in REACHES}
    segment = {segment: f"{HOSTILE} segment {segment}" for segment in (60, 70)}
    texts = {"units": HOSTILE, "long_name": HOSTILE, "description": HOSTILE}
    ds = explored.assign_coords(
        fine=[reach[each] for each in explored.fine.values.tolist()],
        coarse=[segment[each] for each in explored.coarse.values.tolist()],
    )
    ds["coarse_segment"] = ("fine", [segment[each] for each in explored.coarse_segment.values.tolist()])
    ds["downstream_fine"] = (
        "fine",
        [reach.get(each, "") for each in explored.downstream_fine.values.tolist()],
    )
    for name in ds.variables:
        if name not in ("time", "geometry_fine"):
            ds[name].attrs |= texts
    ds.attrs = {"title": HOSTILE, "history": HOSTILE}
    temperature = quantiles.assign_coords(fine=[reach[each] for each in quantiles.fine.values.tolist()])
    return ds, temperature.rename(HOSTILE).assign_attrs(texts)
