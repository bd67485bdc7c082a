"""Series of one reach: the prediction as a line, observations as dots."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from xmsgl.errors import InvalidArgumentError, shorten
from xmsgl.plot.style import CURVE, LABEL, OBSERVED, axes, need, units_of
from xmsgl.schema import as_dataset

__all__ = ["series"]


def series(
    prediction: xr.DataArray,
    obj: xr.Dataset | xr.DataTree,
    reach: Any,
    ax: Any = None,
    *,
    observed: xr.DataArray | None = None,
    period: slice | None = None,
) -> Any:
    """Draw the predicted temperature of one reach beside what was observed there.

    Parameters
    ----------
    prediction
        Temperature ``(time, fine)`` or ``(time, coarse)``, degC. If lazy, only this reach is
        computed.
    obj
        Dataset or DataTree whose labels (``water_temperature_<scale>``) are drawn.
    reach
        Id of the reach, or of the segment.
    ax
        matplotlib axes to draw into; None makes a new figure, to be had as ``.figure``.
    observed
        All observations, with the same dims as the prediction. Those that ``obj`` does not have as labels
        are drawn as held out, the others as labels. Default: the labels of ``obj``.
    period
        Slice of dates to show. Default: all days of the prediction.

    Returns
    -------
    matplotlib.axes.Axes
        The title tells the RMSE over the dots shown and their number; where some are held out, over
        these alone.

    Raises
    ------
    InvalidArgumentError
        A reach or a period that the prediction does not have.
    MissingDependencyError
        No matplotlib.

    Examples
    --------
    >>> import numpy as np, pandas as pd, xarray as xr
    >>> days = pd.date_range("2001-01-01", periods=3)
    >>> temperature = xr.DataArray(
    ...     [[4.0], [5.0], [6.0]], coords={"time": days, "fine": [7]}, attrs={"units": "degC"}
    ... )
    >>> ds = xr.Dataset({"water_temperature_fine": temperature + 1.0})
    >>> series(temperature, ds, reach=7).get_title(loc="left")
    'reach 7: RMSE 1.00 °C, n = 3'
    """
    ds = as_dataset(obj)
    line = one_reach(prediction, reach, period)
    scale = next(str(dim) for dim in prediction.dims if dim != "time")
    name = f"water_temperature_{scale}"
    labels = _dots(ds[name] if name in ds.variables else None, line, scale, reach)
    dots = labels if observed is None else _dots(observed, line, scale, reach)
    held_out = dots.where(labels.isnull()) if observed is not None else dots
    used = dots.where(labels.notnull()) if observed is not None else dots * np.nan
    ax = axes((8.0, 4.0)) if ax is None else ax
    units = units_of(prediction)
    ax.plot(line["time"].values, line.values, color=CURVE, linewidth=1.4, label="predicted", zorder=3)
    dot = {"linestyle": "none", "marker": "o", "markersize": 3.4, "zorder": 2}
    for values, colour, words in (
        (used, LABEL, "observed, label"),
        (held_out, OBSERVED, "observed" if observed is None else "observed, held out"),
    ):
        if values.notnull().any():
            ax.plot(values["time"].values, values.values, **dot, color=colour, markeredgewidth=0, label=words)
    scored = held_out if held_out.notnull().any() else used
    ax.set_title(_title(line, scored, "reach" if scale == "fine" else "segment", reach, units), loc="left")
    ax.set_ylabel(f"water temperature [{units}]")
    ax.set_xlabel("date")
    _frame(ax)
    return ax


def one_reach(prediction: xr.DataArray, reach: Any, period: slice | None) -> xr.DataArray:
    """Select one reach and a period of a prediction, in memory."""
    scale = next((name for name in ("fine", "coarse") if name in prediction.dims), None)
    if (
        scale is None
        or set(prediction.dims) != {"time", scale}
        or not {"time", scale} <= set(prediction.indexes)
    ):
        msg = (
            f"the prediction has dims {prediction.dims}; "
            "it must have 'time' and 'fine' or 'coarse', with labels"
        )
        raise InvalidArgumentError(msg)
    if reach not in prediction.indexes[scale]:
        known = shorten(prediction.indexes[scale])
        msg = f"{reach!r} is not among the ids of the prediction along {scale!r}: {known}"
        raise InvalidArgumentError(msg)
    line = prediction.sel({scale: reach}).sortby("time")
    line = line if period is None else line.sel(time=period)
    if not line.sizes["time"]:
        days = prediction.indexes["time"]
        span = f"{days.min():%Y-%m-%d} to {days.max():%Y-%m-%d}"
        msg = f"no day of the prediction lies in {period}; it runs from {span}"
        raise InvalidArgumentError(msg)
    return line.compute()


def _dots(observed: xr.DataArray | None, line: xr.DataArray, scale: str, reach: Any) -> xr.DataArray:
    """Observations of the reach on the days of the line; NaN where there are none."""
    if observed is None or reach not in observed.indexes[scale]:
        return xr.full_like(line, np.nan, dtype=np.float64)
    return observed.sel({scale: reach}).compute().reindex(time=line["time"]).astype(np.float64)


def _title(line: xr.DataArray, dots: xr.DataArray, what: str, reach: Any, units: str) -> str:
    error = (line - dots).values
    error = error[np.isfinite(error)]
    if not error.size:
        return f"{what} {reach}, never observed in this period"
    return f"{what} {reach}: RMSE {np.sqrt(np.mean(error**2)):.2f} {units}, n = {error.size:,}"


def _frame(ax: Any) -> None:
    dates = need("matplotlib.dates")
    locator = dates.AutoDateLocator(minticks=4, maxticks=9)
    ax.xaxis.set_major_locator(locator)
    ax.xaxis.set_major_formatter(dates.ConciseDateFormatter(locator))
    ax.margins(x=0.01)
    low, high = ax.get_ylim()
    ax.set_ylim(low, high + 0.14 * (high - low))  # room for the legend above the curve
    ax.legend(
        loc="upper left", ncols=3, frameon=False, fontsize="small", handletextpad=0.6, columnspacing=1.6
    )
    ax.grid(visible=True, color="#ececec", linewidth=0.8)
    ax.set_axisbelow(True)
    ax.tick_params(length=3, labelsize="small", color="#888888")
    for name, spine in ax.spines.items():
        spine.set_visible(name in ("left", "bottom"))
        spine.set_color("#bbbbbb")
