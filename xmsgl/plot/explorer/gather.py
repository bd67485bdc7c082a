"""Labelled arrays, checked, computed once and put in the order of the explorer page."""

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
from xmsgl.plot.days import spin_up
from xmsgl.plot.explorer.data import Layer
from xmsgl.plot.sensors import segment_places, sensor_reaches

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["Daily", "gather"]

_MOST_VALUES = 25_000_000  # about 70 MB of page; a browser takes long to open a larger one


@dataclass(frozen=True)
class Daily:
    """All daily values of a page."""

    days: pd.DatetimeIndex  # sorted
    reaches: list[str]  # ids of all reaches of the dataset
    segments: list[str]  # id of the segment of each reach, empty where unknown
    #: ``predicted`` and, if there are any, ``low``, ``high``, ``observed``, ``label`` (used for training),
    #: and ``segment`` and ``simulated`` of the reach's segment.
    layers: dict[str, Layer]
    level: float | None  # nominal coverage of the interval from ``low`` to ``high``
    held_out: bool  # whether ``observed`` is known to exclude the labels
    spin_up: tuple[np.datetime64, np.datetime64] | None  # first day, and the day after the last
    sensors: npt.NDArray[np.int64]  # reaches to mark, because they or their segment have a sensor

    def busiest(self) -> int:
        """Find the reach with the most observations, or else the first with a prediction."""
        for name in ("observed", "label", "predicted"):
            if name in self.layers:
                layer = self.layers[name]
                count = np.isfinite(layer.values).sum(axis=1)
                return int(np.argmax(np.where(layer.rows < 0, -1, count[layer.rows])))
        return 0

    def warmest(self) -> int:
        """Find the day on which the mean over the reaches is highest."""
        values = self.layers["predicted"].values
        there = np.isfinite(values)
        total, count = np.where(there, values, 0.0).sum(axis=0), there.sum(axis=0)
        return int(np.argmax(np.where(count > 0, total / np.maximum(count, 1), -np.inf)))


def gather(
    prediction: xr.DataArray, ds: xr.Dataset, interval: xr.DataArray | None, observed: xr.DataArray | None
) -> Daily:
    """Check the arguments of :func:`xmsgl.plot.explore`, and compute them together."""
    wanted, level = _predicted(prediction, ds, interval)
    labels, coarse = _observations(ds, observed), _of_segments(ds)
    for name, array in {**labels, **coarse}.items():
        called = "observed" if name == "observed" else f'ds["{array.name}"]'
        common_units(wanted["predicted"], array, called)
    days, ids = prediction.indexes["time"].sort_values(), ds.indexes["fine"]
    shown = ids[ids.isin(prediction.indexes["fine"])]
    if (count := len(wanted) * len(days) * len(shown)) > _MOST_VALUES:
        msg = (
            f"{count:,} temperatures are too many for a page, which takes at most {_MOST_VALUES:,}; "
            'select days or reaches first, for example prediction.sel(time="2019")'
        )
        raise InvalidArgumentError(msg)
    fine = _align({**wanted, **labels}, "fine", shown, days)
    # Computed together, so that a chunk needed for two arrays is computed once.
    fine, coarse = compute(fine, _align(coarse, "coarse", ds.indexes.get("coarse"), days))
    # One infinite value would leave no precision for the others.
    values = {
        name: array.astype(np.float64).where(np.isfinite).values for name, array in (fine | coarse).items()
    }
    if observed is not None and "label" in values:
        seen = np.isfinite(values["label"])
        values["label"] = np.where(seen, values["observed"], np.nan)
        values["observed"] = np.where(seen, np.nan, values["observed"])
    places, own = segment_places(ds), shown.get_indexer(ids)
    layers = {name: Layer.of(array, places if name in coarse else own) for name, array in values.items()}
    if not layers["predicted"].values.size:
        msg = "the prediction has no finite value at any reach of the dataset, so there is nothing to show"
        raise InvalidArgumentError(msg)
    none = np.zeros(len(ids), np.bool_)
    seen_at = {name: layer.rows >= 0 for name, layer in layers.items()}
    own_seen = seen_at.get("observed", none) | seen_at.get("label", none)
    return Daily(
        days=pd.DatetimeIndex(days),
        reaches=[str(reach) for reach in ids],
        segments=[str(ds.indexes["coarse"][place]) if place >= 0 else "" for place in places],
        layers={name: layer for name, layer in layers.items() if layer.values.size},
        level=level,
        held_out=observed is not None,
        spin_up=spin_up(prediction),
        sensors=sensor_reaches(ds, own_seen, seen_at.get("segment", none)),
    )


def _predicted(
    prediction: xr.DataArray, ds: xr.Dataset, interval: xr.DataArray | None
) -> tuple[dict[str, xr.DataArray], float | None]:
    """Separate the line from the two bounds around it, and find their nominal coverage."""
    if "quantile" not in prediction.dims:
        _check(prediction, ds, "the prediction", ("time", "fine"))
        found = {"predicted": prediction}
    elif interval is not None:
        msg = "the prediction already has quantiles; leave out interval=, or give a prediction without them"
        raise InvalidArgumentError(msg)
    else:
        _check(prediction, ds, "the prediction", ("quantile", "time", "fine"))
        probabilities = levels(prediction)
        middle = [place for place, p in enumerate(probabilities) if abs(p - 0.5) < 1e-9]
        if not middle:
            msg = f"the prediction has quantiles {probabilities} but no median to show; predict 0.5 too"
            raise InvalidArgumentError(msg)
        found = {"predicted": prediction.isel(quantile=middle[0])}
        interval = prediction if len(probabilities) > 1 else None
    if interval is None:
        return found, None
    _check(interval, ds, "the interval", ("quantile", "time", "fine"))
    probabilities = levels(interval)
    bounds = intervals(probabilities)
    if not bounds:
        msg = f"quantiles {probabilities} do not form an interval; give p and 1 - p, such as 0.05 and 0.95"
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
            msg = f"{what} has repeated labels along {dim!r}: {repeated}; keep one of each"
            raise InvalidArgumentError(msg)
        if not len(index):
            msg = f"{what} is empty along {dim!r}, so there is nothing to show"
            raise InvalidArgumentError(msg)
    if not isinstance(array.indexes["time"], pd.DatetimeIndex):
        msg = f"{what} has labels of {array.indexes['time'].dtype} along 'time'; they must be dates"
        raise InvalidArgumentError(msg)
    ids, known = array.indexes["fine"], ds.indexes.get("fine", pd.Index([]))
    strangers = ids[~ids.isin(known)]
    if len(strangers):
        msg = (
            f"{what} has {len(strangers)} reaches that the dataset lacks: {shorten(strangers, 3)}; "
            "give the dataset it belongs to"
        )
        raise InvalidArgumentError(msg)


def _observations(ds: xr.Dataset, observed: xr.DataArray | None) -> dict[str, xr.DataArray]:
    labels = ds.get("water_temperature_fine")
    if observed is None:
        return {} if labels is None else {"observed": labels}
    # They may have days and reaches that the dataset lacks, which are not shown.
    if set(observed.dims) != {"time", "fine"} or not all(
        dim in observed.indexes and observed.indexes[dim].is_unique for dim in observed.dims
    ):
        msg = f"observed has dims {observed.dims}; it must have 'time' and 'fine', with unique labels"
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
