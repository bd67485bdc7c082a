"""Wrong values for every argument of every public call: it works, or the error is one of the package."""

from __future__ import annotations

import inspect
import pathlib
import re
import warnings
from dataclasses import fields
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import xmsgl
from tests import bad_arguments, bad_settings
from tests.bad_settings import stop
from tests.small import TWO_FEATURES
from xmsgl import events
from xmsgl.benchmark.sources import SOURCES
from xmsgl.errors import InvalidArgumentError, UnknownNameError, XMSGLError
from xmsgl.events import text as bulletin
from xmsgl.training.settings import TrainSettings, network_arguments

ROOT = pathlib.Path(__file__).parents[1]
WRONG = {
    "None": None,
    "text": "x",
    "empty list": [],
    "object": object(),
    "nan": float("nan"),
    "negative": -1,
    "bool": True,
    "huge": 10**12,
    "NUL": "a\0b",
    "array": xr.DataArray([1.0, 2.0]),
    "dataset": xr.Dataset({"a": ("x", [1.0])}),
}


@pytest.fixture(scope="module")
def things(river_of, tmp_path_factory):
    """A dataset of five segments, a model with intervals and covariance, a prediction, tables of files."""
    folder = tmp_path_factory.mktemp("wrong")
    place = np.arange(12.0)
    ds = river_of(60).assign(lat_fine=("fine", 40 + place / 50), lon_fine=("fine", -75 - place / 70))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = ds.msgl.train("trees", validation="folds:2", iterations=5)
        network = ds.msgl.train("fine-only", validation=None, **TWO_FEATURES)
        one, other = (ds.msgl.train("trees", validation=None, seed=k, iterations=5) for k in (0, 1))
    prediction = ds["water_temperature_fine"].fillna(9.0) + 1
    members = prediction.expand_dims(member=2).drop_vars("member", errors="ignore")
    spread = xr.concat([prediction - 1, prediction + 1], pd.Index([0.1, 0.9], name="quantile"))
    table = pd.DataFrame({"id": [1, 2], "downstream": [2, 0], "length": [900.0, 400.0]})
    at = {"lat": ds["lat_fine"].values[:1], "lon": ds["lon_fine"].values[:1]}
    stations = pd.DataFrame({"station": ["a"], **at, "elevation": [10.0]})
    daily = pd.DataFrame({"station": "a", "date": ds["time"].values[:3], "temperature": 5.0})
    weather = daily.rename(columns={"temperature": "air_temperature [degC]"})
    basin = xmsgl.datasets.simulated(n_coarse=3, reaches_per_segment=4, years=2, seed=4)
    drawn = events.simulate(basin, n=16, sensors=0.4, days=40)
    localizer = events.train(drawn, basin, epochs=1)
    texts = bulletin.bulletins(drawn, basin)
    aligner = bulletin.align(drawn, basin, texts, localizer, epochs=1)
    return SimpleNamespace(
        folder=folder,
        basin=basin,
        events=drawn,
        found=events.locate(drawn, basin, "largest"),
        localizer=localizer,
        texts=texts,
        aligner=aligner,
        vectors=aligner.embed_texts(texts),
        reader=bulletin.BiasReader(["too high", "too low"] * 4, [1.0, -1.0] * 4),
        network=network,
        embedding=ds.msgl.embed(network),
        states=xr.DataArray(
            np.cos(np.arange(366)[:, None, None] / 58 + place[:, None] * [1.0, 2.0]),
            {"time": pd.date_range("2004-01-01", periods=366), "fine": ds["fine"].values},
            ("time", "fine", "latent"),
        ),
        ds=ds,
        model=model,
        one=one,
        other=other,
        prediction=prediction,
        members=members,
        spread=spread,
        observed=ds["water_temperature_fine"],
        table=table,
        stations=stations,
        daily=daily,
        weather=weather,
        readings=pd.DataFrame({"id": [1], "time": ["2001-10-01"], "water_temperature [degC]": [5.0]}),
        graphs=ds.msgl.graph(),
    )


#: The call, and arguments that are fine.
CALLS = bad_arguments.CALLS | bad_settings.CALLS


