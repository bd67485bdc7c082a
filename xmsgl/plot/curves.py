"""Series of one reach: the prediction as a line, its intervals as bands, observations as dots."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from xmsgl.errors import InvalidArgumentError, shorten
from xmsgl.evaluate.pairs import common_units
from xmsgl.evaluate.probabilistic import intervals, levels
from xmsgl.plot import style
from xmsgl.plot.days import by_day, spin_up
from xmsgl.schema.arrays import as_array, sound_dataset
from xmsgl.util.arguments import checked

__all__ = ["series"]


@checked
def series(
    prediction: xr.DataArray | xr.Dataset | None,
    obj: xr.Dataset | xr.DataTree,
    reach: style.Reach,
    ax: style.Axes | None = None,
    *,
    observed: xr.DataArray | xr.Dataset | None = None,
    period: slice | None = None,
    segment: bool = False,
) -> Any:
    """Draw predicted and observed temperature at one reach.

    Parameters
    ----------
    prediction
        Temperature ``(time, fine)`` or ``(time, coarse)``, degC; a forecast has ``lead`` in place of
        ``time``. If lazy, only this reach is computed. Of quantiles, each pair p and 1 - p is drawn as a
        band, the median as the line and any other as a thin line. A single quantile is named in the legend.
        None: observations only.
    obj
        Dataset or DataTree whose labels (``water_temperature_<scale>``) are drawn.
    reach
        Id of the reach, or of the segment.
    ax
        matplotlib axes to draw into. Default: axes of a new figure, which is their ``.figure``.
    observed
        All observations, with the same dims as the prediction. Those that are not labels of ``obj`` are
        drawn as held out, the others as labels. Default: the labels of ``obj``.
    period
        Slice of dates to show. Default: all days of the prediction.
    segment
        Also draw the observations on the reach's coarse segment, if the dataset has them.

    Returns
    -------
    matplotlib.axes.Axes
        The title gives the RMSE of the line over the dots shown (held-out ones alone if there are any) and
        their number. Days flagged by the coordinate ``spin_up`` are shaded.

    Raises
    ------
    InvalidArgumentError
        The prediction does not have that reach or period, or there is nothing to draw.
    MissingDependencyError
        matplotlib is missing.

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
    ds = sound_dataset(obj)
    prediction = None if prediction is None else by_day(as_array(prediction))
    observed = None if observed is None else as_array(observed, "observed")
    shown = _known(ds, observed) if prediction is None else prediction
    found = one_reach(shown, reach, period, quantiles=prediction is not None)
    scale = "fine" if "fine" in shown.dims else "coarse"
    name = f"water_temperature_{scale}"
    known = ds[name] if name in ds.variables else None
    if known is not None:
        common_units(shown, known, f'ds["{name}"]')
    if observed is not None:
        scale_of(observed, what="observed")
        common_units(shown, observed)
    labels = _dots(known, found, scale, reach)
    dots = labels if observed is None else _dots(observed, found, scale, reach)
    in_training = labels.notnull() & (observed is not None)
    held_out, used = dots.where(~in_training), dots.where(in_training)
    ax = style.axes((8.0, 4.0)) if ax is None else ax
    _shade_spin_up(ax, found)
    line = None if prediction is None else _draw_prediction(ax, found)
    if segment and scale == "fine":
        _draw_segment(ax, ds, found, reach)
    dot = {"linestyle": "none", "marker": "o", "markersize": 3.4, "zorder": 2}
    for values, colour, words in (
        (used, style.LABEL, "observed, label"),
        (held_out, style.OBSERVED, "observed" if observed is None else "observed, held out"),
    ):
        if values.notnull().any():
            ax.plot(values["time"].values, values.values, **dot, color=colour, markeredgewidth=0, label=words)
    scored = held_out if held_out.notnull().any() else used
    what = f"{'reach' if scale == 'fine' else 'segment'} {reach}"
    units = style.units_of(shown)
    ax.set_title(_title(line, scored, what, units), loc="left", parse_math=False)  # ids may have a $
    ax.set(xlabel="date", ylabel=f"water temperature [{units}]")
    _frame(ax)
    return ax


def one_reach(
    prediction: xr.DataArray, reach: Any, period: slice | None, *, quantiles: bool = False
) -> xr.DataArray:
    """Select one reach and a period of a prediction, and compute them."""
    scale = scale_of(prediction, quantiles=quantiles)
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


def scale_of(prediction: xr.DataArray, *, quantiles: bool = False, what: str = "the prediction") -> str:
    """Find the scale of a prediction, whose dims must be time, the reaches and, if allowed, quantiles."""
    scale = "coarse" if "coarse" in prediction.dims else "fine"
    dims = set(prediction.dims) - ({"quantile"} if quantiles else set())
    labels = prediction.indexes
    if dims != {"time", scale} or not all(dim in labels and labels[dim].is_unique for dim in dims):
        needed = "'time' and 'fine' or 'coarse', with labels that are not repeated"
        msg = f"{what} has dims {prediction.dims}; it must have {needed}"
        raise InvalidArgumentError(msg)
    return scale


