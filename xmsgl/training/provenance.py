"""What a trained model says of its training: days, labels, seed, versions, and a digest of the data."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import xarray as xr

if TYPE_CHECKING:
    from xmsgl.inputs.batches import TrainingData

__all__ = ["fingerprint", "provenance"]


def provenance(ds: xr.Dataset, data: TrainingData, seed: int, recipe: str | None) -> dict[str, Any]:
    """Tell where a model comes from, as plain values.

    Parameters
    ----------
    ds
        What it was trained on.
    data
        The same, with its training and validation days.
    seed, recipe
        As given to training.

    Returns
    -------
    dict
        First and last training day, labels by use and scale, seed, recipe if there is one, title and
        digest of the dataset, versions.
    """
    from xmsgl.util.version import __version__

    named = {} if recipe is None else {"recipe": recipe}
    days = np.flatnonzero(data.training_days)
    return {
        "start": str(data.time[days[0]].date()),
        "stop": str(data.time[days[-1]].date()),
        "labels": data.counts(),
        "seed": seed,
        "dataset": str(ds.attrs.get("title", "")),
        **named,
        "fingerprint": fingerprint(ds, data),
        "versions": {"xmsgl": __version__, "torch": torch.__version__, "xarray": xr.__version__},
    }


def fingerprint(ds: xr.Dataset, data: TrainingData) -> str:
    """Return a digest of what a model was trained on: network, days and labels."""
    sha = hashlib.sha256()
    for name in ("coarse", "fine", "downstream_coarse", "downstream_fine", "coarse_segment"):
        values = np.asarray(ds[name].values)
        sha.update(
            repr(values.tolist()).encode()
            if values.dtype.kind not in "iu"
            else values.astype("<i8").tobytes()
        )
    sha.update(data.time.to_numpy().astype("datetime64[D]").astype("<i8").tobytes())
    for values in data.labels.values():
        sha.update(np.nan_to_num(values, nan=-999.0).astype("<f4").tobytes())
    return sha.hexdigest()