#: Public names whose arguments no user gives, with the reason.
WITHOUT = {
    # Frozen records that the package makes and hands out; to change one, other calls are used.
    **dict.fromkeys(
        [
            "xmsgl.training.watch.standing.Standing",
            "xmsgl.models.file.covariance.ErrorCovariance",
            "xmsgl.models.file.covariance.ErrorPart",
            "xmsgl.readers.PlacedSites",
            "xmsgl.evaluate.SkillTable",
            "xmsgl.benchmark.Run",
        ],
        "a record that the package makes",
    ),
    # Their arguments (Use, Source, Errors, River) are records that are not public: only training makes them.
    **dict.fromkeys(
        ["xmsgl.training.calibrate.calibrate", "xmsgl.reconstruct.fit.fit_covariance"],
        "called by training with records of its own",
    ),
}


def public_names():
    page = (ROOT / "docs" / "api.md").read_text(encoding="utf-8").split("## Inside")[0]
    names = re.findall(r"^   ((?:xmsgl|xarray)[\w.]+)$", page, re.MULTILINE)
    return [
        name for name in names if not name.startswith("xmsgl.errors") and not name.split(".")[-1].isupper()
    ]


def test_every_public_call_is_tried():
    tried = {name for call in CALLS for name in (call, call.rpartition(".")[0])}
    assert set(public_names()) - tried == set(WITHOUT)  # none is excused that is tried, or not public


@pytest.fixture
def offline(monkeypatch, tmp_path):
    """A cache of its own, a mirror without files, and no network."""
    import requests

    def refuse(*args, **options):
        raise requests.ConnectionError

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(SOURCES, "data", dict(SOURCES.data))  # where register_source writes
    monkeypatch.setattr("requests.get", refuse)
    monkeypatch.setattr("time.sleep", lambda _: None)
    with xmsgl.set_options(progress=False, data_dir=tmp_path / "data", data_mirror=tmp_path):
        yield


def parameters(name, function, good):
    """Names of all arguments, with those behind ``**settings``."""
    given = [
        each.name
        for each in inspect.signature(function).parameters.values()
        if each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD)
    ]
    if name in (
        "xarray.Dataset.msgl.train",
        "xmsgl.training.train.train",
        "xmsgl.training.settings.TrainSettings.of",
    ):
        given += [*(each.name for each in fields(TrainSettings) if each.name != "architecture")]
        given += [*sorted(network_arguments("msgl"))]
    return list(dict.fromkeys([*given, *good]))


def foreign(call, arguments):
    """What a call raises beside errors of the package."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            call(**arguments)
    except XMSGLError:
        return None
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the finding
        return f"{type(error).__name__}: {str(error)[:100]}"
    return None


@pytest.mark.parametrize("name", CALLS)
def test_a_wrong_argument_is_refused_by_an_error_of_the_package(name, things, offline):
    call, good = CALLS[name](things)
    assert foreign(call, good) is None
    found = {}
    for argument in parameters(name, call, good):
        for what, value in WRONG.items():
            if (argument, what) in (("observers", "empty list"), ("retries", "huge")):  # take their time
                continue
            if fault := foreign(call, {**good, argument: value}):
                found[f"{argument}={what}"] = fault
    assert found == {}


@pytest.mark.parametrize(
    "wrong",
    [
        {"learning_rate": b"x"},
        {"learning_rate": True},
        {"seed": 1.5},
        {"seed": True},
        {"hidden": True},
        {"hidden": 4.0},
        {"dropout": "0.1"},
        {"heads": 10**12},
        {"anchored": 1},
        {"tasks": "fine"},
        {"warmup": 10**12},
        {"ensemble": 10**12},
        {"limit": "5"},
        {"hops": True},
        {"direction": None},
        {"start": 5},
        {"device": None},
        {"checkpoint": 5},
        {"observers": "x"},
        {"progress": 1},
    ],
    ids=str,
)
def test_nothing_is_converted_in_silence(wrong, things):
    (name,) = wrong
    with pytest.raises(InvalidArgumentError, match=name):
        things.ds.msgl.train("msgl", **{"observers": [stop], **TWO_FEATURES, **wrong})


def test_a_message_names_the_argument_the_wanted_and_the_given(things):
    with pytest.raises(InvalidArgumentError, match=r"^warmup must be a whole number or None, not True$"):
        things.ds.msgl.downscale(things.model, warmup=True)
    with pytest.raises(
        InvalidArgumentError, match=r"^quantiles must be a list \(a number each\) or None, not 0"
    ):
        things.ds.msgl.downscale(things.model, quantiles=0.5)
    with pytest.raises(InvalidArgumentError, match=r"^model must be a Model or text or a path or None"):
        things.ds.msgl.downscale(5)
    with pytest.raises(UnknownNameError, match="unknown colour map 'x'"):
        things.ds.msgl.plot.network("length_fine", cmap="x")
