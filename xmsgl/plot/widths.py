"""Map of the uncertainty of a prediction, with the sensors that report and those to add."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr

from xmsgl.errors import InvalidArgumentError, shorten
from xmsgl.evaluate.probabilistic import intervals, levels
from xmsgl.plot import maps, style
from xmsgl.plot.days import at_time, by_day
from xmsgl.plot.places import lines
from xmsgl.plot.sensors import segment_places, sensor_reaches
from xmsgl.schema.arrays import as_array, sound_dataset
from xmsgl.util.arguments import checked

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["uncertainty"]


@checked
def uncertainty(
    prediction: xr.DataArray | xr.Dataset,
    obj: xr.Dataset | xr.DataTree,
    ax: style.Axes | None = None,
    *,
    time: Any = None,
    observed: xr.DataArray | xr.Dataset | None = None,
    proposed: xr.Dataset | None = None,
    limits: tuple[float, float] | None = None,
    cmap: str | style.Colormap | None = None,
) -> Any:
    """Draw the rivers coloured by the width of the interval of a prediction, with the sensors.

    Parameters
    ----------
    prediction
        Quantiles ``(quantile, time, fine)``, degC, or of a forecast ``(quantile, lead, fine)``. The widest
        interval p to 1 - p is drawn. The width between the quantiles 0.16 and 0.84 is about two standard
        deviations. If lazy, only the days shown are computed. Of an ensemble forecast, with the dimension
        ``member``, the mean of the members' widths is drawn, which does not show how far the members lie
        apart; select one with ``.isel(member=...)`` to draw it alone.
    obj, ax, limits, cmap
        As for :func:`xmsgl.plot.network`. Default colours: light green to dark violet.
    time
        A day, or a month or a slice to average over. Default: the mean over all days.
    observed
        Observations that the prediction was given, as for ``ds.msgl.reconstruct``. Default: those of `obj`.
        A reach with one on the days shown, or on the day of issue of a forecast, is marked as a sensor, and
        so is the most downstream reach of a segment that is observed without any of its reaches.
    proposed
        Result of :func:`xmsgl.evaluate.next_sensors`, whose reaches are marked and numbered.

    Returns
    -------
    matplotlib.axes.Axes
        With a colour bar beside it, as ``.child_axes[0]``.

    Raises
    ------
    InvalidArgumentError
        The prediction has no quantiles, no interval or no reach of the dataset, there is no such day, or a
        proposed reach or the observations do not fit the dataset.
    InvalidDatasetError, MissingDependencyError
        As for :func:`xmsgl.plot.network`.

    Examples
    --------
    >>> import xarray as xr, xmsgl
    >>> ds = xmsgl.datasets.simulated(n_coarse=2, years=1)
    >>> error = xr.DataArray([-1.0, 1.0], {"quantile": [0.05, 0.95]})
    >>> bounds = (ds["true_temperature_fine"] + error).transpose("quantile", "time", "fine")
    >>> uncertainty(bounds, ds, time="2002-07").child_axes[0].get_ylabel()
    'width of the 90 % interval [°C]'
    """
    ds, da = sound_dataset(obj), by_day(as_array(prediction))
    width = _width(da)
    time = slice(None) if time is None else time
    shown, title = at_time(width, time)
    ax = maps.network(shown, ds, ax, limits=limits, cmap=cmap or style.strength_colours())
    ax.set_title(title, loc="left")
    middles = lines(ds, "fine").middles(ds.sizes["fine"])
    days = width["time"].sortby("time").sel(time=time)
    reporting = _reporting(ds, observed, width.coords.get("issue", days))
    dot: dict[str, Any] = {"linestyle": "none", "marker": "o", "color": style.MARK, "markeredgewidth": 0.9}
    if reporting.size:
        hollow = dot | {"markersize": 4.5, "markerfacecolor": "white", "label": "sensor that reports"}
        ax.plot(*middles[reporting].T, **hollow, zorder=4)
    if proposed is not None:
        _draw_proposed(ax, ds, proposed, middles, dot)
    if reporting.size or proposed is not None:
        # Below the label of the axis, where it hides no river.
        shift = style.need("matplotlib.transforms").ScaledTranslation(0, -0.5, ax.figure.dpi_scale_trans)
        look = {"frameon": False, "fontsize": "small", "ncols": 2, "borderpad": 0, "handletextpad": 0.5}
        ax.legend(loc="upper left", bbox_to_anchor=(0, 0), bbox_transform=ax.transAxes + shift, **look)
    return ax


def _width(da: xr.DataArray) -> xr.DataArray:
    """Return the width of the widest interval, the mean of all members, (time, fine)."""
    probabilities = levels(da)
    bounds = intervals(probabilities)
    if not bounds or set(da.dims) - {"member"} != {"quantile", "time", "fine"}:
        msg = (
            f"the prediction has dims {da.dims} and quantiles {probabilities}; it must have 'quantile', "
            "'time' and 'fine', may have 'member', and must have quantiles p and 1 - p, for example "
            "ds.msgl.reconstruct(model, quantiles=[0.05, 0.5, 0.95])"
        )
        raise InvalidArgumentError(msg)
    nominal, (low, high) = max(bounds.items())
    width = da.isel(quantile=high, drop=True) - da.isel(quantile=low, drop=True)
    name = f"width of the {100 * nominal:.4g} % interval"
    if "member" in da.dims:
        width = width.mean("member")
        name = f"mean {name} of {da.sizes['member']} members"
    return width.assign_attrs(units=style.units_of(da), long_name=name)


def _reporting(
    ds: xr.Dataset, observed: xr.DataArray | xr.Dataset | None, days: xr.DataArray
) -> npt.NDArray[np.int64]:
    """Return the reaches with a sensor that reports on some days."""
    given, seen = ds if observed is None else observed, {}
    if not isinstance(given, xr.Dataset):
        given = as_array(given, "observed")
        scale = "coarse" if "coarse" in given.dims else "fine"
        given = given.to_dataset(name=f"water_temperature_{scale}")
    for scale in ("fine", "coarse"):
        ids, name = ds.indexes.get(scale, pd.Index([])), f"water_temperature_{scale}"
        seen[scale] = np.zeros(len(ids), np.bool_)
        if name not in given.data_vars:
            continue
        array = given[name]
        if set(array.dims) != {"time", scale} or not set(array.dims) <= set(array.indexes):
            msg = f"observations must have the dimensions time and {scale} with their ids, not {array.dims}"
            raise InvalidArgumentError(msg)
        there = array.isel(time=array.indexes["time"].isin(np.atleast_1d(days.values)))
        seen[scale] = ids.isin(array.indexes[scale][there.notnull().any("time").values])
    # The last element is for reaches without a segment.
    return sensor_reaches(ds, seen["fine"], np.append(seen["coarse"], False)[segment_places(ds)])


def _draw_proposed(
    ax: Any, ds: xr.Dataset, proposed: Any, middles: npt.NDArray[np.float64], dot: dict[str, Any]
) -> None:
    """Mark proposed reaches by discs with their rank."""
    if not isinstance(proposed, xr.Dataset) or not {"reach", "rank"} <= set(proposed.variables):
        msg = "proposed must be the result of xmsgl.evaluate.next_sensors, with reach and rank"
        raise InvalidArgumentError(msg)
    reaches, ranks = (np.atleast_1d(proposed[name].values) for name in ("reach", "rank"))
    places = ds.indexes["fine"].get_indexer(pd.Index(reaches))
    lost = (places < 0) | ~np.isfinite(middles[places]).all(axis=1)
    if lost.any():
        msg = f"proposed reaches {shorten(reaches[lost])} are not among the ids of 'fine', or have no place"
        raise InvalidArgumentError(msg)
    ax.plot(*middles[places].T, **dot, markersize=12, zorder=5, label="proposed sensor, in order")
    number = {"ha": "center", "va": "center_baseline", "color": "white", "fontsize": "small", "zorder": 6}
    for rank, place in zip(ranks, middles[places], strict=True):
        ax.annotate(str(rank), place, **number)