def _shade_spin_up(ax: Any, found: xr.DataArray) -> None:
    """Shade the days flagged as depending on the weather before the record."""
    if (days := spin_up(found)) is not None:
        shade = {"color": "0.5", "alpha": 0.12, "linewidth": 0, "zorder": 0}
        ax.axvspan(*days, **shade, label="spin-up")


def _known(ds: xr.Dataset, observed: xr.DataArray | None) -> xr.DataArray:
    """Choose the observations to draw when there is no prediction."""
    if observed is not None:
        return observed
    if "water_temperature_fine" not in ds.variables:
        nothing = "there is neither a prediction nor water_temperature_fine in the dataset to draw"
        raise InvalidArgumentError(f"{nothing}; give a prediction, or observed=")
    return ds["water_temperature_fine"]


def _draw_prediction(ax: Any, found: xr.DataArray) -> xr.DataArray | None:
    """Draw line and bands; return the line, or None if the quantiles have no median."""
    look = {"color": style.CURVE, "linewidth": 1.4, "zorder": 3}
    if "quantile" not in found.dims:
        which = style.which_quantile(found)
        ax.plot(found["time"].values, found.values, **look, label=f"predicted{which and f', {which}'}")
        return found
    values, probabilities = found.transpose("quantile", "time"), levels(found)
    pairs = intervals(probabilities)
    days = found["time"].values
    median = values[probabilities.index(0.5)] if 0.5 in probabilities else None
    if median is not None:
        ax.plot(days, median.values, **look, label="predicted, median")
    for nominal, (low, high) in pairs.items():
        band = {"color": style.CURVE, "alpha": 0.22, "linewidth": 0, "zorder": 1}
        ends = values[low].values, values[high].values
        ax.fill_between(days, *ends, **band, label=f"{100 * nominal:g} % interval")
    inside = {0.5, *(probabilities[place] for pair in pairs.values() for place in pair)}
    for place, p in enumerate(probabilities):
        if p not in inside:
            look = {"color": style.CURVE, "linewidth": 0.8, "linestyle": (0, (4, 2)), "zorder": 3}
            ax.plot(days, values[place].values, **look, label=f"quantile {p:g}")
    return median


def _draw_segment(ax: Any, ds: xr.Dataset, found: xr.DataArray, reach: Any) -> None:
    """Draw the observations on the reach's segment, if the dataset has them."""
    known = {"coarse_segment", "water_temperature_coarse"} <= set(ds.variables)
    if not known or reach not in ds.indexes["fine"]:
        return
    segment = ds["coarse_segment"].sel(fine=reach).values.item()
    dots = _dots(ds["water_temperature_coarse"], found, "coarse", segment)
    if dots.notnull().any():
        look = {"linestyle": "none", "marker": "D", "markersize": 4.6, "markerfacecolor": "none"}
        look |= {"color": style.SEGMENT, "markeredgewidth": 0.6, "alpha": 0.7, "zorder": 1.5}
        ax.plot(dots["time"].values, dots.values, **look, label=f"observed, segment {segment}")


def _dots(observed: xr.DataArray | None, found: xr.DataArray, scale: str, reach: Any) -> xr.DataArray:
    """Select the observations at the reach on the days of the series; NaN where there are none."""
    if observed is None or reach not in observed.indexes[scale]:
        return xr.DataArray(np.full(found.sizes["time"], np.nan), {"time": found["time"]}, "time")
    return observed.sel({scale: reach}).compute().reindex(time=found["time"]).astype(np.float64)


def _title(line: xr.DataArray | None, dots: xr.DataArray, what: str, units: str) -> str:
    count = int(dots.notnull().sum())
    if not count:
        return f"{what}, never observed in this period"
    if line is None:
        return f"{what}: observed on {count:,} days"
    error = (line - dots).values
    error = error[np.isfinite(error)]
    if not error.size:
        return f"{what}: no day both predicted and observed"
    return f"{what}: RMSE {np.sqrt(np.mean(error**2)):.2f} {units}, n = {error.size:,}"


def _frame(ax: Any) -> None:
    dates = style.need("matplotlib.dates")
    locator = dates.AutoDateLocator(minticks=4, maxticks=9)
    ax.xaxis.set_major_locator(locator)
    ax.xaxis.set_major_formatter(dates.ConciseDateFormatter(locator))
    ax.margins(x=0.01)
    if ax.get_legend_handles_labels()[1]:
        style.legend_above(ax)
    style.frame(ax)
