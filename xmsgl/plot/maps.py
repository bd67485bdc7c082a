"""Map of a river network coloured by a value of each reach."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from xmsgl.errors import InvalidArgumentError, shorten
from xmsgl.plot.places import Lines, lines
from xmsgl.plot.style import (
    MARK,
    axes,
    describe,
    difference_colours,
    need,
    strength_colours,
    temperature_colours,
    units_of,
    with_missing,
    wrapped,
)
from xmsgl.schema.arrays import as_array
from xmsgl.schema.rivers import stream_orders
from xmsgl.schema.tree import as_dataset

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["colour_bar", "draw_ring", "draw_rivers", "frame_map", "map_axes", "network"]


def network(
    da: xr.DataArray | xr.Dataset,
    obj: xr.Dataset | xr.DataTree,
    ax: Any = None,
    *,
    limits: tuple[float, float] | None = None,
    center: float | None = None,
    mark: Any = None,
    cmap: Any = None,
) -> Any:
    """Draw the rivers coloured by one value a reach, wider where they are larger.

    Parameters
    ----------
    da
        Values ``(fine,)`` or ``(coarse,)``, matched to the dataset by id; missing ones are grey. Of a
        single quantile the colour bar says which.
    obj
        Dataset or DataTree with ``geometry_<scale>`` (hex WKB, EPSG:4326; needs shapely), or
        ``lat_<scale>``, ``lon_<scale>`` and ``downstream_<scale>``.
    ax
        matplotlib axes to draw into; None makes a new figure, to be had as ``.figure``.
    limits
        Values of the two ends of the colours. Default: the 1st and 99th percentile, so that single
        reaches do not take the colours of all; the bar's pointed ends say so.
    center
        Value in the middle of the colours, for differences: 0 for a bias. The ends then lie equally far
        from it. Default: none.
    mark
        Id of a reach to ring.
    cmap
        matplotlib colour map, or its name. Default: for temperatures dark blue to orange, for other units
        light green to dark violet, with a center blue over grey to red; all even in lightness.

    Returns
    -------
    matplotlib.axes.Axes
        With a colour bar beside it, as ``.child_axes[0]``.

    Raises
    ------
    InvalidArgumentError
        More dims than the reaches, or no id in common with the dataset.
    InvalidDatasetError
        Nothing in the dataset says where the reaches lie.
    MissingDependencyError
        No matplotlib, or a geometry and no shapely.

    Examples
    --------
    >>> import xarray as xr
    >>> ds = xr.Dataset(
    ...     {
    ...         "downstream_fine": ("fine", [2, 0]),
    ...         "lat_fine": ("fine", [41.0, 40.9]),
    ...         "lon_fine": ("fine", [-75.0, -75.1]),
    ...     },
    ...     coords={"fine": [1, 2]},
    ... )
    >>> ax = network(xr.DataArray([14.0, 15.5], coords={"fine": [1, 2]}, attrs={"units": "degC"}), ds)
    >>> ax.child_axes[0].get_ylabel()
    'water temperature [°C]'
    """
    ds, da = as_dataset(obj), as_array(da, "da")
    if da.sizes.get("quantile") == 1:
        da = da.isel(quantile=0)
    values, scale = _values(da, ds)
    shown, found = values[np.isfinite(values)], lines(ds, scale)
    low, high = limits or _limits(shown, center)
    ax = map_axes(found) if ax is None else ax
    colours = _colours(da, center) if cmap is None else with_missing(cmap)
    drawn, reach = draw_rivers(ax, found, stream_orders(ds, scale), cmap=colours)
    drawn.set_array(np.ma.masked_invalid(values[reach]))
    drawn.set_clim(low, high)
    if mark is not None:
        draw_ring(ax, found, ds, scale, mark)
    frame_map(ax, found)
    extend = ("neither", "min", "max", "both")[int((shown < low).any()) + 2 * int((shown > high).any())]
    colour_bar(ax, drawn, describe(da), extend)
    return ax


def _values(da: xr.DataArray, ds: xr.Dataset) -> tuple[npt.NDArray[np.float64], str]:
    """Put the values into the order of the dataset; NaN where there are none."""
    scale = next((name for name in ("fine", "coarse") if name in da.dims), None)
    if scale is None or da.ndim != 1 or scale not in da.indexes:
        msg = (
            f"the values have dims {da.dims}; a map needs one value a reach, "
            'labelled along "fine" or "coarse": select a day with .sel(time="2010-07-15"), or of quantiles '
            "one with .sel(quantile=0.5)"
        )
        raise InvalidArgumentError(msg)
    mine, theirs = ds.indexes[scale], da.indexes[scale]
    places = theirs.get_indexer(mine)
    if (places < 0).all():
        msg = f"no id in common along {scale!r}: {shorten(theirs, 3)} against {shorten(mine, 3)}"
        raise InvalidArgumentError(msg)
    values = np.asarray(da.values, dtype=np.float64)[places]
    values[places < 0] = np.nan
    if not np.isfinite(values).any():
        msg = "all values are missing: nothing to colour; choose another day"
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
        return difference_colours()
    return temperature_colours() if units_of(da) == "°C" else strength_colours()


def draw_rivers(
    ax: Any, found: Lines, orders: npt.NDArray[np.int64], **look: Any
) -> tuple[Any, npt.NDArray[np.int64]]:
    """Draw all reaches, wider where the river is larger."""
    collections = need("matplotlib.collections")
    # Large rivers last, so that they lie on top of their tributaries' mouths.
    order = np.argsort(orders[found.reach], kind="stable")
    reach = found.reach[order]
    widths = 0.6 + 2.4 * (orders[reach] - 1) / max(orders.max() - 1, 4)
    drawn = collections.LineCollection(
        [found.paths[k] for k in order],
        **{"linewidths": widths, "capstyle": "round", "joinstyle": "round", "zorder": 2, **look},
    )
    return ax.add_collection(drawn), reach


def draw_ring(ax: Any, found: Lines, ds: xr.Dataset, scale: str, mark: Any) -> None:
    """Ring a reach of that id half-way along its line."""
    position = int(ds.indexes[scale].get_indexer(pd.Index([mark]))[0])
    if position < 0 or position not in found.reach:
        msg = f"{mark!r} can not be marked: it is no {scale} id of the dataset, or has no place"
        raise InvalidArgumentError(msg)
    east, north = found.middle(position)
    ring = {"markersize": 11, "markerfacecolor": "none", "markeredgewidth": 1.6}
    what = "reach" if scale == "fine" else "segment"
    ax.plot([east], [north], "o", color=MARK, **ring, zorder=4, label=f"{what} {mark}")


def colour_bar(ax: Any, drawn: Any, label: str, extend: str = "neither") -> None:
    """Put the bar of the colours beside a map."""
    # Inside the axes' own frame of reference, so that it is as high as the map, whatever its shape.
    ax.figure.colorbar(drawn, cax=ax.inset_axes((1.03, 0.0, 0.035, 1.0)), label=wrapped(label), extend=extend)


def map_axes(found: Lines, beside: float = 1.9) -> Any:
    """Make new axes in a figure of the basin's shape, with so many inches beside the map."""
    places = np.concatenate(found.paths)
    east, north = np.maximum(np.ptp(places, axis=0), 1e-6)
    shape = north / (east * np.cos(np.deg2rad(found.latitude())))
    height = float(np.clip(4.0 * shape + 1.2, 3.2, 6.2))
    return axes((float(np.clip((height - 1.2) / shape + beside, 2.2 + beside, 4.0 + beside)), height))


