"""Provenance of a trained model: days, labels, seed, versions, and a digest of the data."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import xarray as xr

from xmsgl.inputs.validation import label_values
from xmsgl.util.scales import SCALES
from xmsgl.util.version import __version__

if TYPE_CHECKING:
    from xmsgl.inputs.batches import TrainingData

__all__ = ["fingerprint", "provenance"]

_DAYS = 365  # whose labels are hashed at once


def provenance(ds: xr.Dataset, data: TrainingData, seed: int) -> dict[str, Any]:
    """Return the provenance of a model as plain values."""
    days = np.flatnonzero(data.training_days)
    return {
        "start": str(data.time[days[0]].date()),
        "stop": str(data.time[days[-1]].date()),
        "labels": data.counts(),
        "seed": seed,
        "dataset": str(ds.attrs.get("title", "")),
        "fingerprint": fingerprint(ds),
        "versions": {"xmsgl": __version__, "torch": torch.__version__, "xarray": xr.__version__},
    }


def fingerprint(ds: xr.Dataset) -> str:
    """Return a digest of network, days, and labels of both scales."""
    sha = hashlib.sha256()
    for name in ("coarse", "fine", "downstream_coarse", "downstream_fine", "coarse_segment"):
        values = np.asarray(ds[name].values)
        text = values.dtype.kind not in "iu"
        sha.update(repr(values.tolist()).encode() if text else values.astype("<i8").tobytes())
    sha.update(ds["time"].values.astype("datetime64[D]").astype("<i8").tobytes())
    for scale in SCALES:
        values = label_values(ds, scale)
        for first in range(0, len(values), _DAYS):  # few copies at a time
            sha.update(np.nan_to_num(values[first : first + _DAYS], nan=-999.0).astype("<f4").tobytes())
    return sha.hexdigest()
