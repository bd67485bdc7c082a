"""Wrong values for every argument of every public call: it works, or the error is one of the package."""

from __future__ import annotations

import importlib
import inspect
import pathlib
import re
import warnings
from dataclasses import fields
from functools import partial
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import xmsgl
import xmsgl.benchmark.pictures
import xmsgl.benchmark.sources
import xmsgl.models.file.card
import xmsgl.models.file.intervals
import xmsgl.models.file.packaged
import xmsgl.models.methods.base
import xmsgl.plot.door
import xmsgl.prediction.embed
import xmsgl.readers.backend
import xmsgl.reconstruct.door
import xmsgl.training.recipes
import xmsgl.training.train
import xmsgl.training.watch.tensorboard
from tests.readers.test_nhm import forcing as nhm_forcing
from tests.readers.test_nhm import parameters as nhm_parameters
from tests.readers.test_nhm import units as nhm_units
from tests.readers.test_riverdl import DISTANCE, NAMES
from tests.readers.test_riverdl import drivers as dl_drivers
from tests.small import TWO_FEATURES
from xmsgl import benchmark, datasets, evaluate, events, export, plot, readers
from xmsgl.benchmark.sources import SOURCES
from xmsgl.errors import InvalidArgumentError, UnknownNameError, XMSGLError
from xmsgl.events import text as bulletin
from xmsgl.models.backbones.registry import BACKBONES as KINDS
from xmsgl.models.methods.registry import MODELS
from xmsgl.network.graph import RiverGraph, RiverGraphs
from xmsgl.network.kernels import Exponential, get_kernel
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


class EnoughError(XMSGLError):
    """What ends a training whose arguments are fine."""


def stop(standing):
    raise EnoughError


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


def lat_lon(t):
    axis = {"time": t.ds["time"].values[:3], "lat": [30.0, 50.0], "lon": [-90.0, -60.0]}
    return xr.Dataset({"t": (tuple(axis), np.full((3, 2, 2), 5.0), {"units": "degC"})}, coords=axis)


#: Networks and backbones, whose settings are arguments of ds.msgl.train.
METHODS = {
    "msgl.MSGL": "msgl",
    "msgl.FineOnly": "fine-only",
    "msgl.CoarseOnly": "remap",
    "trees.Trees": "trees",
}
BACKBONES = {
    "recurrent.PlainLSTM": "lstm",
    "recurrent.GraphAttentionLSTM": "gat-lstm",
    "wavenet.GraphWaveNet": "graph-wavenet",
    "stgcn.STGCN": "stgcn",
    "dynamic.DynamicGraph": "dynamic",
}


def network(method, t):
    """Training of a method, and the settings of its network."""
    known = inspect.signature(MODELS[method]).parameters
    settings = {name: known[name].default for name in sorted(network_arguments(method))}
    settings |= {"iterations": 5} if method == "trees" else {}
    common = {**TWO_FEATURES, "observers": [stop]} if method != "trees" else {"validation": None}
    settings |= {name: common.pop(name) for name in set(common) & set(settings)}
    return lambda **given: t.ds.msgl.train(method, **common, **given), settings


def backbone(name, t):
    """Training with a backbone, and the options of that."""
    known = list(inspect.signature(KINDS[name]).parameters.values())[2:]
    options = {each.name: each.default for each in known if each.name not in ("dropout", "backend")}

    def call(**given):
        chosen = {"name": name, **given}
        return t.ds.msgl.train("fine-only", backbone=chosen, observers=[stop], **TWO_FEATURES)

    return call, options


def picture(name, t):
    """A figure of a benchmark, and scores for it."""
    group, member = {"months": ("month", "1"), "stream_orders": ("stream_order", "1")}.get(name, ("all", ""))
    if name == "reaches":
        group, member = "reach", str(t.ds["fine"].values[0])
    row = {
        "group": group,
        "member": member,
        "metric": "rmse",
        "value": 1.0,
        "n": 9,
        "label": "a",
        "method": "a",
    }
    row |= {"fraction": 1.0, "seed": 0, "settings": '{"hidden": 2}', "degrade": "{}"}
    scores = pd.DataFrame([row])
    given = {"sensitivity": {"setting": "hidden"}, "reaches": {"ds": t.ds}}.get(name, {})
    if name == "convergence":
        epochs = {"validation": [1.0], "seconds": [1.0], "run": ["a"], "label": ["a"]}
        return benchmark.pictures.convergence, {"epochs": pd.DataFrame(epochs)}
    return getattr(benchmark.pictures, name), {"scores": scores, **given}


