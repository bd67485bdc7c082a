"""Map of a river network, coloured by one value per reach."""

from __future__ import annotations

from textwrap import fill
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from xmsgl.errors import InvalidArgumentError, shorten
from xmsgl.plot import style
from xmsgl.plot.places import DISTANCE, SCHEMATIC, Lines, lines
from xmsgl.schema.arrays import as_array, sound_dataset
from xmsgl.schema.rivers import stream_orders
from xmsgl.util.arguments import checked

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["colour_bar", "draw_ring", "draw_rivers", "frame_map", "map_axes", "network"]


@checked
def network(
    da: xr.DataArray | xr.Dataset,
    obj: xr.Dataset | xr.DataTree,
    ax: style.Axes | None = None,
    *,
    limits: tuple[float, float] | None = None,
    center: float | None = None,
    mark: style.Reach | None = None,
    cmap: str | style.Colormap | None = None,
) -> Any:
    """Draw the rivers coloured by one value per reach; larger rivers are wider.

    Parameters
    ----------
    da
        Values ``(fine,)`` or ``(coarse,)``, matched to the dataset by id; missing ones are grey. For a
        single quantile, the colour bar names it.
    obj
        Dataset or DataTree with ``geometry_<scale>`` (hex WKB, EPSG:4326; needs shapely), or
        ``lat_<scale>``, ``lon_<scale>`` and ``downstream_<scale>``. With ``downstream_<scale>`` alone, the
        network is drawn as a schematic tree, and the axis says so.
    ax
        matplotlib axes to draw into. Default: axes of a new figure, which is their ``.figure``.
    limits
        Values at the two ends of the colours. Default: the 1st and 99th percentile; pointed ends of the bar
        show that values lie beyond.
    center
        Value in the middle of the colours, equally far from both ends: 0 for a bias. Default: none.
    mark
        Id of a reach to ring.
    cmap
        matplotlib colour map, or its name. Default: dark blue to orange for temperatures, light green to
        dark violet for other units, blue through grey to red with a center.

    Returns
    -------
    matplotlib.axes.Axes
        With a colour bar beside it, as ``.child_axes[0]``.

    Raises
    ------
    InvalidArgumentError
        The values have dimensions other than the reaches, or no id in common with the dataset.
    InvalidDatasetError
        The dataset has neither the location of the reaches nor their topology.
    MissingDependencyError
        matplotlib is missing, or shapely where the dataset has geometries.

    Examples
    --------
    >>> import xmsgl
    >>> ds = xmsgl.datasets.simulated(n_coarse=2, years=1)
    >>> ax = network(ds["slope_fine"], ds)
    >>> ax.child_axes[0].get_ylabel()
    'channel slope [1]'
    """
    ds, da = sound_dataset(obj), as_array(da, "da")
    if da.sizes.get("quantile") == 1:
        da = da.isel(quantile=0)
    values, scale = _values(da, ds)
    shown, found = values[np.isfinite(values)], lines(ds, scale)
    low, high = _limits(shown, center) if limits is None else limits
    ax = map_axes(found) if ax is None else ax
    colours = _colours(da, center) if cmap is None else style.with_missing(cmap)
    drawn, reach = draw_rivers(ax, found, stream_orders(ds, scale), cmap=colours)
    drawn.set_array(np.ma.masked_invalid(values[reach]))
    drawn.set_clim(low, high)
    if mark is not None:
        draw_ring(ax, found, ds, scale, mark)
    frame_map(ax, found)
    extend = ("neither", "min", "max", "both")[int((shown < low).any()) + 2 * int((shown > high).any())]
    colour_bar(ax, drawn, style.describe(da), extend)
    return ax


def _values(da: xr.DataArray, ds: xr.Dataset) -> tuple[npt.NDArray[np.float64], str]:
    """Put the values in the order of the dataset; NaN where there are none."""
    scale = next((name for name in ("fine", "coarse") if name in da.dims), None)
    if scale is None or da.ndim != 1 or scale not in da.indexes:
        msg = (
            f"the values have dims {da.dims}; a map needs one value per reach, labelled along 'fine' or "
            "'coarse': select a day with .sel(time=\"2010-07-15\"), or a quantile with .sel(quantile=0.5)"
        )
        raise InvalidArgumentError(msg)
    mine, theirs = ds.indexes.get(scale, pd.Index([])), da.indexes[scale]
    if not mine.isin(theirs).any():
        msg = (
            f"the values have no id in common with the dataset along {scale!r}: {shorten(theirs, 3)} "
            f"against {shorten(mine, 3)}; give values of this dataset"
        )
        raise InvalidArgumentError(msg)
    values = da.astype(np.float64).reindex({scale: mine}).values
    if not np.isfinite(values).any():
        msg = "all values are missing, so there is nothing to colour; choose another day"
        raise InvalidArgumentError(msg)
    return values, scale


