"""Settings of the small models that tests train, and how tests compare models."""

from __future__ import annotations

import os
import sys
from dataclasses import replace

import numpy as np
import torch

FEATURES = ["air_temperature", "solar_radiation", "slope"]
#: Features of the dataset itself and means of air temperature; nothing is computed from observations.
PLAIN = ["drivers", "air_temperature:7", "air_temperature:30", "air_temperature:90", "statics"]
#: One epoch with the default features.
QUICK = {"hidden": 4, "window": 60, "warmup": 5, "epochs": 1, "device": "cpu", "progress": False}
#: One epoch with a driver and a static attribute.
TWO_FEATURES = {**QUICK, "features": ["air_temperature", "slope"]}
#: Three epochs in one stage.
SMALL = {**QUICK, "epochs": 3, "features": FEATURES, "pretrain": 0}
#: What observers watch: three epochs on 50-day windows, two fifths of them kept for validation.
WATCHED = {"hidden": 2, "window": 50, "warmup": 5, "epochs": 3, "device": "cpu", "validation": 0.4}


def kills(usual):
    """How often a test kills a process: XMSGL_KILLS, ten in `make kills`, or as often as it usually does."""
    return int(os.environ.get("XMSGL_KILLS", usual))


def report_kills(what, killed):
    """Say which of some processes were killed before they finished; seen with `pytest -s`."""
    sys.stdout.write(f"\n{what}: {sum(killed)} of {len(killed)} killed before they finished\n")


def same(one, two):
    """Say whether two models, or two tables of weights, hold the same weights."""
    one, two = (getattr(each, "weights", each) for each in (one, two))
    return set(one) == set(two) and all(torch.equal(one[name], two[name]) for name in one)


def rmse(prediction, truth):
    return float(np.sqrt(((prediction - truth) ** 2).mean()))


def in_days(batch, days):
    """Cut a batch into consecutive batches of some days."""
    inputs = {name: x for name in ("x_coarse", "x_fine") if (x := getattr(batch, name)) is not None}
    for start in range(0, len(next(iter(inputs.values()))), days):
        yield replace(batch, **{name: x[start : start + days] for name, x in inputs.items()})