#: The call, and arguments that are fine.
CALLS = {
    "xarray.Dataset.msgl.validate": lambda t: (t.ds.msgl.validate, {}),
    "xarray.Dataset.msgl.graph": lambda t: (t.ds.msgl.graph, {"scale": "fine", "hops": 2}),
    "xarray.Dataset.msgl.train": lambda t: (
        t.ds.msgl.train,
        {"method": "msgl", "observers": [stop], **TWO_FEATURES},
    ),
    "xarray.Dataset.msgl.downscale": lambda t: (t.ds.msgl.downscale, {"model": t.model, "warmup": 5}),
    "xarray.Dataset.msgl.reconstruct": lambda t: (
        t.ds.msgl.reconstruct,
        {"model": t.model, "warmup": 5, "device": "cpu"},
    ),
    "xarray.Dataset.msgl.state": lambda t: (
        t.ds.msgl.state,
        {
            "model": t.model,
            "day": "2001-11-01",
            "observed": None,
            "start": None,
            "warmup": 5,
            "device": "cpu",
        },
    ),
    "xarray.Dataset.msgl.embed": lambda t: (
        t.ds.msgl.embed,
        {"model": t.network, "warmup": 5, "device": "cpu"},
    ),
    "xarray.Dataset.msgl.evaluate": lambda t: (
        t.ds.msgl.evaluate,
        {"prediction": t.prediction, "seed": 0, "tails": "inclusive"},
    ),
    "xarray.Dataset.msgl.compare": lambda t: (
        t.ds.msgl.compare,
        {"predictions": {"a": t.prediction, "b": t.observed}, "observed": None, "by": None, "confidence": 0.9}
        | {"seed": 0},
    ),
    "xarray.Dataset.msgl.export": lambda t: (t.ds.msgl.export, {"prediction": t.prediction}),
    "xarray.Dataset.msgl.explore": lambda t: (
        t.ds.msgl.explore,
        {"path": t.folder / "p.html", "prediction": t.prediction}
        | {"interval": None, "observed": None, "title": None},
    ),
    "xarray.Dataset.msgl.plot.network": lambda t: (
        t.ds.msgl.plot.network,
        {"var": t.prediction, "time": "2001-11"},
    ),
    "xarray.Dataset.msgl.plot.series": lambda t: (
        t.ds.msgl.plot.series,
        {"prediction": t.prediction, "reach": t.ds["fine"].values[0]},
    ),
    "xarray.Dataset.msgl.plot.skill": lambda t: (
        t.ds.msgl.plot.skill,
        {"prediction": t.prediction, "by": "month"},
    ),
    "xarray.Dataset.msgl.plot.graph": lambda t: (t.ds.msgl.plot.graph, {"which": "fine"}),
    "xmsgl.combine": lambda t: (
        xmsgl.combine,
        {
            "coarse_ds": t.ds.drop_dims("fine"),
            "fine_ds": t.ds.drop_dims("coarse").drop_vars("coarse_segment"),
            "crosswalk": t.ds["coarse_segment"],
        },
    ),
    "xmsgl.join_basins": lambda t: (xmsgl.join_basins, {"basins": [t.ds, t.ds], "renumber": True}),
    "xmsgl.coarsen": lambda t: (xmsgl.coarsen, {"ds": t.ds.drop_dims("coarse").drop_vars("coarse_segment")}),
    "xmsgl.catalog_path": lambda t: (xmsgl.catalog_path, {}),
    "xmsgl.load_model": lambda t: (xmsgl.load_model, {}),
    "xmsgl.Model.member": lambda t: (t.model.member, {"k": 0}),
    "xmsgl.Model.join": lambda t: (xmsgl.Model.join, {"models": [t.one, t.other]}),
    "xmsgl.Model.save": lambda t: (t.model.save, {"path": t.folder / "m"}),
    "xmsgl.Model.from_bytes": lambda t: (xmsgl.Model.from_bytes, {"payload": t.model.payload}),
    "xmsgl.set_options": lambda t: (
        xmsgl.set_options,
        {
            "progress": False,
            "data_dir": None,
            "data_mirror": None,
            "deterministic": False,
            "process_tuning": False,
            "training_memory": None,
            "largest_basin": 131_072,
        },
    ),
    "xmsgl.get_option": lambda t: (xmsgl.get_option, {"name": "progress"}),
    "xmsgl.training.settings.TrainSettings": lambda t: (TrainSettings, {}),
    "xmsgl.training.settings.TrainSettings.of": lambda t: (TrainSettings.of, {"method": "msgl"}),
    "xmsgl.models.methods.base.register_model": lambda t: (
        xmsgl.models.methods.base.register_model,
        {"name": "y"},
    ),
    "xmsgl.datasets.delaware": lambda t: (datasets.delaware, {"cache_dir": t.folder / "none"}),
    "xmsgl.datasets.willamette": lambda t: (datasets.willamette, {"cache_dir": t.folder / "none"}),
    "xmsgl.datasets.yakima": lambda t: (datasets.yakima, {"cache_dir": t.folder / "none"}),
    "xmsgl.datasets.simulated": lambda t: (datasets.simulated, {"n_coarse": 2, "years": 1}),
    "xmsgl.datasets.availability": lambda t: (datasets.availability, {"name": "delaware"}),
    "xmsgl.datasets.fetch": lambda t: (
        datasets.fetch,
        {"name": "delaware", "cache_dir": t.folder / "none", "retries": 0, "progress": False},
    ),
    "xmsgl.readers.read": lambda t: (
        lambda name, source, **options: readers.read(name, source, **options),
        {"name": "csv", "source": t.table, "units": {"length": "m"}},
    ),
    "xmsgl.readers.get": lambda t: (readers.get, {"name": "csv"}),
    "xmsgl.readers.register": lambda t: (readers.register, {"name": "y"}),
    "xmsgl.readers.read_csv": lambda t: (readers.read_csv, {"reaches": t.table, "units": {"length": "m"}}),
    "xmsgl.readers.read_csv_basin": lambda t: (
        readers.read_csv_basin,
        {
            "coarse": (
                t.table,
                t.readings,
            ),
            "fine": (t.table.assign(segment=[1, 2]), None),
            "units": {"length": "m"},
        },
    ),
    "xmsgl.readers.crosswalk": lambda t: (readers.crosswalk, {"coarse": t.ds, "fine": t.ds}),
    "xmsgl.readers.keep": lambda t: (
        readers.keep,
        {"ds": t.ds.drop_dims("coarse"), "ids": t.ds["fine"].values[:2]},
    ),
    "xmsgl.readers.one_scale": lambda t: (readers.one_scale, {"ds": t.ds.drop_dims("coarse")}),
    "xmsgl.readers.place_sites": lambda t: (
        readers.place_sites,
        {"sites": t.stations, "observations": t.daily, "network": t.ds},
    ),
    "xmsgl.readers.weather_from_grid": lambda t: (
        readers.weather_from_grid,
        {"grid": lat_lon(t), "network": t.ds, "names": {"air_temperature": "t"}},
    ),
    "xmsgl.readers.weather_from_stations": lambda t: (
        readers.weather_from_stations,
        {"stations": t.stations, "daily": t.weather, "network": t.ds},
    ),
    "xmsgl.readers.read_nhdplus": lambda t: (
        readers.read_nhdplus,
        {"source": pd.DataFrame({"comid": [1, 2], "tocomid": [2, 0], "lengthkm": [1.0, 2.0]})},
    ),
    "xmsgl.readers.read_nhm": lambda t: (
        readers.read_nhm,
        {"parameters": [nhm_parameters(), nhm_units()], "daily": nhm_forcing()},
    ),
    "xmsgl.readers.read_river_dl": lambda t: (
        readers.read_river_dl,
        {"drivers": dl_drivers(), "network": {"rowcolnames": NAMES, "downstream": DISTANCE}},
    ),
    "xmsgl.readers.read_ssn": lambda t: (readers.read_ssn, {"source": t.folder}),
    "xmsgl.events.simulate": lambda t: (
        events.simulate,
        {"obj": t.basin, "n": 2, "sensors": 0.4, "days": 40, "noise": 0.1, "seed": 3},
    ),
    "xmsgl.events.train": lambda t: (
        events.train,
        {"events": t.events, "obj": t.basin, "epochs": 1, "seed": 2},
    ),
    "xmsgl.events.locate": lambda t: (
        events.locate,
        {"events": t.events, "obj": t.basin, "method": "largest"},
    ),
    "xmsgl.events.score": lambda t: (
        events.score,
        {"found": t.found, "events": t.events, "obj": t.basin},
    ),
    "xmsgl.events.perturb": lambda t: (
        events.perturb,
        {"events": t.events, "band": (3, 10), "shift": 1, "lost": 0.1, "noise": 0.1, "bias": 1.0, "seed": 1},
    ),
    "xmsgl.events.sensor_weights": lambda t: (
        events.sensor_weights,
        {"events": t.events, "obj": t.basin, "localizer": t.localizer},
    ),
    "xmsgl.events.felt": lambda t: (events.felt, {"events": t.events, "obj": t.basin}),
    "xmsgl.events.Localizer.save": lambda t: (t.localizer.save, {"path": t.folder / "localizer.safetensors"}),
    "xmsgl.events.Localizer.load": lambda t: (
        events.Localizer.load,
        {"path": t.localizer.save(t.folder / "localizer.safetensors")},
    ),
    "xmsgl.events.text.bulletins": lambda t: (
        bulletin.bulletins,
        {"events": t.events, "obj": t.basin, "seed": 1, "family": "log", "ids": False},
    ),
    "xmsgl.events.text.encode": lambda t: (bulletin.encode, {"texts": ["warm"], "encoder": "hashing"}),
    "xmsgl.events.text.align": lambda t: (
        bulletin.align,
        {
            "events": t.events,
            "obj": t.basin,
            "texts": t.texts,
            "localizer": t.localizer,
            "encoder": "hashing",
            "epochs": 1,
            "seed": 2,
        },
    ),
    "xmsgl.events.text.recall": lambda t: (bulletin.recall, {"a": t.vectors, "b": t.vectors, "k": 2}),
    "xmsgl.events.text.TextAligner.embed_events": lambda t: (
        t.aligner.embed_events,
        {"events": t.events, "obj": t.basin},
    ),
    "xmsgl.events.text.TextAligner.embed_texts": lambda t: (t.aligner.embed_texts, {"texts": ["warm"]}),
    "xmsgl.events.text.TextAligner.classify": lambda t: (
        t.aligner.classify,
        {"events": t.events, "obj": t.basin, "descriptions": {"warm": ["warm water"]}},
    ),
    "xmsgl.events.text.TextAligner.save": lambda t: (
        t.aligner.save,
        {"path": t.folder / "aligner.safetensors"},
    ),
    "xmsgl.events.text.TextAligner.load": lambda t: (
        bulletin.TextAligner.load,
        {"path": t.aligner.save(t.folder / "aligner.safetensors")},
    ),
    "xmsgl.events.text.gauge_bulletins": lambda t: (
        bulletin.gauge_bulletins,
        {"biases": {14: 1.0, "a": -0.5}, "seed": 1, "family": "log"},
    ),
    "xmsgl.events.text.BiasReader": lambda t: (
        bulletin.BiasReader,
        {"texts": ["too high", "too low"] * 4, "biases": [1.0, -1.0] * 4, "encoder": "hashing"},
    ),
    "xmsgl.events.text.BiasReader.estimate": lambda t: (t.reader.estimate, {"texts": ["too high"]}),
    "xmsgl.events.text.BiasReader.correct": lambda t: (
        t.reader.correct,
        {"observed": t.observed, "texts": [f"{t.ds['fine'].values[0]} reads too high"]},
    ),
    "xmsgl.evaluate.next_sensors": lambda t: (
        evaluate.next_sensors,
        {"obj": t.ds, "model": t.model, "candidates": t.ds["fine"].values[:2].tolist()},
    ),
    "xmsgl.evaluate.check_sensors": lambda t: (evaluate.check_sensors, {"obj": t.ds, "model": t.model}),
    "xmsgl.evaluate.variance_decomposition": lambda t: (
        evaluate.variance_decomposition,
        {"scores": xr.DataArray(np.eye(3)[None], dims=("repeat", "fold", "seed"))},
    ),
    "xmsgl.evaluate.score": lambda t: (
        evaluate.score,
        {"prediction": t.prediction, "observed": t.observed, "dataset": t.ds},
    ),
    "xmsgl.evaluate.coverage": lambda t: (
        evaluate.coverage,
        {"prediction": t.spread, "observed": t.observed},
    ),
    "xmsgl.evaluate.pinball": lambda t: (evaluate.pinball, {"prediction": t.spread, "observed": t.observed}),
    "xmsgl.evaluate.crps": lambda t: (evaluate.crps, {"prediction": t.members, "observed": t.observed}),
    "xmsgl.evaluate.compare": lambda t: (
        evaluate.compare,
        {"predictions": {"a": t.prediction, "b": t.observed}, "observed": t.observed, "dataset": t.ds},
    ),
    "xmsgl.evaluate.indices": lambda t: (
        evaluate.indices,
        {"temperature": t.prediction, "observed": t.observed},
    ),
    "xmsgl.evaluate.analogues": lambda t: (
        evaluate.analogues,
        {"embedding": t.embedding, "reach": 1, "n": 2},
    ),
    "xmsgl.evaluate.regimes": lambda t: (
        evaluate.regimes,
        {"behaviour": t.basin["true_temperature_fine"], "n": 2},
    ),
    "xmsgl.evaluate.skill_table": lambda t: (
        evaluate.skill_table,
        {"predictions": {"a": t.prediction}, "observed": t.observed},
    ),
    "xmsgl.evaluate.mask_labels": lambda t: (evaluate.mask_labels, {"obj": t.ds}),
    "xmsgl.evaluate.hold_out_segments": lambda t: (evaluate.hold_out_segments, {"ds": t.ds}),
    "xmsgl.evaluate.keep_fraction": lambda t: (
        evaluate.keep_fraction,
        {"labels": t.observed, "fraction": 0.5},
    ),
    "xmsgl.evaluate.leave_one_basin_out": lambda t: (
        partial(evaluate.leave_one_basin_out, epochs=1, hidden=2, progress=False),
        {"obj": t.ds, "method": "remap"},
    ),
    "xmsgl.evaluate.temporal_split": lambda t: (evaluate.temporal_split, {"ds": t.ds}),
    "xmsgl.evaluate.split_years": lambda t: (evaluate.split_years, {"time": t.ds}),
    "xmsgl.evaluate.water_year": lambda t: (evaluate.water_year, {"time": t.ds}),
    "xmsgl.evaluate.climatology": lambda t: (evaluate.climatology, {"obj": t.ds}),
    "xmsgl.evaluate.air_temperature_regression": lambda t: (
        evaluate.air_temperature_regression,
        {"obj": t.ds},
    ),
    "xmsgl.benchmark.degrade": lambda t: (
        importlib.import_module("xmsgl.benchmark.degrade").degrade,
        {"ds": t.ds, "amounts": {"noise": 1.0}},
    ),
    "xmsgl.plot.overview": lambda t: (plot.overview, {"prediction": t.prediction, "obj": t.ds}),
    "xmsgl.plot.network": lambda t: (plot.network, {"da": t.prediction.mean("time"), "obj": t.ds}),
    "xmsgl.plot.uncertainty": lambda t: (plot.uncertainty, {"prediction": t.spread, "obj": t.ds}),
    "xmsgl.plot.series": lambda t: (
        plot.series,
        {"prediction": t.prediction, "obj": t.ds, "reach": t.ds["fine"].values[0]},
    ),
    "xmsgl.plot.embedding": lambda t: (
        plot.embedding,
        {"states": t.states, "obj": t.ds},
    ),
    "xmsgl.plot.explore": lambda t: (
        plot.explore,
        {"prediction": t.prediction, "obj": t.ds, "path": t.folder / "p.html"},
    ),
    "xmsgl.export.to_geodataframe": lambda t: (
        export.to_geodataframe,
        {"prediction": t.prediction, "obj": t.ds},
    ),
    "xmsgl.export.export": lambda t: (export.export, {"obj": t.ds}),
    "xmsgl.benchmark.run": lambda t: (benchmark.run, {"dataset": "none", "out": t.folder / "bench"}),
    "xmsgl.benchmark.make_plan": lambda t: (benchmark.make_plan, {"dataset": "simulated"}),
    "xmsgl.benchmark.register_reference": lambda t: (
        benchmark.register_reference,
        {"name": "y", "learns_from": ["fine"]},
    ),
    "xmsgl.network.graph.RiverGraph.build": lambda t: (
        RiverGraph.build,
        {"ids": [1, 2], "downstream": [1, -1], "length": [900.0, 400.0], "hops": 1},
    ),
    "xmsgl.network.graph.RiverGraphs.build": lambda t: (
        RiverGraphs.build,
        {"coarse": t.graphs.coarse, "fine": t.graphs.fine, "segment": t.ds["coarse_segment"].values - 1},
    ),
    "xmsgl.network.kernels.get_kernel": lambda t: (get_kernel, {"spec": "gaussian"}),
    "xmsgl.network.kernels.register_kernel": lambda t: (
        xmsgl.network.kernels.register_kernel,
        {"name": "y"},
    ),
    "xmsgl.network.kernels.Exponential": lambda t: (Exponential, {"scale_m": 5.0}),
    "xmsgl.network.kernels.Gaussian": lambda t: (xmsgl.network.kernels.Gaussian, {"scale_m": 5.0}),
    "xmsgl.network.kernels.Inverse": lambda t: (xmsgl.network.kernels.Inverse, {"scale_m": 5.0}),
    "xarray.Dataset.msgl.to_datatree": lambda t: (t.ds.msgl.to_datatree, {}),
    "xmsgl.plot.door.Plots": lambda t: (xmsgl.plot.door.Plots, {"obj": t.ds}),
    "xmsgl.training.train.train": lambda t: (
        partial(xmsgl.training.train.train, observers=[stop]),
        {"obj": t.ds, "method": "msgl", **TWO_FEATURES},
    ),
    "xmsgl.training.recipes.Recipe": lambda t: (
        xmsgl.training.recipes.Recipe,
        {"name": "y", "description": "a", "source": "b", "settings": {}},
    ),
    "xmsgl.training.recipes.recipe_settings": lambda t: (
        xmsgl.training.recipes.recipe_settings,
        {"name": "published"},
    ),
    "xmsgl.training.watch.tensorboard.TensorBoardLog": lambda t: (
        xmsgl.training.watch.tensorboard.TensorBoardLog,
        {"folder": t.folder / "events"},
    ),
    "xmsgl.prediction.embed.embed": lambda t: (
        xmsgl.prediction.embed.embed,
        {"obj": t.ds, "model": t.network, "warmup": 5, "device": "cpu"},
    ),
    "xmsgl.reconstruct.door.reconstruct": lambda t: (
        xmsgl.reconstruct.door.reconstruct,
        {"obj": t.ds, "model": t.model, "warmup": 5, "device": "cpu"},
    ),
    "xmsgl.reconstruct.door.state": lambda t: (
        xmsgl.reconstruct.door.state,
        {"obj": t.ds, "model": t.model, "day": "2001-11-01", "warmup": 5, "device": "cpu"},
    ),
    "xmsgl.models.file.intervals.fit_table": lambda t: (
        xmsgl.models.file.intervals.fit_table,
        {"predicted": np.arange(99.0), "observed": np.arange(99.0) + 1},
    ),
    "xmsgl.models.file.packaged.packaged_names": lambda t: (xmsgl.models.file.packaged.packaged_names, {}),
    "xmsgl.models.file.card.packaged_models": lambda t: (xmsgl.models.file.card.packaged_models, {}),
    "xmsgl.models.file.card.model_card": lambda t: (
        xmsgl.models.file.card.model_card,
        {"model": t.model, "name": "m"},
    ),
    "xmsgl.models.file.card.model_facts": lambda t: (xmsgl.models.file.card.model_facts, {"model": t.model}),
    "xmsgl.readers.names": lambda t: (readers.names, {}),
    "xmsgl.readers.backend.XmsglBackend.open_dataset": lambda t: (
        xmsgl.readers.backend.XmsglBackend().open_dataset,
        {"filename_or_obj": t.table, "reader": "csv", "units": {"length": "m"}},
    ),
    **{
        f"xmsgl.benchmark.pictures.{name}": partial(picture, name)
        for name in ("fractions", "months", "stream_orders", "sensitivity", "convergence", "reaches")
    },
    "xmsgl.benchmark.register_source": lambda t: (
        benchmark.register_source,
        {"name": "y", "source": SOURCES["simulated"]},
    ),
    "xmsgl.benchmark.Source": lambda t: (
        benchmark.Source,
        {"open": datasets.simulated, "years": xmsgl.benchmark.sources.late_years},
    ),
    "xmsgl.network.kernels.Kernel.from_dict": lambda t: (
        xmsgl.network.kernels.Kernel.from_dict,
        {"spec": {"name": "gaussian", "scale_m": 500}},
    ),
    "xmsgl.network.kernels.Reference": lambda t: (xmsgl.network.kernels.Reference, {}),
    **{f"xmsgl.models.methods.{name}": partial(network, method) for name, method in METHODS.items()},
    **{f"xmsgl.models.backbones.{name}": partial(backbone, key) for name, key in BACKBONES.items()},
}

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
