"""Fine arguments of training, models, networks and benchmark, for `test_wrong_arguments.py`."""

from __future__ import annotations

import importlib
import inspect
from functools import partial

import numpy as np
import pandas as pd

import xmsgl
import xmsgl.benchmark.pictures
import xmsgl.benchmark.sources
import xmsgl.models.file.card
import xmsgl.models.file.intervals
import xmsgl.models.file.packaged
import xmsgl.models.methods.base
import xmsgl.training.recipes
import xmsgl.training.train
import xmsgl.training.watch.tensorboard
from tests.small import TWO_FEATURES
from xmsgl import benchmark, datasets
from xmsgl.benchmark.sources import SOURCES
from xmsgl.errors import XMSGLError
from xmsgl.models.backbones.registry import BACKBONES as KINDS
from xmsgl.models.methods.registry import MODELS
from xmsgl.network.graph import RiverGraph, RiverGraphs
from xmsgl.network.kernels import Exponential, get_kernel
from xmsgl.training.settings import TrainSettings, network_arguments


class EnoughError(XMSGLError):
    """What ends a training whose arguments are fine."""


def stop(standing):
    raise EnoughError


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
    "xmsgl.training.settings.TrainSettings": lambda t: (TrainSettings, {}),
    "xmsgl.training.settings.TrainSettings.of": lambda t: (TrainSettings.of, {"method": "msgl"}),
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
    "xmsgl.models.methods.base.register_model": lambda t: (
        xmsgl.models.methods.base.register_model,
        {"name": "y"},
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
    **{f"xmsgl.models.methods.{name}": partial(network, method) for name, method in METHODS.items()},
    **{f"xmsgl.models.backbones.{name}": partial(backbone, key) for name, key in BACKBONES.items()},
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
    "xmsgl.network.kernels.Kernel.from_dict": lambda t: (
        xmsgl.network.kernels.Kernel.from_dict,
        {"spec": {"name": "gaussian", "scale_m": 500}},
    ),
    "xmsgl.network.kernels.Reference": lambda t: (xmsgl.network.kernels.Reference, {}),
    "xmsgl.benchmark.degrade": lambda t: (
        importlib.import_module("xmsgl.benchmark.degrade").degrade,
        {"ds": t.ds, "amounts": {"noise": 1.0}},
    ),
    "xmsgl.benchmark.run": lambda t: (benchmark.run, {"dataset": "none", "out": t.folder / "bench"}),
    "xmsgl.benchmark.make_plan": lambda t: (benchmark.make_plan, {"dataset": "simulated"}),
    "xmsgl.benchmark.register_reference": lambda t: (
        benchmark.register_reference,
        {"name": "y", "learns_from": ["fine"]},
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
}
