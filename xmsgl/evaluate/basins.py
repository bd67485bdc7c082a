"""Skill in a basin that training has not seen: each basin left out in turn."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from xmsgl import schema
from xmsgl.errors import ExtrapolationWarning, InvalidArgumentError
from xmsgl.evaluate.metrics import score
from xmsgl.evaluate.splits import mask_labels
from xmsgl.schema.rivers import segment_positions, topology
from xmsgl.util.arguments import checked

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["leave_one_basin_out"]

_LABELS = "water_temperature_fine"


@checked
def leave_one_basin_out(
    obj: xr.Dataset | xr.DataTree, method: str | None = None, **settings: Any
) -> xr.Dataset:
    """Train on all basins but one, score the one left out, and repeat for each basin.

    A basin is everything that is connected by flow or by the crosswalk. The one left out is not in the
    training at all, with neither labels nor drivers.

    Parameters
    ----------
    obj
        A dataset of the convention with two basins or more.
    method, **settings
        As in :func:`xmsgl.training.train.train`. One model is trained for each basin with fine labels.

    Returns
    -------
    xarray.Dataset
        Scores as of :func:`xmsgl.evaluate.score`, along ``basin``: the id of the first coarse segment, in the
        order of the dataset, from which water leaves the basin. Basins without fine labels are left out.

    Raises
    ------
    InvalidDatasetError
        The dataset has faults.
    InvalidArgumentError
        Fewer than two basins, no fine labels, a basin that cannot be trained without, or settings as in
        training.

    Examples
    --------
    >>> import xmsgl
    >>> ds = xmsgl.datasets.simulated(n_coarse=3, years=1)
    >>> leave_one_basin_out(ds, "msgl", epochs=1)
    Traceback (most recent call last):
    ...
    xmsgl.errors.InvalidArgumentError: the dataset has one basin; leaving one out needs two or more
    """
    from xmsgl.prediction.downscale import downscale
    from xmsgl.training.train import train

    ds = schema.as_dataset(obj)
    schema.validate(ds)
    coarse, fine, outlets = _basins(ds)
    if outlets.size < 2:
        msg = "the dataset has one basin; leaving one out needs two or more"
        raise InvalidArgumentError(msg)
    if _LABELS not in ds:
        msg = f"no {_LABELS} to score a basin with; add fine labels, degC"
        raise InvalidArgumentError(msg)
    labelled = np.unique(fine[ds[_LABELS].notnull().any("time").to_numpy()])
    if not labelled.size:
        msg = f"{_LABELS} has no finite value to score a basin with; add fine labels, degC"
        raise InvalidArgumentError(msg)
    scores = []
    for basin in labelled:
        model = train(ds.isel(coarse=coarse != basin, fine=fine != basin), method, **settings)
        left = ds.isel(coarse=coarse == basin, fine=fine == basin)
        unseen = mask_labels(left, segments=left["coarse"].to_numpy())
        with warnings.catch_warnings():  # that the basin is unknown to the model is what is asked for
            warnings.filterwarnings("ignore", r"none of the \d+ segments", ExtrapolationWarning)
            prediction = downscale(unseen, model)
        scores.append(score(prediction, left[_LABELS]))
    return xr.concat(scores, pd.Index(outlets[labelled], name="basin"))


def _basins(ds: xr.Dataset) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[Any]]:
    """Find the basin of each segment and reach, by number, and return the id of each basin's first outlet."""
    ids, down, _ = topology(ds, "coarse")
    below = topology(ds, "fine")[1]
    n = down.size
    ends = np.concatenate([down, np.where(below < 0, -1, below + n), segment_positions(ds)])
    starts = np.concatenate([np.arange(n + below.size), np.arange(n, n + below.size)])
    inside = ends >= 0
    links = coo_array((np.ones(inside.sum()), (starts[inside], ends[inside])), (n + below.size,) * 2)
    _, basin = connected_components(links, directed=False)
    leaving = np.flatnonzero(down < 0)
    # Every basin has a segment without another below it, so that all numbers appear, in order.
    _, first = np.unique(basin[leaving], return_index=True)
    return basin[:n].astype(np.int64), basin[n:].astype(np.int64), ids[leaving[first]]
