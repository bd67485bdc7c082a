"""From labelled arrays to what the explorer page shows: checked, computed once, in the page's own order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from dask.base import compute

from xmsgl.errors import InvalidArgumentError, shorten
from xmsgl.evaluate.pairs import common_units
from xmsgl.evaluate.probabilistic import intervals, levels
from xmsgl.plot.explorer.data import Layer

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["Daily", "gather"]

_MOST_VALUES = 25_000_000  # about 70 MB of page; a browser takes long to open a larger one


@dataclass(frozen=True)
class Daily:
    """All daily values of a page.

    Attributes
    ----------
    days
        Sorted.
    reaches, segments
        Ids of all reaches of the dataset as text, and of the segment of each, empty where unknown.
    layers
        By name: ``predicted``; where there are any ``low`` and ``high``, ``observed`` (not seen by a model
        where `held_out`), ``label`` (seen), ``segment`` and ``simulated`` (of the reach's segment).
    level
        Nominal coverage of the interval between ``low`` and ``high``; None without one.
    held_out
        Whether ``observed`` is known to be none of the labels.
    """

    days: pd.DatetimeIndex
    reaches: list[str]
    segments: list[str]
    layers: dict[str, Layer]
    level: float | None
    held_out: bool

    def busiest(self) -> int:
        """Give the position of the reach with most observations, or else the first that is predicted."""
        for name in ("observed", "label", "predicted"):
            if name in self.layers:
                layer = self.layers[name]
                count = np.isfinite(layer.values).sum(axis=1)
                return int(np.argmax(np.where(layer.rows < 0, -1, count[layer.rows])))
        return 0

    def warmest(self) -> int:
        """Give the position of the day on which the mean over the reaches is highest."""
        values = self.layers["predicted"].values
        there = np.isfinite(values)
        total, count = np.where(there, values, 0.0).sum(axis=0), there.sum(axis=0)
        return int(np.argmax(np.where(count > 0, total / np.maximum(count, 1), -np.inf)))


def gather(
    prediction: xr.DataArray, ds: xr.Dataset, interval: xr.DataArray | None, observed: xr.DataArray | None
) -> Daily:
    """Check what :func:`xmsgl.plot.explore` is given, and compute all of it at once."""
    wanted, level = _predicted(prediction, ds, interval)
    labels, coarse = _observations(ds, observed), _of_segments(ds)
    _check_units(wanted["predicted"], {**labels, **coarse})
    days, ids = prediction.indexes["time"].sort_values(), ds.indexes["fine"]
    shown = ids[ids.isin(prediction.indexes["fine"])]
    _check_size(len(wanted) * len(days) * len(shown))
    fine = _align({**wanted, **labels}, "fine", shown, days)
    # One computation for all, so that a chunk that two of them need is computed once.
    fine, coarse = compute(fine, _align(coarse, "coarse", ds.indexes.get("coarse"), days))
    values = {name: _finite(array) for name, array in (fine | coarse).items()}
    if observed is not None and "label" in values:
        seen = np.isfinite(values["label"])
        values["label"] = np.where(seen, values["observed"], np.nan)
        values["observed"] = np.where(seen, np.nan, values["observed"])
    places, own = _segments(ds), shown.get_indexer(ids)
    layers = {name: Layer.of(array, places if name in coarse else own) for name, array in values.items()}
    if not layers["predicted"].values.size:
        msg = "the prediction has no finite value on any reach of the dataset: nothing to show"
        raise InvalidArgumentError(msg)
    return Daily(
        days=pd.DatetimeIndex(days),
        reaches=[str(reach) for reach in ids],
        segments=[str(ds.indexes["coarse"][place]) if place >= 0 else "" for place in places],
        layers={name: layer for name, layer in layers.items() if layer.values.size},
        level=level,
        held_out=observed is not None,
    )


def _predicted(
    prediction: xr.DataArray, ds: xr.Dataset, interval: xr.DataArray | None
) -> tuple[dict[str, xr.DataArray], float | None]:
    """Tell apart the line and the two bounds around it, with the coverage they claim."""
    if "quantile" not in prediction.dims:
        _check(prediction, ds, "the prediction", ("time", "fine"))
        found = {"predicted": prediction}
    elif interval is not None:
        msg = "the prediction holds quantiles already; give interval= with a prediction that has none"
        raise InvalidArgumentError(msg)
    else:
        _check(prediction, ds, "the prediction", ("quantile", "time", "fine"))
        probabilities = levels(prediction)
        middle = [place for place, p in enumerate(probabilities) if abs(p - 0.5) < 1e-9]
        if not middle:
            msg = f"the prediction has quantiles {probabilities} and no median to colour by; predict 0.5 too"
            raise InvalidArgumentError(msg)
        found = {"predicted": prediction.isel(quantile=middle[0])}
        interval = prediction if len(probabilities) > 1 else None
    if interval is None:
        return found, None
    _check(interval, ds, "the interval", ("quantile", "time", "fine"))
    probabilities = levels(interval)
    bounds = intervals(probabilities)
    if not bounds:
        msg = f"quantiles {probabilities} make no interval; it takes p and 1 - p, for example 0.05 and 0.95"
        raise InvalidArgumentError(msg)
    level, (low, high) = max(bounds.items())
    return found | {"low": interval.isel(quantile=low), "high": interval.isel(quantile=high)}, level


def _check(array: xr.DataArray, ds: xr.Dataset, what: str, dims: tuple[str, ...]) -> None:
    if set(array.dims) != set(dims) or not {"time", "fine"} <= set(array.indexes):
        msg = f"{what} has dims {array.dims}; it must have {dims}, with labels along 'time' and 'fine'"
        raise InvalidArgumentError(msg)
    for dim in ("time", "fine"):
        index = array.indexes[dim]
        if not index.is_unique:
            repeated = shorten(index[index.duplicated()].unique())
            msg = f"{what} has labels along {dim!r} more than once: {repeated}"
            raise InvalidArgumentError(msg)
        if not len(index):
            msg = f"{what} is empty along {dim!r}: nothing to show"
            raise InvalidArgumentError(msg)
    if not isinstance(array.indexes["time"], pd.DatetimeIndex):
        msg = f"{what} has labels of {array.indexes['time'].dtype} along 'time'; they must be dates"
        raise InvalidArgumentError(msg)
    ids, known = array.indexes["fine"], ds.indexes.get("fine", pd.Index([]))
    strangers = ids[~ids.isin(known)]
    if len(strangers):
        msg = (
            f"{what} has {len(strangers)} reaches that the dataset lacks: {shorten(strangers, 3)}; "
            "give the dataset it was made from"
        )
        raise InvalidArgumentError(msg)


def _check_size(count: int) -> None:
    if count > _MOST_VALUES:
        msg = (
            f"{count:,} temperatures are too many for a page, which takes {_MOST_VALUES:,}; "
            'select days or reaches first, for example prediction.sel(time="2019")'
        )
        raise InvalidArgumentError(msg)


def _check_units(prediction: xr.DataArray, others: dict[str, xr.DataArray]) -> None:
    for name, array in others.items():
        common_units(prediction, array, "observed" if name == "observed" else f'ds["{array.name}"]')


def _observations(ds: xr.Dataset, observed: xr.DataArray | None) -> dict[str, xr.DataArray]:
    labels = ds.get("water_temperature_fine")
    if observed is None:
        return {} if labels is None else {"observed": labels}
    # They may cover days and reaches that the dataset lacks; those are not shown.
    if set(observed.dims) != {"time", "fine"} or not all(
        dim in observed.indexes and observed.indexes[dim].is_unique for dim in observed.dims
    ):
        msg = f"observed has dims {observed.dims}; it must have 'time' and 'fine', with different labels"
        raise InvalidArgumentError(msg)
    return {"observed": observed} | ({} if labels is None else {"label": labels})


def _of_segments(ds: xr.Dataset) -> dict[str, xr.DataArray]:
    if not {"coarse", "coarse_segment"} <= set(ds.variables):
        return {}
    names = {"segment": "water_temperature_coarse", "simulated": "simulated_temperature_coarse"}
    return {short: ds[name] for short, name in names.items() if name in ds.variables}


def _align(
    arrays: dict[str, xr.DataArray], dim: str, ids: Any, days: pd.Index[Any]
) -> dict[str, xr.DataArray]:
    return {
        name: array.reset_coords(drop=True).reindex({"time": days, dim: ids}).transpose(dim, "time")
        for name, array in arrays.items()
    }


def _finite(array: xr.DataArray) -> npt.NDArray[np.float64]:
    """Give the values, what is not finite as missing: infinity would leave no ruler for the others."""
    values = np.asarray(array.values, dtype=np.float64)
    return np.where(np.isfinite(values), values, np.nan)


def _segments(ds: xr.Dataset) -> npt.NDArray[np.int64]:
    """Give the position of the segment of each reach, -1 where unknown."""
    if not {"coarse", "coarse_segment"} <= set(ds.variables):
        return np.full(ds.sizes["fine"], -1, dtype=np.int64)
    return np.asarray(ds.indexes["coarse"].get_indexer(pd.Index(ds["coarse_segment"].values)), dtype=np.int64)
