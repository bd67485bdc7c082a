"""One figure that shows a prediction: the map of a day beside the series of a reach."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from xmsgl.errors import InvalidArgumentError
from xmsgl.plot.curves import one_reach, series
from xmsgl.plot.maps import network
from xmsgl.plot.places import lines
from xmsgl.plot.style import MARK, new_figure
from xmsgl.schema.arrays import as_array
from xmsgl.schema.tree import as_dataset

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["overview"]

_WIDTH, _HEIGHT = 12.5, 5.6  # inches
_SHOWN_DAYS = 730  # a series of decades would be a black band


def overview(
    prediction: xr.DataArray | xr.Dataset,
    obj: xr.Dataset | xr.DataTree,
    *,
    reach: Any = None,
    time: Any = None,
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
        Id of the reach whose series is drawn; it is ringed on the map. Default: the one with most
        observations (held-out ones where ``observed`` is given and has them).
    time
        Day of the map; a line marks it in the series. Default: the day on which the reaches' mean is
        highest, of those shown.
    observed
        All observations; those that ``obj`` does not have as labels are drawn as held out.
    period
        Slice of dates of the series. Default: everything, or of a long prediction those two years with the
        most observations at the reach.

    Returns
    -------
    matplotlib.figure.Figure
        Save it with ``figure.savefig(path, dpi=150)``.

    Raises
    ------
    InvalidArgumentError
        A reach, a day or a period that the prediction does not have.
    InvalidDatasetError
        Nothing in the dataset says where the reaches lie.
    MissingDependencyError
        No matplotlib, or a geometry and no shapely.

    Examples
    --------
    >>> import numpy as np, pandas as pd, xarray as xr
    >>> days = pd.date_range("2001-07-01", periods=3)
    >>> temperature = xr.DataArray(
    ...     [[14.0, 15.0], [15.0, 16.0], [14.5, 15.0]],
    ...     coords={"time": days, "fine": [1, 2]},
    ...     attrs={"units": "degC"},
    ... )
    >>> ds = xr.Dataset(
    ...     {
    ...         "downstream_fine": ("fine", [2, 0]),
    ...         "lat_fine": ("fine", [41.0, 40.9]),
    ...         "lon_fine": ("fine", [-75.0, -75.1]),
    ...     },
    ...     coords={"fine": [1, 2]},
    ... )
    >>> figure = overview(temperature, ds)
    >>> figure.axes[0].get_title(loc="left")
    '2001-07-02'
    """
    ds, prediction = as_dataset(obj), as_array(prediction)
    observed = None if observed is None else as_array(observed, "observed")
    shown = _observations(prediction, ds, observed)
    reach = _busiest(shown, prediction) if reach is None else reach
    line = one_reach(prediction, reach, period)
    if period is None and line.sizes["time"] > 1.5 * _SHOWN_DAYS:
        period = _best_period(line, shown)
    day = _warmest(prediction, period) if time is None else _day(prediction, time)
    figure = new_figure((_WIDTH, _HEIGHT))
    figure.get_layout_engine().set(w_pad=0.08, h_pad=0.08)
    map_width = _map_width(ds, prediction)
    left, right = figure.subplots(1, 2, width_ratios=[map_width, _WIDTH - map_width])
    network(prediction.sel(time=day).compute(), ds, left, mark=reach)
    left.set_title(f"{day:%Y-%m-%d}", loc="left")
    left.set_anchor("N")  # the two titles on one line
    series(prediction, ds, reach, right, observed=observed, period=period)
    right.axvline(
        np.datetime64(day, "ns"), ymax=0.88, color=MARK, linewidth=0.9, linestyle=(0, (4, 3)), zorder=1
    )
    right.annotate(
        "map",
        (np.datetime64(day, "ns"), 0.015),
        xycoords=("data", "axes fraction"),
        xytext=(3, 0),
        textcoords="offset points",
        fontsize="small",
        color=MARK,
    )
    left.legend(loc="best", frameon=True, framealpha=0.85, edgecolor="none", fontsize="small")
    return figure


def _map_width(ds: xr.Dataset, prediction: xr.DataArray) -> float:
    """Give a tall basin a narrow column and a wide one a wide column, in inches."""
    found = lines(ds, "fine" if "fine" in prediction.dims else "coarse")
    places = np.concatenate(found.paths)
    east, north = np.maximum(np.ptp(places, axis=0), 1e-6)
    shape = east * np.cos(np.deg2rad(found.latitude())) / north
    return float(np.clip((_HEIGHT - 0.9) * shape + 1.9, 0.28 * _WIDTH, 0.45 * _WIDTH))


def _observations(
    prediction: xr.DataArray, ds: xr.Dataset, observed: xr.DataArray | None
) -> xr.DataArray | None:
    """Tell where there are dots to show: boolean, on the labels of the observations."""
    scale = next((str(dim) for dim in prediction.dims if dim != "time"), "")
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


def _busiest(shown: xr.DataArray | None, prediction: xr.DataArray) -> Any:
    scale = next((str(dim) for dim in prediction.dims if dim != "time"), "")
    if shown is None:
        return prediction.indexes[scale][0]
    days, ids = (shown.indexes[dim].intersection(prediction.indexes[dim]) for dim in ("time", scale))
    if not len(ids):
        return prediction.indexes[scale][0]
    count = shown.sel({"time": days, scale: ids}).sum("time")
    return ids[int(count.argmax(scale))]


def _best_period(line: xr.DataArray, shown: xr.DataArray | None) -> slice:
    """Find the two years with the most observations, the latest ones of equals."""
    days = line.indexes["time"]
    (scale,) = [name for name in ("fine", "coarse") if name in line.coords]
    count = np.zeros(len(days))
    if shown is not None and line[scale].item() in shown.indexes[scale]:
        count = (
            shown.sel({scale: line[scale].item()}).reindex(time=days, fill_value=False).values.astype(float)
        )
    total = np.concatenate([[0.0], np.cumsum(count)])
    inside = total[_SHOWN_DAYS:] - total[:-_SHOWN_DAYS]
    first = len(inside) - 1 - int(np.argmax(inside[::-1]))
    return slice(days[first], days[first + _SHOWN_DAYS - 1])


def _warmest(prediction: xr.DataArray, period: slice | None) -> pd.Timestamp:
    part = prediction.sortby("time") if period is None else prediction.sortby("time").sel(time=period)
    mean = part.mean([dim for dim in part.dims if dim != "time"]).compute()
    if not mean.notnull().any():
        msg = "the prediction is NaN on all days shown; give time= and period="
        raise InvalidArgumentError(msg)
    return pd.Timestamp(mean["time"].values[int(mean.argmax("time"))])


def _day(prediction: xr.DataArray, time: Any) -> pd.Timestamp:
    day, days = pd.Timestamp(time), prediction.indexes["time"]
    if day not in days:
        msg = f"{day:%Y-%m-%d} is no day of the prediction: {days.min():%Y-%m-%d} to {days.max():%Y-%m-%d}"
        raise InvalidArgumentError(msg)
    return day
