"""Differences between predictions, with intervals."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from xmsgl.errors import InvalidArgumentError
from xmsgl.evaluate.groups import group_pairs, segments_of
from xmsgl.evaluate.names import label_scores
from xmsgl.evaluate.pairs import gather
from xmsgl.evaluate.resample import check_confidence, segment_bounds
from xmsgl.evaluate.table import by_name, shared
from xmsgl.schema.arrays import as_array

if TYPE_CHECKING:
    from collections.abc import Mapping

    import xarray as xr

    from xmsgl.evaluate.groups import By
    from xmsgl.evaluate.pairs import Floats

__all__ = ["compare"]


def compare(
    predictions: Mapping[str, xr.DataArray | xr.Dataset],
    observed: xr.DataArray | xr.Dataset,
    *,
    by: By = None,
    dataset: xr.Dataset | None = None,
    confidence: float = 0.9,
    seed: int = 0,
) -> xr.Dataset:
    """Compare the RMSE of several predictions with that of the first, on the reach-days that all have.

    The same segments are drawn for all predictions. The interval of a difference is therefore narrower than
    the intervals of both suggest, where their errors are alike.

    Parameters
    ----------
    predictions
        Temperature ``(time, fine)`` or ``(time, coarse)`` by method, degC. May be lazy.
    observed, by, dataset, seed
        As in :func:`xmsgl.evaluate.score`.
    confidence
        Confidence of the intervals.

    Returns
    -------
    xarray.Dataset
        Along ``method``, and the groups of `by`: ``rmse`` and ``rmse_difference``, the RMSE minus that of the
        first method, both in degC with ``_low`` and ``_high``. ``n`` and ``n_segments`` by group. Bounds are
        NaN for groups of fewer than 5 segments.

    Raises
    ------
    InvalidArgumentError
        Fewer than two predictions, or as :func:`xmsgl.evaluate.score`.

    Examples
    --------
    >>> import xmsgl
    >>> ds = xmsgl.datasets.simulated(n_coarse=8, years=2)
    >>> observed = ds["water_temperature_fine"]
    >>> truth = ds["true_temperature_fine"]
    >>> result = compare({"good": truth + 1, "poor": truth + 2}, observed, dataset=ds)
    >>> bool(result.rmse_difference_low.sel(method="poor") > 0)
    True
    """
    check_confidence(confidence)
    arrays, observed = by_name(predictions), as_array(observed, "observed")
    if len(arrays) < 2:
        msg = f"{len(arrays)} predictions cannot be compared; give at least two, by name"
        raise InvalidArgumentError(msg)
    common = shared(arrays, observed)
    each = [gather(array, common) for array in arrays.values()]
    pairs = replace(each[0], predicted=np.stack([one.predicted for one in each]))
    places = (*(array.coords for array in arrays.values()), observed.coords, dataset)
    pairs, groups = group_pairs(pairs, by, places)
    if "method" in groups.coords:
        msg = "the groups are called 'method', as the predictions are; rename them"
        raise InvalidArgumentError(msg)
    rmse = np.sqrt(groups.mean((pairs.predicted - pairs.observed) ** 2))
    found = {"rmse": rmse, "rmse_difference": rmse - rmse[:, :1], "n": groups.total()}

    segments = segments_of(pairs, places, "a comparison")
    found |= segment_bounds(pairs, groups, segments, confidence, seed, _differences)
    dims = (*groups.coords, "method")
    shaped = {key: value.reshape((*groups.shape, *value.shape[1:])) for key, value in found.items()}
    result = label_scores({key: (dims[: value.ndim], value) for key, value in shaped.items()}, pairs.units)
    return result.assign_coords({**groups.coords, "method": list(arrays)}).transpose("method", ...)


def _differences(squares: Floats, *_: Floats) -> dict[str, Floats]:
    root = np.sqrt(squares)
    return {"rmse": root, "rmse_difference": root - root[:1]}
