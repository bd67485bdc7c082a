"""Faults of datasets: how to spoil a valid river, and what validation must say then."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr


def put(ds, name, **changes):
    """Set single values by position: put(ds, "length_fine", value=0.0, fine=[1, 2])."""
    value = changes.pop("value")
    array = ds[name].copy(deep=True)
    array[changes] = value
    return ds.assign({name: array})


def retime(ds, time):
    return ds.isel(time=slice(len(time))).assign_coords(time=time)


def attrs(ds, name, **changes):
    array = ds[name].copy()
    array.attrs = {key: value for key, value in {**array.attrs, **changes}.items() if value is not None}
    return ds.assign({name: array})


DAYS = pd.date_range("2001-10-01", periods=800, freq="D", unit="ns")
AIR, WATER = "air_temperature_coarse", "water_temperature_fine"
RAIN, SUN, HUMIDITY = "precipitation_coarse", "solar_radiation_coarse", "relative_humidity_coarse"


def with_humidity(ds, most):
    values = np.random.default_rng(0).uniform(0.3 * most, most, ds[AIR].shape)
    return ds.assign({HUMIDITY: (("time", "coarse"), values, {"units": "%"})})


def with_moisture(ds):
    return ds.assign(soil_moisture_coarse=(ds[AIR] * 0 + 0.2).assign_attrs(units="1"))


# id: (what to do to the river, what the fault must say)
FAULTS = {
    # what is there
    "no-time": (lambda ds: ds.isel(time=0, drop=True), r"dimension 'time' is missing.*ds = ds.rename"),
    "no-fine": (lambda ds: ds.drop_dims("fine"), r"dimension 'fine' is missing; the dataset has .*coarse"),
    "empty-fine": (lambda ds: ds.isel(fine=slice(0)), "dimension 'fine' has size 0"),
    "no-ids": (
        lambda ds: ds.drop_vars("coarse"),
        r"coordinate 'coarse' is missing; .*assign_coords\(coarse=",
    ),
    "no-days": (lambda ds: ds.drop_vars("time"), "coordinate 'time' is missing"),
    "no-downstream-coarse": (
        lambda ds: ds.drop_vars("downstream_coarse"),
        r"variable 'downstream_coarse' over \(coarse\) is missing.*ds = ds.rename",
    ),
    "no-downstream-fine": (lambda ds: ds.drop_vars("downstream_fine"), r"'downstream_fine' over \(fine\)"),
    "no-length-fine": (lambda ds: ds.drop_vars("length_fine"), r"'length_fine'.*the length of each reach"),
    "no-crosswalk": (lambda ds: ds.drop_vars("coarse_segment"), r"'coarse_segment' over \(fine\) is missing"),
    "no-drivers": (
        lambda ds: ds.drop_vars([AIR, "precipitation_coarse", "solar_radiation_coarse"]),
        "there are no drivers.*air_temperature_coarse",
    ),
    "no-labels": (
        lambda ds: ds.drop_vars([WATER, "water_temperature_coarse"]),
        "there are no labels.*labels=False",
    ),
    "length-over-time": (
        lambda ds: ds.assign(length_coarse=ds[AIR]),
        r"length_coarse has dimensions \('time', 'coarse'\) instead of \('coarse',\)",
    ),
    "driver-without-time": (
        lambda ds: ds.assign({AIR: ds[AIR].isel(time=0, drop=True)}),
        r"air_temperature_coarse has dimensions \('coarse',\) instead of \('time', 'coarse'\)",
    ),
    "driver-transposed": (
        lambda ds: ds.assign({AIR: ds[AIR].transpose()}),
        r"air_temperature_coarse has dimensions \('coarse', 'time'\).*transpose",
    ),
    "wrong-scale": (
        lambda ds: ds.assign(slope_coarse=("fine", np.ones(12), {"units": "1"})),
        r"slope_coarse is named coarse but has dimensions \('fine',\); rename it: .*slope_fine",
    ),
    "labels-as-text": (
        lambda ds: ds.assign({WATER: ds[WATER].astype(str)}),
        "water_temperature_fine has dtype .*must be numeric",
    ),
    "length-as-text": (
        lambda ds: ds.assign(length_fine=ds.length_fine.astype(str)),
        "length_fine has dtype .*must be numeric",
    ),
    # ids and topology
    "downstream-nowhere": (
        lambda ds: put(ds, "downstream_fine", fine=[1, 4], value=99),
        r"downstream_fine: 2 ids are not in the dataset: 2 -> 99, 5 -> 99; correct",
    ),
    "cycle-coarse": (
        lambda ds: put(ds, "downstream_coarse", coarse=4, value=103),
        r"downstream_coarse: water flows in a circle: (103 -> 105 -> 103|105 -> 103 -> 105);",
    ),
    "cycle-fine": (
        lambda ds: put(ds, "downstream_fine", fine=6, value=5),
        r"downstream_fine: water flows in a circle: (5 -> 6 -> 7 -> 5|6 -> 7 -> 5 -> 6|7 -> 5 -> 6 -> 7);",
    ),
    "self-loop": (
        lambda ds: put(ds, "downstream_fine", fine=2, value=3),
        "downstream_fine: 1 reach flows into itself: 3",
    ),
    "duplicated-ids": (
        lambda ds: ds.assign_coords(fine=[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 1]),
        r"fine has duplicated ids: 1; .*drop_duplicates\(\"fine\"\)",
    ),
    "id-zero": (
        lambda ds: ds.assign_coords(coarse=[0, 102, 103, 104, 105]),
        "coarse: 1 id is 0 or empty, which marks an outlet",
    ),
    "ids-as-floats": (
        lambda ds: ds.assign_coords(coarse=ds.coarse.astype(float)),
        "coarse ids are floating-point numbers; they must all be integers or all be text",
    ),
    "ids-mixed": (
        lambda ds: ds.assign_coords(fine=np.array([*range(1, 12), "12"], dtype=object)),
        "fine ids are a mix of int and str",
    ),
    "downstream-of-other-kind": (
        lambda ds: ds.assign(downstream_fine=ds.downstream_fine.astype(str)),
        "downstream_fine contains text, but fine ids are integers",
    ),
    "crosswalk-of-other-kind": (
        lambda ds: ds.assign(coarse_segment=ds.coarse_segment.astype(str)),
        "coarse_segment contains text, but coarse ids are integers",
    ),
    "crosswalk-unknown": (
        lambda ds: put(ds, "coarse_segment", fine=[0, 3], value=999),
        "coarse_segment: 2 reaches lie on segments that are not in the dataset: 1 -> 999, 4 -> 999",
    ),
    "reach-without-segment": (
        lambda ds: put(ds, "coarse_segment", fine=5, value=0),
        "coarse_segment: 1 reach has no segment: 6; ",
    ),
    "reach-with-missing-segment": (
        lambda ds: put(
            ds.assign(coarse_segment=ds.coarse_segment * 1.0), "coarse_segment", fine=5, value=np.nan
        ),
        "coarse_segment: 1 reach has no segment: 6; ",
    ),
    "flows-up": (  # a reach of 101 put on 103, which 101 flows into
        lambda ds: put(ds, "coarse_segment", fine=0, value=103),
        r"the water of 1 reach flows into a segment upstream.*: 1 \(on 103\) -> 2 \(on 101\); correct",
    ),
    "leaves-and-comes-back": (
        lambda ds: put(ds, "coarse_segment", fine=5, value=104),
        r"the water of 1 reach flows into a segment upstream.*: 5 \(on 103\) -> 6 \(on 104\); correct",
    ),
    "ends-in-mid-river": (
        lambda ds: put(ds, "downstream_fine", fine=4, value=0),
        r"downstream_fine: 1 reach ends in mid-river, .*: 5 \(on 103\); give the id",
    ),
    # units
    "driver-without-units": (lambda ds: attrs(ds, AIR, units=None), f'{AIR} has no units; .*"degC"'),
    "driver-with-blank-units": (lambda ds: attrs(ds, AIR, units=" "), f"{AIR} has no units"),
    "kelvin": (
        lambda ds: attrs(ds.assign({AIR: ds[AIR] + 273.15}), AIR, units="K"),
        rf'{AIR} is in \'K\' instead of \'degC\'; convert: .*ds\["{AIR}"\] - 273.15',
    ),
    "kelvin-labels": (
        lambda ds: attrs(ds, WATER, units="kelvin"),
        rf'{WATER} is in \'kelvin\'.*ds\["{WATER}"\] - 273.15',
    ),
    "fahrenheit": (
        lambda ds: attrs(ds.assign({AIR: ds[AIR] * 1.8 + 32}), AIR, units="degF"),
        rf'{AIR} is in \'degF\' instead of \'degC\'; convert: .*\(ds\["{AIR}"\] - 32\.0\) / 1.8',
    ),
    "inches": (
        lambda ds: attrs(ds, "precipitation_coarse", units="inch/day"),
        r"precipitation_coarse is in 'inch/day' instead of 'mm d-1'.* \* 25.4",
    ),
    "length-in-km": (lambda ds: attrs(ds, "length_fine", units="km"), r"length_fine is in 'km'.* \* 1000"),
    "unknown-units": (
        lambda ds: attrs(ds, "solar_radiation_coarse", units="furlongs"),
        r"solar_radiation_coarse is in 'furlongs' instead of 'W m-2'; convert it, then",
    ),
    "static-without-units": (lambda ds: attrs(ds, "slope_coarse", units=None), "slope_coarse has no units"),
    "units-differ-between-scales": (
        lambda ds: ds.assign(
            depth_coarse=("coarse", np.ones(5), {"units": "m"}),
            depth_fine=("fine", np.ones(12), {"units": "ft"}),
        ),
        "depth_fine is in 'ft', but depth_coarse is in 'm'",
    ),
    # time
    "time-unsorted": (
        lambda ds: ds.isel(time=[0, 2, 1, *range(3, 800)]),
        r"time is not sorted: it goes back after 2001-10-03; .*sortby",
    ),
    "time-duplicated": (
        lambda ds: ds.isel(time=[0, 1, 1, *range(2, 800)]),
        "time has duplicates: 2001-10-02; .*drop_duplicates",
    ),
    "time-gap": (
        lambda ds: ds.isel(time=[*range(10), *range(12, 800)]),
        "time has gaps: 2 days are missing: 2001-10-11, 2001-10-12; .*reindex",
    ),
    "time-monthly": (
        lambda ds: retime(ds, pd.date_range("2001-01-31", periods=20, freq="30D", unit="ns")),
        "time is not daily: the usual step is 30 days",
    ),
    "time-hourly": (
        lambda ds: retime(ds, pd.date_range("2001-01-01", periods=48, freq="h", unit="ns")),
        "time is not daily: the usual step is 0 days 01:00:00",
    ),
    "time-twice-on-one-day": (
        lambda ds: retime(ds, DAYS[:50].insert(7, DAYS[6] + pd.Timedelta("6h"))[:50]),
        "time is not daily: several values on 2001-10-07",
    ),
    "time-at-noon": (lambda ds: ds.assign_coords(time=DAYS + pd.Timedelta("12h")), "time is not at midnight"),
    "time-missing": (
        lambda ds: ds.assign_coords(time=DAYS.where(np.arange(800) != 799, pd.NaT)),
        r"time has 1 missing value \(NaT\)",
    ),
    "time-as-numbers": (lambda ds: ds.assign_coords(time=np.arange(800)), r"time is .*instead of datetime64"),
    "time-in-another-calendar": (
        lambda ds: ds.assign_coords(
            time=xr.date_range("2001-10-01", periods=800, calendar="noleap", use_cftime=True)
        ),
        "time is CFTimeIndex.*standard calendar",
    ),
    # values
    "nan-driver": (
        lambda ds: put(ds, AIR, time=[3, 5], coarse=1, value=np.nan),
        f"{AIR}: 2 values are NaN.*: coarse 102; days 2001-10-04, 2001-10-06; fill",
    ),
    "nan-own-fine-driver": (
        lambda ds: put(
            ds.assign(air_temperature_fine=ds[WATER].fillna(1.0)),
            "air_temperature_fine",
            time=0,
            fine=2,
            value=np.nan,
        ),
        "air_temperature_fine: 1 value is NaN.*: fine 3; days 2001-10-01",
    ),
    "infinite-driver": (
        lambda ds: put(ds, "solar_radiation_coarse", time=1, coarse=0, value=np.inf),
        "solar_radiation_coarse: 1 value is infinite: coarse 101; days 2001-10-02",
    ),
    "infinite-label": (
        lambda ds: put(ds, WATER, time=9, fine=11, value=-np.inf),
        f"{WATER}: 1 value is infinite: fine 12; days 2001-10-10",
    ),
    "water-too-hot": (
        lambda ds: put(ds, WATER, time=2, fine=0, value=45.5),
        rf"{WATER}: 1 temperature is outside -5..45 degC \(from .* to 45.5\): fine 1; days 2001-10-03; mask",
    ),
    "water-too-cold": (
        lambda ds: put(ds, "water_temperature_coarse", time=2, coarse=0, value=-9999.0),
        r"water_temperature_coarse: 1 temperature is outside -5..45 degC \(from -9999 ",
    ),
    "water-in-kelvin-called-degC": (
        lambda ds: ds.assign({WATER: (ds[WATER] + 273.15).assign_attrs(units="degC")}),
        rf'{WATER}: \d+ temperatures are outside .*probably kelvin; convert: .*ds\["{WATER}"\] - 273.15',
    ),
    "simulated-too-hot": (
        lambda ds: ds.assign(simulated_temperature_coarse=(ds[AIR] * 0 + 60).assign_attrs(units="degC")),
        r"simulated_temperature_coarse: 4,000 temperatures are outside -5..45 degC",
    ),
    "air-too-hot": (
        lambda ds: put(ds, AIR, time=2, coarse=0, value=61.0),
        f"{AIR}: 1 temperature is outside -80..60 degC",
    ),
    "air-in-kelvin-called-degC": (
        lambda ds: ds.assign({AIR: (ds[AIR] + 273.15).assign_attrs(units="degC")}),
        rf"{AIR}: 4,000 temperatures are outside -80..60 degC .*: coarse 101, .*; probably kelvin; ",
    ),
    "air-in-kelvin-on-one-segment": (
        lambda ds: ds.assign({AIR: ds[AIR].where(ds["coarse"] != 104, ds[AIR] + 273.15)}),
        f"{AIR}: 800 temperatures are outside .*: coarse 104; .*; some are probably kelvin; convert those: ",
    ),
    "air-in-fahrenheit-called-degC": (
        lambda ds: ds.assign({AIR: (ds[AIR] * 1.8 + 32).assign_attrs(units="degC")}),
        f"{AIR}: .* temperatures are outside -80..60 degC .*probably degrees Fahrenheit; convert: ",
    ),
    "air-in-fahrenheit-in-winter": (
        lambda ds: ds.assign({AIR: (ds[AIR] * 0.1 + 50).assign_attrs(units="degC")}),
        f"{AIR}: values are probably degrees Fahrenheit, not degC .from .*; convert: ",
    ),
    "water-in-fahrenheit-at-one-reach": (
        lambda ds: ds.assign({WATER: ds[WATER].where(ds["fine"] != 5, ds[WATER] * 1.8 + 32)}),
        rf"{WATER}: .*: fine 5; .*; if these ids are in degrees Fahrenheit, convert them: .*\[5\]",
    ),
    "air-with-a-converted-fill": (
        lambda ds: put(ds, AIR, time=2, coarse=0, value=-9999 - 273.15),
        f"{AIR}: 1 temperature is outside .*coarse 101; days 2001-10-03; .*below absolute zero; mask them: ",
    ),
    "precipitation-fill": (
        lambda ds: put(ds, RAIN, time=[1, 3], coarse=[2, 3], value=-9999.0),
        rf"{RAIN}: 4 values are outside -0.5..2000 mm d-1 \(from -9999 to .*: coarse 103, 104; "
        "days 2001-10-02, 2001-10-04; probably fill values; mask them: ",
    ),
    "precipitation-huge": (
        lambda ds: put(ds, RAIN, time=1, coarse=2, value=1e20),
        rf"{RAIN}: 1 value is outside .* to 1e\+20\): coarse 103; .* probably fill values; mask them: ",
    ),
    "solar-fill": (
        lambda ds: put(ds, SUN, time=5, coarse=0, value=-9999.0),
        f"{SUN}: 1 value is outside -30..1500 W m-2 .* probably fill values; mask them: ",
    ),
    "solar-in-joules": (
        lambda ds: ds.assign({SUN: (ds[SUN] * 86400).assign_attrs(units="W m-2")}),
        f"{SUN}: 4,000 values are outside .* probably joules a day; convert: .*86400",
    ),
    "humidity-impossible": (
        lambda ds: put(with_humidity(ds, 100.0), HUMIDITY, time=5, coarse=0, value=5000.0),
        f"{HUMIDITY}: 1 value is outside -1..120 %.*: coarse 101; days 2001-10-06; correct them, or ",
    ),
    "humidity-as-a-fraction": (
        lambda ds: with_humidity(ds, 1.0),
        rf"{HUMIDITY}: values are probably a fraction, not % \(from .*\); convert: .* \* 100",
    ),
    "driver-without-record": (
        lambda ds: put(ds, RAIN, coarse=3, value=np.nan),
        rf"{RAIN}: 800 values are NaN, .*and coarse 104 .no record. with the coarse mean: .*mean\(",
    ),
    "driver-of-nothing": (
        lambda ds: ds.assign({RAIN: ds[RAIN].where(False)}),
        f"{RAIN}: 4,000 values are NaN, .*the variable has no values; drop it: ",
    ),
    "unknown-driver-fill": (
        lambda ds: put(with_moisture(ds), "soil_moisture_coarse", time=[1, 2], coarse=2, value=-9999.0),
        r"soil_moisture_coarse: 2 values look like fill values \(from -9999 to .*: coarse 103; "
        "days 2001-10-02, 2001-10-03; mask and fill them: ",
    ),
    "unknown-driver-huge": (
        lambda ds: put(with_moisture(ds), "soil_moisture_coarse", time=1, coarse=2, value=9.96921e36),
        r"soil_moisture_coarse: 1 value looks like a fill value .* to 9.9\S*e\+36\): coarse 103; ",
    ),
    "discharge-fill": (
        lambda ds: put(
            ds.assign(discharge_fine=(ds[WATER] * 0 + 1).assign_attrs(units="m3 s-1")),
            "discharge_fine",
            time=1,
            fine=2,
            value=-9999.0,
        ),
        "discharge_fine: 1 value looks like a fill value .*: fine 3; days 2001-10-02; ",
    ),
    "kelvin-fill": (
        lambda ds: put(
            ds.assign(simulated_temperature_coarse=(ds[AIR] + 280).assign_attrs(units="degC")),
            "simulated_temperature_coarse",
            time=1,
            coarse=2,
            value=-9999.0,
        ),
        "simulated_temperature_coarse: 4,000 temperatures are outside .*probably fill values; .*>= -5\\)$",
    ),
    "labels-all-zero": (
        lambda ds: ds.assign({WATER: (ds[WATER] * 0).assign_attrs(units="degC")}),
        rf"{WATER}: all \d+ labels are 0; if 0 means 'not observed'",
    ),
    "labels-all-nan": (
        lambda ds: ds.assign({name: ds[name].where(False) for name in (WATER, "water_temperature_coarse")}),
        "water_temperature_coarse and water_temperature_fine contain no finite value",
    ),
    "nan-static": (
        lambda ds: put(ds, "elevation_fine", fine=[0, 7], value=np.nan),
        "elevation_fine: 2 values are NaN: fine 1, 8; fill",
    ),
    "infinite-static": (
        lambda ds: put(ds, "slope_coarse", coarse=4, value=np.inf),
        "slope_coarse: 1 value is infinite: coarse 105",
    ),
    "elevation-fill": (
        lambda ds: put(ds, "elevation_fine", fine=[0, 7], value=-9998.0),
        r"elevation_fine: 2 values are outside -500..9000 m \(from -9998 to .*: fine 1, 8; probably fill",
    ),
    "static-huge": (
        lambda ds: put(ds, "elevation_coarse", coarse=3, value=1e30),
        r"elevation_coarse: 1 value is outside .*: coarse 104; probably fill values; mask them: ",
    ),
    "unknown-static-huge": (
        lambda ds: put(
            ds.assign(depth_coarse=("coarse", np.ones(5), {"units": "m"})),
            "depth_coarse",
            coarse=3,
            value=1e30,
        ),
        r"depth_coarse: 1 value looks like a fill value .*: coarse 104; mask and fill them: ",
    ),
    "unknown-static-fill": (
        lambda ds: put(
            ds.assign(depth_coarse=("coarse", np.ones(5), {"units": "m"})),
            "depth_coarse",
            coarse=3,
            value=-999,
        ),
        r"depth_coarse: 1 value looks like a fill value \(from -999 to 1\): coarse 104; ",
    ),
    "slope-negative": (
        lambda ds: put(ds, "slope_coarse", coarse=1, value=-0.001),
        r"slope_coarse: 1 value is outside 0..3 \(from -0.001 to 0.01\): coarse 102; correct them, or ",
    ),
    "slope-in-per-cent": (
        lambda ds: ds.assign(slope_coarse=(ds["slope_coarse"] * 100).assign_attrs(units="1")),
        r"slope_coarse: values are probably per cent, not 1 \(from 0.1 to 1.2, typically 0.8\); .* / 100",
    ),
    "slope-of-lowlands-in-per-cent": (
        lambda ds: ds.assign(slope_coarse=("coarse", [0.1, 0.05, 0.2, 0.1, 4.0], {"units": "1"})),
        r"slope_coarse: 1 value is outside 0..3 .*: coarse 105; if slopes are in per cent, convert: .* / 100",
    ),
    "area-negative": (
        lambda ds: put(ds, "drainage_area_fine", fine=4, value=-5.0),
        r"drainage_area_fine: 1 value is outside 0..7.5e\+06 km2 .*: fine 5; correct",
    ),
    "area-in-square-metres": (
        lambda ds: ds.assign(drainage_area_fine=(ds["drainage_area_fine"] * 1e6).assign_attrs(units="km2")),
        r"drainage_area_fine: 12 values are outside .*probably square metres; convert: ",
    ),
    "fine-length-called-m": (
        lambda ds: ds.assign(length_fine=(ds["length_fine"] / 1000).assign_attrs(units="m")),
        r"length_fine: values are probably kilometres, not m \(from 0.8 to 1.9, typically 1.35\); .*1000",
    ),
    "coarse-length-called-m": (
        lambda ds: ds.assign(length_coarse=(ds["length_coarse"] / 1000).assign_attrs(units="m")),
        r"length_coarse: values are probably kilometres, not m \(from 7 to 15, typically 9\); .*1000",
    ),
    "latitude-impossible": (
        lambda ds: ds.assign_coords(lat_fine=("fine", np.r_[500.0, np.full(11, 41.0)])),
        r"lat_fine: 1 value is outside -90..90 degrees \(from 41 to 500\): fine 1; .*drop_vars",
    ),
    "latitude-radian": (
        lambda ds: ds.assign_coords(lat_fine=("fine", np.full(12, 0.71), {"units": "radian"})),
        r"lat_fine is in 'radian' instead of 'degree'; convert: .*np.rad2deg",
    ),
    "latitude-missing": (
        lambda ds: ds.assign_coords(lat_fine=("fine", np.r_[np.nan, np.full(11, 41.0)])),
        r"lat_fine: 1 value is NaN: fine 1; .*drop_vars",
    ),
    "longitude-fill": (
        lambda ds: ds.assign_coords(lon_coarse=("coarse", [-9999.0, -75, -75, -75, -75])),
        r"lon_coarse: 1 value is outside -180..360 degrees .*: coarse 101; probably fill .*drop_vars",
    ),
    "nan-length": (
        lambda ds: put(ds, "length_fine", fine=3, value=np.nan),
        "length_fine: 1 value is NaN: fine 4",
    ),
    "length-zero": (
        lambda ds: put(ds, "length_coarse", coarse=[0, 1], value=[0.0, -4.0]),
        "length_coarse: 2 lengths are not positive: coarse 101, 102",
    ),
}
