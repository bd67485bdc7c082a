"""One figure that shows a prediction: the map of a day beside the series of a reach."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from xmsgl.errors import InvalidArgumentError
from xmsgl.plot.curves import one_reach, scale_of, series
from xmsgl.plot.maps import network
from xmsgl.plot.places import lines
from xmsgl.plot.style import MARK, Reach, new_figure
from xmsgl.schema.arrays import as_array, sound_dataset
from xmsgl.util.arguments import checked
from xmsgl.util.dates import one_day

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["overview"]

_WIDTH, _HEIGHT = 12.5, 5.6  # inches
_SHOWN_DAYS = 730  # a series of decades would be a black band


@checked
def overview(
    prediction: xr.DataArray | xr.Dataset,
    obj: xr.Dataset | xr.DataTree,
    *,
    reach: Reach | None = None,
    time: str | pd.Timestamp | None = None,
    observed: xr.DataArray | xr.Dataset | None = None,
    period: slice | None = None,
) -> Any:
    """Draw the network coloured by temperature on one day, and the series of one reach.

    Parameters
    ----------
    prediction
        Temperature ``(time, fine)``, degC. If lazy, the days shown are computed.
    obj
        Dataset or DataTree the prediction belongs to.
    reach
        Id of the reach of the series, ringed on the map. Default: the one with the most observations
        (held-out ones if ``observed`` has any).
    time
        Day of the map, marked in the series. Default: the warmest of the days shown.
    observed
        All observations; those that are not labels of ``obj`` are drawn as held out.
    period
        Slice of dates of the series. Default: all days; of many, the two years best observed.

    Returns
    -------
    matplotlib.figure.Figure
        Save it with ``figure.savefig(path, dpi=150)``.

    Raises
    ------
    InvalidArgumentError
        The prediction does not have that reach, day or period.
    InvalidDatasetError
        The dataset has neither the location of the reaches nor their topology.
    MissingDependencyError
        matplotlib is missing, or shapely where the dataset has geometries.

    Examples
    --------
    >>> import xmsgl
    >>> ds = xmsgl.datasets.simulated(n_coarse=2, years=1)
    >>> figure = overview(ds["true_temperature_fine"], ds, time="2002-07-21")
    >>> figure.axes[0].get_title(loc="left")
    '2002-07-21'
    """
    ds, prediction = sound_dataset(obj), as_array(prediction)
    observed = None if observed is None else as_array(observed, "observed")
    scale = scale_of(prediction)
    if observed is not None:
        scale_of(observed, what="observed")
    shown = _observations(ds, observed, scale)
    reach = _busiest(shown, prediction, scale) if reach is None else reach
    line = one_reach(prediction, reach, period)
    if period is None and line.sizes["time"] > 1.5 * _SHOWN_DAYS:
        period = _best_period(line, shown, scale)
    day = _warmest(prediction, period) if time is None else _day(prediction, time)
    figure = new_figure((_WIDTH, _HEIGHT))
    figure.get_layout_engine().set(w_pad=0.08, h_pad=0.08)
    # A tall basin gets a narrow column and a wide one a wide column.
    width = (_HEIGHT - 0.9) * lines(ds, scale).shape() + 1.9
    map_width = float(np.clip(width, 0.28 * _WIDTH, 0.45 * _WIDTH))
    left, right = figure.subplots(1, 2, width_ratios=[map_width, _WIDTH - map_width])
    network(prediction.sel(time=day).compute(), ds, left, mark=reach)
    left.set_title(f"{day:%Y-%m-%d}", loc="left")
    left.set_anchor("N")  # the two titles on one line
    series(prediction, ds, reach, right, observed=observed, period=period)
    at = np.datetime64(day, "ns")
    right.axvline(at, ymax=0.88, color=MARK, linewidth=0.9, linestyle=(0, (4, 3)), zorder=1)
    beside = {"xycoords": ("data", "axes fraction"), "xytext": (3, 0), "textcoords": "offset points"}
    right.annotate("map", (at, 0.015), **beside, fontsize="small", color=MARK)
    left.legend(loc="best", frameon=True, framealpha=0.85, edgecolor="none", fontsize="small")
    return figure


def _observations(ds: xr.Dataset, observed: xr.DataArray | None, scale: str) -> xr.DataArray | None:
    """Find the days with a dot to show at each reach: boolean, with the dims of the observations."""
    name = f"water_temperature_{scale}"
    labels = ds[name].notnull() if name in ds.variables else None
    if observed is None:
        return None if labels is None else labels.compute()
    there = observed.notnull()
    if labels is not None:
        held_out = (there & ~labels.reindex_like(there, fill_value=False)).compute()
        if held_out.any():
            return held_out
    return there.compute()


def _busiest(shown: xr.DataArray | None, prediction: xr.DataArray, scale: str) -> Any:
    """Find the id of the reach with the most observations."""
    if shown is not None:
        days, ids = (shown.indexes[dim].intersection(prediction.indexes[dim]) for dim in ("time", scale))
        if len(ids):
            count = shown.sel({"time": days, scale: ids}).sum("time")
            return ids[int(count.argmax(scale))]
    return prediction.indexes[scale][0]


def _best_period(line: xr.DataArray, shown: xr.DataArray | None, scale: str) -> slice:
    """Find the two years with the most observations, the latest if several have as many."""
    days, reach = line.indexes["time"], line[scale].item()
    count = pd.Series(0.0, days)
    if shown is not None and reach in shown.indexes[scale]:
        count += shown.sel({scale: reach}).reindex(time=days, fill_value=False).values
    total = count.rolling(_SHOWN_DAYS).sum().to_numpy()
    last = len(days) - 1 - int(np.nanargmax(total[::-1]))
    return slice(days[last - _SHOWN_DAYS + 1], days[last])


def _warmest(prediction: xr.DataArray, period: slice | None) -> pd.Timestamp:
    part = prediction.sortby("time") if period is None else prediction.sortby("time").sel(time=period)
    mean = part.mean([dim for dim in part.dims if dim != "time"]).compute()
    if not mean.notnull().any():
        msg = "the prediction is NaN on all days shown; choose others with time= and period="
        raise InvalidArgumentError(msg)
    return pd.Timestamp(mean["time"].values[int(mean.argmax("time"))])


def _day(prediction: xr.DataArray, time: Any) -> pd.Timestamp:
    day, days = pd.Timestamp(one_day(time, "time")), prediction.indexes["time"]
    if day not in days:
        span = f"{days.min():%Y-%m-%d} to {days.max():%Y-%m-%d}"
        msg = f"the prediction has no {time}; choose a day from {span}"
        raise InvalidArgumentError(msg)
    return day
