"""A synthetic basin: complete true temperatures at both scales, sparse observations."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from xmsgl.errors import InvalidArgumentError
from xmsgl.simulate.basin import Basin, River, random_basin
from xmsgl.simulate.hydrology import discharge
from xmsgl.simulate.layout import hex_wkb
from xmsgl.simulate.parameters import StreamParameters
from xmsgl.simulate.process import stream_temperature
from xmsgl.simulate.sensors import sensor_days
from xmsgl.simulate.weather import LAPSE_RATE, Weather, random_weather
from xmsgl.util.arguments import checked
from xmsgl.util.origin import ATTRIBUTE, write_origin

__all__ = ["simulated"]

Variable = tuple[tuple[str, ...], NDArray[Any], dict[str, str]]

_ORIGIN = (-75.3, 40.0)  # longitude and latitude of the outlet
_NOISE = 0.25  # of a measured daily mean, K
_SPREAD = 2.2  # between segments, of mean water minus mean air, K
_TRIALS = (0.7, 1.2)
_FACTORS = (0.4, 1.6)
_LEAST = {"n_coarse": 1, "reaches_per_segment": 1, "years": 1, "seed": 0}
_MOST = {"n_coarse": 100_000, "reaches_per_segment": 1_000, "years": 250}  # the calendar ends in 2262
# sheltered valleys, and a bed that evens out the days
_TRUE = StreamParameters(wind_constant=5.0, wind_speed=1.0, bed_exchange=10.0)
# rain passes through the soil: if it drained in three days, one storm would replace all lateral inflow, and
# change the temperature of the river, from one day to the next
_FAST_DAYS = 15.0
_UNCALIBRATED = StreamParameters(exchange_factor=1.1, wind_speed=2.5, runoff_memory=6.0)

_STATICS = {
    "length": ("m", "length along the river"),
    "slope": ("1", "channel slope"),
    "elevation": ("m", "mean elevation above sea level"),
    "width": ("m", "mean wetted width"),
    "drainage_area": ("km2", "area drained at the downstream end"),
    "stream_order": ("1", "Strahler stream order"),
}
_DRIVERS = {
    "air_temperature": ("degC", "daily mean air temperature"),
    "air_temperature_min": ("degC", "daily minimum air temperature"),
    "air_temperature_max": ("degC", "daily maximum air temperature"),
    "precipitation": ("mm d-1", "precipitation"),
    "relative_humidity": ("%", "daily mean relative humidity"),
    "solar_radiation": ("W m-2", "daily mean downward shortwave radiation"),
    "potential_evapotranspiration": ("mm d-1", "potential evapotranspiration, Hargreaves and Samani (1985)"),
}


@checked
def simulated(
    n_coarse: int = 40,
    reaches_per_segment: int = 7,
    years: int = 6,
    label_fraction: float = 0.01,
    seed: int = 0,
    *,
    coarse_label_fraction: float = 0.15,
) -> xr.Dataset:
    """Simulate a two-scale river basin whose fine stream temperature is known everywhere, every day.

    A random dendritic basin (:func:`xmsgl.simulate.random_basin`), random weather, and the process model
    (:func:`xmsgl.simulate.stream_temperature`) on the fine network. Shade and groundwater differ between
    reaches and are not in the dataset; width, slope, elevation, drainage area and stream order are, and
    explain part of them.

    Parameters
    ----------
    n_coarse
        Number of coarse segments, at least 1.
    reaches_per_segment
        Mean number of fine reaches in a segment, at least 1.
    years
        Whole water years from 2001-10-01, at least 1.
    label_fraction
        Fraction of all fine reach-days that are observed, 0..1. About one reach in fifteen has a sensor
        (more if the observations need them), which records for runs of days.
    seed
        Seed of basin, weather and sensors, at least 0. Equal arguments give equal datasets, bit for bit.
    coarse_label_fraction
        Fraction of all coarse segment-days that are observed, 0..1, by sensors on nine segments in ten.

    Returns
    -------
    xarray.Dataset
        In the package's convention: drivers (float32) at the coarse scale only, statics (float64) at both.
        ``water_temperature_*`` are truth plus 0.25 K of noise, NaN where not observed.
        ``true_temperature_fine`` is the truth at the downstream end of each reach,
        ``true_temperature_coarse`` its mean over a segment. ``simulated_temperature_coarse`` comes from the
        process model on the coarse network with other parameters, equal shade and groundwater for all, and
        an RMSE of 3 to 4 K.

    Raises
    ------
    InvalidArgumentError
        If an argument is out of range.

    Notes
    -----
    The air temperature of a reach is that of its segment, corrected by -6.5 K per km of elevation. After a
    regression on air temperature and season, reach means have a standard deviation of about 2.2 K between
    segments and 0.3 to 0.6 K within one; in the Delaware these are 2.15 and 0.46 K. They are fitted: the
    temperature of the slow inflow is scaled in each basin until the segments differ enough, up to 13 K from
    the mean air temperature, more than real groundwater. Storm runoff is slow (15 d) and the bed stores
    heat, so that 99.9 % of daily changes are below 4 K, as in real streams. How shade and groundwater depend
    on the other attributes was also chosen. Use the basin to test and compare methods, not to estimate
    effects in nature.

    Examples
    --------
    >>> ds = simulated(n_coarse=4, reaches_per_segment=3, years=1, label_fraction=0.1)
    >>> ds.sizes["time"], ds.sizes["coarse"], ds.sizes["fine"]
    (365, 4, 12)
    >>> int(ds.water_temperature_fine.notnull().sum()) == round(0.1 * 365 * 12)
    True
    """
    arguments = _checked(
        n_coarse=n_coarse,
        reaches_per_segment=reaches_per_segment,
        years=years,
        label_fraction=label_fraction,
        seed=seed,
        coarse_label_fraction=coarse_label_fraction,
    )
    # separate random numbers: more years do not change the basin, more labels do not change the weather
    streams = [np.random.default_rng(child) for child in np.random.SeedSequence(seed).spawn(4)]
    basin = random_basin(n_coarse, reaches_per_segment, streams[0])
    time = pd.date_range("2001-10-01", f"{2001 + years}-09-30", freq="D", unit="ns")
    season = time.day_of_year.to_numpy()
    weather = random_weather(
        season, elevation=basin.coarse.elevation, place=basin.coarse.middle, rng=streams[1]
    )
    truth = _true_temperature(basin, weather)
    counts = np.bincount(basin.segment)
    mean = np.add.reduceat(truth, np.concatenate([[0], np.cumsum(counts)[:-1]]), axis=1) / counts
    fine = _labels(truth, season, label_fraction, max(4, round(truth.shape[1] / 15)), streams[2])
    coarse = _labels(mean, season, coarse_label_fraction, max(1, round(0.9 * n_coarse)), streams[3])
    temperatures = {
        "true_temperature_fine": (truth, "true stream temperature at the downstream end of the reach"),
        "true_temperature_coarse": (mean, "true stream temperature, mean over the reaches of the segment"),
        "water_temperature_fine": (fine, "observed stream temperature"),
        "water_temperature_coarse": (coarse, "observed stream temperature"),
        "simulated_temperature_coarse": (
            _uncalibrated_temperature(basin.coarse, weather),
            "stream temperature of an uncalibrated process model",
        ),
    }
    variables = _topology(basin) | _statics(basin) | _drivers(weather)
    for name, (values, meaning) in temperatures.items():
        variables[name] = _variable(("time", name.rpartition("_")[2]), values, "degC", meaning)
    ids = _ids(basin)
    return xr.Dataset(
        variables,
        coords={
            "time": ("time", time, {"long_name": "day", "standard_name": "time"}),
            "coarse": ("coarse", ids["coarse"], {"units": "1", "long_name": "id of the coarse segment"}),
            "fine": ("fine", ids["fine"], {"units": "1", "long_name": "id of the fine reach"}),
        },
        attrs=_attributes(arguments),
    )


def _checked(**arguments: Any) -> dict[str, int | float]:
    """Check all arguments and return them as plain numbers."""
    faults = []
    for name, value in arguments.items():
        if name in _LEAST:
            if value < _LEAST[name]:
                faults.append(f"{name} must be a whole number of at least {_LEAST[name]}, not {value!r}")
            elif value > _MOST.get(name, value):
                faults.append(f"{name} must be at most {_MOST[name]:,}, not {value:,}")
        elif not 0.0 <= value <= 1.0:
            faults.append(f"{name} must lie in 0..1, not {value!r}")
    if faults:
        raise InvalidArgumentError(f"simulated: {'; '.join(faults)}")
    return {name: int(value) if name in _LEAST else float(value) for name, value in arguments.items()}


def _true_temperature(basin: Basin, weather: Weather) -> NDArray[np.float64]:
    """Run the process model on the fine network, with the shade and groundwater of each reach.

    The offset of groundwater is scaled between segments, not within, so that segments of any random basin
    differ as much as real ones: the factor is interpolated linearly from the spreads of two trial runs.
    """
    on = basin.segment
    climb = basin.fine.elevation - basin.coarse.elevation[on]
    air = weather.air_temperature[:, on] + LAPSE_RATE * climb
    water = discharge(
        basin.fine.downstream,
        drainage_area=basin.fine.drainage_area,
        precipitation=weather.precipitation[:, on],
        air_temperature=air,
        baseflow_index=basin.groundwater,
        fast_days=_FAST_DAYS,
    )

    offset = basin.groundwater_offset
    by_segment = (np.bincount(on, offset) / np.bincount(on))[on]

    def run(factor: float) -> NDArray[np.float64]:
        temperature = stream_temperature(
            basin.fine.downstream,
            length=basin.fine.length,
            width=basin.fine.width,
            slope=basin.fine.slope,
            air_temperature=air,
            solar_radiation=weather.solar_radiation[:, on],
            relative_humidity=weather.relative_humidity[:, on],
            cloud_cover=weather.cloud_cover[:, on],
            discharge=water.discharge,
            shade=basin.shade,
            groundwater_fraction=water.baseflow_fraction,
            groundwater_offset=offset + (factor - 1.0) * (by_segment - by_segment.mean()),
            snowmelt_fraction=water.snowmelt_fraction,
            parameters=_TRUE,
        )
        return np.asarray(temperature, dtype=np.float64)

    def spread(factor: float) -> float:
        warmth = (run(factor) - air).mean(axis=0)
        return float(np.std(np.bincount(on, warmth) / np.bincount(on)))

    low, high = _TRIALS
    at_low, at_high = spread(low), spread(high)
    if at_high <= at_low:  # a single segment
        return run(1.0)
    wanted = low + (_SPREAD - at_low) * (high - low) / (at_high - at_low)
    return run(float(np.clip(wanted, *_FACTORS)))


def _uncalibrated_temperature(coarse: River, weather: Weather) -> NDArray[np.floating]:
    """Run the process model on the coarse network, with variables of the dataset and wrong parameters."""
    water = discharge(
        coarse.downstream,
        drainage_area=coarse.drainage_area,
        precipitation=weather.precipitation,
        air_temperature=weather.air_temperature,
    )
    return stream_temperature(
        coarse.downstream,
        length=coarse.length,
        width=coarse.width,
        slope=coarse.slope,
        air_temperature=weather.air_temperature,
        solar_radiation=weather.solar_radiation,
        discharge=water.discharge,
        parameters=_UNCALIBRATED,
    )


def _labels(
    truth: NDArray[np.float64],
    day_of_year: NDArray[np.number],
    fraction: float,
    n_sites: int,
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    seen = sensor_days(day_of_year, truth.shape[1], round(fraction * truth.size), n_sites, rng)
    noisy = np.maximum(truth + _NOISE * rng.normal(size=truth.shape), 0.0)
    return np.where(seen, noisy, np.nan)


def _ids(basin: Basin) -> dict[str, NDArray[np.int64]]:
    """Ids of segments (1, 2, ...) and reaches (1001, 1002, ... on segment 1, and so on)."""
    coarse = np.arange(1, basin.coarse.length.size + 1, dtype=np.int64)
    counts = np.bincount(basin.segment)
    within = np.concatenate([np.arange(1, count + 1) for count in counts])
    base = 10 ** max(3, len(str(int(counts.max()))))
    return {"coarse": coarse, "fine": coarse[basin.segment] * base + within}


def _variable(dims: tuple[str, ...], values: NDArray[Any], units: str, meaning: str) -> Variable:
    kept = values.astype(np.float32) if "time" in dims else values
    return dims, kept, {"units": units, "long_name": meaning}


def _topology(basin: Basin) -> dict[str, Variable]:
    ids = _ids(basin)
    result: dict[str, Variable] = {}
    for name, scale, noun in (("coarse", basin.coarse, "segment"), ("fine", basin.fine, "reach")):
        below = np.where(scale.downstream >= 0, ids[name][scale.downstream], 0)
        meaning = f"id of the {noun} downstream, 0: outlet"
        result[f"downstream_{name}"] = _variable((name,), below, "1", meaning)
    segment, meaning = ids["coarse"][basin.segment], "id of the coarse segment the reach lies on"
    result["coarse_segment"] = _variable(("fine",), segment, "1", meaning)
    return result


def _statics(basin: Basin) -> dict[str, Variable]:
    result: dict[str, Variable] = {}
    for name, scale in (("coarse", basin.coarse), ("fine", basin.fine)):
        for base, (units, meaning) in _STATICS.items():
            values = np.asarray(getattr(scale, base), dtype=np.float64)
            result[f"{base}_{name}"] = _variable((name,), values, units, meaning)
        middle = _degrees(scale.middle)
        result[f"lat_{name}"] = _variable((name,), middle[:, 1], "degrees_north", "latitude of the midpoint")
        result[f"lon_{name}"] = _variable((name,), middle[:, 0], "degrees_east", "longitude of the midpoint")
        lines = np.array([hex_wkb(_degrees(line)) for line in scale.lines], dtype=object)
        dims, values, attrs = _variable((name,), lines, "1", "line, upstream to downstream")
        attrs |= {"encoding_format": "hex WKB", "crs": "EPSG:4326"}
        result[f"geometry_{name}"] = (dims, values, attrs)
    return result


def _degrees(kilometres: NDArray[np.float64]) -> NDArray[np.float64]:
    """Longitude and latitude of points given in km east and north of the outlet."""
    a_degree = 111.195 * np.array([np.cos(np.deg2rad(_ORIGIN[1])), 1.0])
    return np.asarray(np.array(_ORIGIN) + kilometres / a_degree)


def _drivers(weather: Weather) -> dict[str, Variable]:
    return {
        f"{base}_coarse": _variable(("time", "coarse"), getattr(weather, base), units, meaning)
        for base, (units, meaning) in _DRIVERS.items()
    }


def _attributes(arguments: dict[str, int | float]) -> dict[str, Any]:
    from xmsgl.util.version import __version__

    call = ", ".join(f"{name}={value}" for name, value in arguments.items())
    return {
        "title": "Simulated two-scale river basin",
        "description": "Random dendritic basin, random weather, stream temperature by a process model; the "
        "fine truth is complete, labels are sparse and noisy. Nothing in it was measured.",
        "source": f"xmsgl.datasets.simulated({call}), xmsgl {__version__}",
        ATTRIBUTE: write_origin("simulated", **arguments),
        "seed": arguments["seed"],
        "label_noise": f"{_NOISE} degC",
        "licence": "MIT, as the code that makes it",
        "credit": "The xmsgl developers, simulated basin",
        "references": "Caissie (2006), doi 10.1111/j.1365-2427.2006.01597.x; Leopold and Maddock (1953), "
        "USGS Professional Paper 252",
        "Conventions": "CF-1.11",
    }