def _limits(shown: npt.NDArray[np.float64], center: float | None) -> tuple[float, float]:
    low, high = (float(end) for end in np.percentile(shown, [1, 99]))
    if center is not None:
        reach = max(high - center, center - low) or 0.5
        return center - reach, center + reach
    return (low, high) if high > low else (low - 0.5, low + 0.5)


def _colours(da: xr.DataArray, center: float | None) -> Any:
    if center is not None:
        return style.difference_colours()
    return style.temperature_colours() if style.units_of(da) == "°C" else style.strength_colours()


def draw_rivers(
    ax: Any, found: Lines, orders: npt.NDArray[np.int64], **look: Any
) -> tuple[Any, npt.NDArray[np.int64]]:
    """Draw all reaches, larger rivers wider; also return the position of the reach of each line."""
    # Large rivers last, so that they lie on top of the mouths of their tributaries.
    found = found.part(np.argsort(orders[found.reach], kind="stable"))
    widths = np.clip(40 / len(orders), 0.6, 2.0) + 2.4 * (orders[found.reach] - 1) / max(orders.max() - 1, 4)
    look = {"linewidths": widths, "capstyle": "round", "joinstyle": "round", "zorder": 2, **look}
    drawn = style.need("matplotlib.collections").LineCollection(found.paths, **look)
    return ax.add_collection(drawn), found.reach


def draw_ring(ax: Any, found: Lines, ds: xr.Dataset, scale: str, mark: Any) -> None:
    """Ring a reach halfway along its line."""
    position = int(ds.indexes[scale].get_indexer(pd.Index([mark]))[0])
    if position < 0 or position not in found.reach:
        msg = f"{mark!r} cannot be marked: it is not a {scale} id of the dataset, or has no location"
        raise InvalidArgumentError(msg)
    east, north = found.middles(ds.sizes[scale])[position]
    ring = {"markersize": 11, "markerfacecolor": "none", "markeredgewidth": 1.6}
    what = "reach" if scale == "fine" else "segment"
    ax.plot([east], [north], "o", color=style.MARK, **ring, zorder=4, label=f"{what} {mark}")


def colour_bar(ax: Any, drawn: Any, label: str, extend: str = "neither") -> None:
    """Put the colour bar beside a map."""
    beside = ax.inset_axes((1.03, 0.0, 0.035, 1.0))  # as high as the map, whatever its shape
    ax.figure.colorbar(drawn, cax=beside, label=fill(label, 36), extend=extend)


def map_axes(found: Lines, beside: float = 1.9) -> Any:
    """Make new axes in a figure with the shape of the basin and `beside` inches next to the map."""
    shape = found.shape()
    height = min(4.0 / np.sqrt(shape), 5.0)
    return style.axes((max(height * shape, 2.2) + beside, height + 1.2))


def frame_map(ax: Any, found: Lines) -> None:
    """Set the limits, an aspect ratio true to the latitude, and ticks in degrees; in reaches if schematic."""
    ticker = style.need("matplotlib.ticker")
    (west, south), (east, north) = found.frame()
    ax.set(xlim=(west, east), ylim=(south, north), aspect=1 / found.shrink(), axisbelow=True)
    if found.schematic:
        ax.set(xlabel=SCHEMATIC, ylabel=DISTANCE, xticks=[])
        ax.yaxis.set_major_locator(ticker.MaxNLocator(4, integer=True))
    else:
        ax.set(xlabel="longitude", ylabel="latitude")
        bins = 4 if found.shape() > 0.6 else 3
        for axis, signs, most in ((ax.xaxis, "EW", bins), (ax.yaxis, "NS", 4)):
            axis.set_major_locator(ticker.MaxNLocator(most, steps=[1, 2, 2.5, 5, 10]))
            # Nine digits are all of a tick, without the error of binary fractions.
            axis.set_major_formatter(lambda at, _, signs=signs: f"{abs(at):.9g}°{signs[int(at < 0)]}")
    ax.tick_params(length=3, labelsize="small", color="#888888")
    ax.grid(visible=True, color="#ececec", linewidth=0.8, zorder=0)
    ax.spines[:].set_color("#bbbbbb")
