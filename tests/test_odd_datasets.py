"""Datasets that are odd or wrong, through every call: it works, or the error is one of the package."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import xmsgl
from tests.small import TWO_FEATURES
from xmsgl.errors import InvalidDatasetError, ModelMismatchError, XMSGLError


def with_ids(ds, scale, ids):
    """The dataset with other ids, also in the topology and the crosswalk."""
    table = dict(zip(ds[scale].values.tolist(), ids, strict=True))
    table[0] = 0 if not isinstance(ids[0], str) else ""
    renamed = {f"downstream_{scale}": ds[f"downstream_{scale}"]}
    if scale == "coarse":
        renamed["coarse_segment"] = ds["coarse_segment"]
    new = {
        name: (array.dims, np.array([table[each] for each in array.values.tolist()], dtype=object))
        for name, array in renamed.items()
    }
    return ds.assign(new).assign_coords({scale: (scale, np.array(ids, dtype=object))})


def typed(dtype):
    def change(ds):
        return ds.assign(air_temperature_coarse=ds["air_temperature_coarse"].astype(dtype))

    return change


def multi_index(ds):
    index = pd.MultiIndex.from_arrays([np.arange(12), np.arange(12)], names=("a", "b"))
    return ds.drop_vars("fine").assign_coords(xr.Coordinates.from_pandas_multiindex(index, "fine"))


def with_nat(ds):
    days = ds["time"].values.copy()
    days[3] = np.datetime64("NaT")
    return ds.assign_coords(time=days)


def objects(ds, values):
    return ds.assign(air_temperature_coarse=(("time", "coarse"), np.full((60, 5), values, dtype=object)))


def units(text):
    def change(ds):
        ds["air_temperature_coarse"].attrs["units"] = text
        return ds

    return change


ODD = {
    "text driver": typed(str),
    "object driver": lambda ds: objects(ds, "warm"),
    "driver of numbers as objects": typed(object),
    "bool driver": typed(bool),
    "complex driver": typed(complex),
    "mixed ids": lambda ds: with_ids(ds, "fine", [1, "b", *range(3, 13)]),
    "mixed segment ids": lambda ds: with_ids(ds, "coarse", [1, "b", 3, 4, 5]),
    "ids of 1.5": lambda ds: ds.assign_coords(fine=ds["fine"] + 0.5),
    "noleap calendar": lambda ds: ds.convert_calendar("noleap", use_cftime=True),
    "360 days": lambda ds: ds.convert_calendar("360_day", align_on="date", use_cftime=True),
    "cftime": lambda ds: ds.convert_calendar("standard", use_cftime=True),
    "duplicated reaches": lambda ds: ds.assign_coords(fine=[1, 1, *range(3, 13)]),
    "duplicated segments": lambda ds: ds.assign_coords(coarse=[101, 101, 103, 104, 105]),
    "duplicated days": lambda ds: ds.isel(time=[0, *range(59)]),
    "MultiIndex": multi_index,
    "NaT": with_nat,
    "time zone": lambda ds: ds.assign_coords(time=pd.DatetimeIndex(ds["time"].values, tz="UTC")),
    "integer time": lambda ds: ds.assign_coords(time=np.arange(60)),
    "text time": lambda ds: ds.assign_coords(time=ds["time"].astype(str)),
    "periods": lambda ds: ds.assign_coords(time=ds.indexes["time"].to_period("D")),
    "no days": lambda ds: ds.isel(time=slice(0)),
    "no reaches": lambda ds: ds.isel(fine=slice(0)),
    "no segments": lambda ds: ds.isel(coarse=slice(0)),
    "empty": lambda ds: xr.Dataset(),
    "without coordinates": lambda ds: ds.drop_vars(["time", "coarse", "fine"]),
    "a dimension called reach": lambda ds: ds.rename(fine="reach"),
    "a coordinate called reach": lambda ds: ds.assign_coords(reach=("fine", np.arange(12))),
    "a variable called 5": lambda ds: ds.assign({5: ("coarse", np.arange(5.0))}),
    "a driver called 5": lambda ds: ds.assign({5: ds["air_temperature_coarse"]}),
    "a variable called ()": lambda ds: ds.assign({("a", 1): ("fine", np.arange(12.0))}),
    "history of numbers": lambda ds: ds.assign_attrs(history=5),
    "title of numbers": lambda ds: ds.assign_attrs(title=5),
    "huge power": units("m" + "9" * 5000),
    "units of numbers": units(5),
    "NaN topology": lambda ds: ds.assign(downstream_fine=ds["downstream_fine"] * np.nan),
    "text topology": lambda ds: ds.assign(downstream_fine=ds["downstream_fine"].astype(str)),
    "bool crosswalk": lambda ds: ds.assign(coarse_segment=ds["coarse_segment"] > 102),
    "text lengths": lambda ds: ds.assign(length_fine=ds["length_fine"].astype(str)),
    "text labels": lambda ds: ds.assign(water_temperature_fine=ds["water_temperature_fine"].astype(str)),
    "complex labels": lambda ds: ds.assign(water_temperature_fine=ds["water_temperature_fine"] * 1j),
    "scalar topology": lambda ds: ds.assign(downstream_fine=3),
    "text coordinates": lambda ds: ds.assign(
        lat_fine=("fine", list("abcdefghijkl")), lon_fine=ds["lat_fine"]
    ),
    "text stream order": lambda ds: ds.assign(stream_order_fine=("fine", list("abcdefghijkl"))),
    "geometry of numbers": lambda ds: ds.assign(geometry_fine=("fine", np.arange(12.0))),
}


@pytest.fixture(scope="module")
def sound(river_of):
    ds = river_of(60)
    place = np.arange(12.0)
    return ds.assign(lat_fine=("fine", 40 + place / 50), lon_fine=("fine", -75 - place / 70))


@pytest.fixture(scope="module")
def model(sound, small_fits):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return sound.msgl.train("trees", validation="folds:2", iterations=5, progress=False)


def temperature(ds, sound):
    """A prediction of the odd dataset: its own labels, filled."""
    name = "water_temperature_fine"
    array = ds[name] if name in ds else sound[name]
    return array.fillna(9.0) if array.dtype.kind == "f" else array


def first(array):
    """The id of the first reach, or an id that is not one."""
    return next(iter(array.indexes.get("fine", [])), 1)


CALLS = {
    "validate": lambda ds, p, m, out: ds.msgl.validate(),
    "validate without values": lambda ds, p, m, out: ds.msgl.validate(values=False, labels=False),
    "graph": lambda ds, p, m, out: repr(ds.msgl.graph(nearest=2).describe()),
    "train": lambda ds, p, m, out: ds.msgl.train("remap", validation=None, **TWO_FEATURES),
    "downscale": lambda ds, p, m, out: ds.msgl.downscale(m).values,
    "reconstruct": lambda ds, p, m, out: ds.msgl.reconstruct(m).values,
    "evaluate": lambda ds, p, m, out: ds.msgl.evaluate(p, by=["reach", "month"]),
    "compare": lambda ds, p, m, out: ds.msgl.compare({"a": p, "b": p}),
    "next_sensors": lambda ds, p, m, out: xmsgl.evaluate.next_sensors(ds, m),
    "indices": lambda ds, p, m, out: xmsgl.evaluate.indices(p),
    "climatology": lambda ds, p, m, out: xmsgl.evaluate.climatology(ds),
    "regression": lambda ds, p, m, out: xmsgl.evaluate.air_temperature_regression(ds),
    "mask": lambda ds, p, m, out: xmsgl.evaluate.mask_labels(ds, days=["2001-10-03"], segments=[101]),
    "hold out": lambda ds, p, m, out: xmsgl.evaluate.hold_out_segments(ds, 0.5),
    "split": lambda ds, p, m, out: xmsgl.evaluate.split_years(ds),
    "network": lambda ds, p, m, out: ds.msgl.plot.network(p, time="2001-10-05").figure.canvas.draw(),
    "series": lambda ds, p, m, out: ds.msgl.plot.series(p, reach=first(p)).figure.canvas.draw(),
    "skill": lambda ds, p, m, out: ds.msgl.plot.skill(p, by="reach").figure.canvas.draw(),
    "plot graph": lambda ds, p, m, out: ds.msgl.plot.graph("fine").figure.canvas.draw(),
    "plot both": lambda ds, p, m, out: ds.msgl.plot.graph().figure.canvas.draw(),
    "overview": lambda ds, p, m, out: xmsgl.plot.overview(p, ds).canvas.draw(),
    "explore": lambda ds, p, m, out: ds.msgl.explore(out / "p.html", prediction=p),
    "export cf": lambda ds, p, m, out: ds.msgl.export(p),
    "export ugrid": lambda ds, p, m, out: ds.msgl.export(p, convention="ugrid"),
    "export xvec": lambda ds, p, m, out: ds.msgl.export(p, convention="xvec"),
    "export daily": lambda ds, p, m, out: ds.msgl.export(),
    "frame": lambda ds, p, m, out: xmsgl.export.to_geodataframe(p, ds),
    "tree": lambda ds, p, m, out: ds.msgl.to_datatree().msgl.validate(),
    "coarsen": lambda ds, p, m, out: xmsgl.coarsen(ds.drop_dims("coarse", errors="ignore")),
    "combine": lambda ds, p, m, out: xmsgl.combine(
        ds.drop_dims("fine", errors="ignore"), ds.drop_dims("coarse", errors="ignore"), {1: 101}
    ),
}


@pytest.mark.parametrize("odd", ODD)
def test_odd_datasets_are_refused_by_errors_of_the_package(odd, sound, model, tmp_path):
    ds = ODD[odd](sound.copy(deep=True))
    array, found = temperature(ds, sound), {}
    for name, call in CALLS.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                call(ds, array, model, tmp_path)
            except XMSGLError as error:
                assert len(str(error)) < 10_000, name  # noqa: PT017
            except Exception as error:  # noqa: BLE001 - whatever it is, it is the finding
                found[name] = f"{type(error).__name__}: {str(error)[:100]}"
    assert found == {}


REFUSED = {
    **dict.fromkeys(
        ["text driver", "object driver", "bool driver", "complex driver"], "air_temperature_coarse has"
    ),
    **dict.fromkeys(
        ["noleap calendar", "360 days", "cftime"], "instead of datetime64 of the standard calendar"
    ),
    "MultiIndex": r"fine has several levels \(a, b\)",
    "mixed ids": "fine has ids that are a mix of int and str; give integers or text",
    "time zone": "time is with a time zone",
    "no reaches": "dimension 'fine' has size 0",
    "a dimension called reach": "dimension 'fine' is missing",
    "empty": "dimension 'time' is missing",
    "NaT": "time has 1 missing value",
}


@pytest.mark.parametrize("odd", REFUSED)
def test_downscale_says_what_is_wrong_and_what_to_do(odd, sound, model):
    with pytest.raises((InvalidDatasetError, ModelMismatchError), match=REFUSED[odd]):
        ODD[odd](sound.copy(deep=True)).msgl.downscale(model)


@pytest.mark.parametrize("odd", ["a variable called 5", "a coordinate called reach"])
def test_what_is_only_unusual_works(odd, sound, model, tmp_path):
    ds = ODD[odd](sound.copy(deep=True))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        predicted = ds.msgl.downscale(model)
        np.testing.assert_array_equal(predicted.values, sound.msgl.downscale(model).values)
        ax = ds.msgl.plot.series(predicted, reach=ds["fine"].values[0])
        ds.msgl.train("remap", validation=None, **TWO_FEATURES)
    ax.figure.savefig(tmp_path / "series.png")


def test_the_nearest_neighbours_of_a_dataset_do_not_depend_on_its_order(sound):
    ds = sound.assign(length_fine=sound["length_fine"] * 0 + 1000.0)
    moved = ds.isel(fine=np.random.default_rng(0).permutation(12))
    one, two = (each.msgl.graph("fine", nearest=2) for each in (ds, moved))
    back = np.argsort(np.argsort(moved["fine"].values))
    np.testing.assert_allclose(two.operator.toarray(), one.operator.toarray()[np.ix_(back, back)], atol=1e-15)