def frame_map(ax: Any, found: Lines) -> None:
    """Set limits, the aspect ratio of the latitude, and ticks in degrees."""
    ticker = need("matplotlib.ticker")
    places = np.concatenate(found.paths)
    low, high = places.min(axis=0), places.max(axis=0)
    margin = 0.04 * np.maximum(high - low, 1e-3)
    ax.set_xlim(low[0] - margin[0], high[0] + margin[0])
    ax.set_ylim(low[1] - margin[1], high[1] + margin[1])
    # One degree of longitude is shorter than one of latitude by the cosine of the latitude.
    ax.set_aspect(1 / np.cos(np.deg2rad(found.latitude())))
    for axis, signs in ((ax.xaxis, "EW"), (ax.yaxis, "NS")):
        axis.set_major_locator(ticker.MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]))
        axis.set_major_formatter(lambda value, _, signs=signs: f"{abs(value):.4g}°{signs[int(value < 0)]}")
    ax.set_xlabel("longitude")
    ax.set_ylabel("latitude")
    ax.tick_params(length=3, labelsize="small", color="#888888")
    ax.grid(visible=True, color="#ececec", linewidth=0.8, zorder=0)
    ax.set_axisbelow(True)
    for spine in ax.spines.values():
        spine.set_color("#bbbbbb")
