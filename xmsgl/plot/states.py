"""Hidden states of a network as points in a plane, beside the map of their reaches."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from xmsgl.errors import InvalidArgumentError, UnknownNameError, shorten
from xmsgl.evaluate.alike import yearly_states
from xmsgl.plot import maps, style
from xmsgl.plot.places import lines
from xmsgl.schema.arrays import as_array, sound_dataset
from xmsgl.util.arguments import checked
from xmsgl.util.optional import require

if TYPE_CHECKING:
    import numpy.typing as npt
    import xarray as xr

    Floats = npt.NDArray[np.float64]

__all__ = ["embedding"]

_WIDTH, _HEIGHT = 10.5, 4.8  # inches
_AREA = "drainage_area_fine"
_GROUPS = 7  # most values of whole numbers with a colour each
_RING = {"markersize": 11, "markerfacecolor": "none", "markeredgewidth": 1.6, "zorder": 4}
_LEAST, _NEIGHBOURS = (
    4,
    15,
)  # reaches of a layout by neighbourhoods, and the neighbours that it keeps together
_SPAN = 20.0  # largest over smallest value from which positive values are coloured by their logarithm


@checked
def embedding(
    states: xr.DataArray | xr.Dataset,
    obj: xr.Dataset | xr.DataTree,
    ax: style.Axes | None = None,
    *,
    by: Any = None,
    mark: Any = None,
    layout: Literal["pca", "umap"] = "pca",
    cmap: str | style.Colormap | None = None,
) -> Any:
    """Draw the reaches as points, near each other where their hidden states are alike, beside the map.

    Parameters
    ----------
    states
        Hidden states (time, fine, latent) from ``ds.msgl.embed``, of a year or more. May be lazy.
    obj
        Dataset or DataTree with the reaches and where they lie, as for :func:`xmsgl.plot.network`.
    ax
        matplotlib axes to draw the points into, without the map. Default: new ones beside a map.
    by
        What colours points and reaches: the name of a variable of the dataset or an array, over ``fine``.
        Whole numbers with up to seven different values, such as those of :func:`xmsgl.evaluate.regimes`, have
        separate colours. Default: the drainage area.
    mark
        Id of a reach to ring in both pictures, or a list of ids.
    layout
        ``"pca"``: the two directions of the largest variance among reaches (principal components), in which
        distances are those of the states as far as two directions show them. ``"umap"``: places that keep
        neighbours together [1]_, for groups that overlap in the components; distances between groups mean
        nothing, and at least four reaches are needed.
    cmap
        matplotlib colour map, or its name.

    Returns
    -------
    matplotlib.axes.Axes
        Those of the points; those of the map are ``.figure.axes[1]``. The colour bar is ``.child_axes[0]`` of
        the map, or of the points where there is no map.

    Raises
    ------
    InvalidArgumentError
        The states are not such, have no reach in common with the dataset or cover less than a year; or `by`
        or `mark` does not fit.
    UnknownNameError
        The dataset has no variable of that name, or there is no such layout.
    InvalidDatasetError, MissingDependencyError
        As for :func:`xmsgl.plot.network`; the layout ``"umap"`` needs ``umap-learn``.

    Notes
    -----
    A reach is described by the mean yearly cycle of its hidden states, as in :func:`xmsgl.evaluate.regimes`.

    References
    ----------
    .. [1] McInnes, Healy & Melville (2018), UMAP: Uniform Manifold Approximation and Projection for Dimension
       Reduction, arXiv:1802.03426.

    Examples
    --------
    >>> import xmsgl
    >>> ds = xmsgl.datasets.simulated(n_coarse=3, years=2)
    >>> model = ds.msgl.train("fine-only", epochs=1, validation=None, progress=False)
    >>> embedding(ds.msgl.embed(model), ds).figure.axes[1].get_xlabel()
    'longitude'
    """
    if layout not in _LAYOUTS:
        raise UnknownNameError("layout", layout, _LAYOUTS)
    ds = sound_dataset(obj)
    rows = yearly_states(as_array(states, "states"))
    (places, labels), ids = _LAYOUTS[layout](rows.values), rows.indexes["fine"]
    colours, found, rings = _Colours.of(_values(ds, by), cmap), lines(ds, "fine"), _marked(mark)
    if not ids.isin(ds.indexes["fine"]).any():
        msg = f"the states have no reach in common with the dataset: {shorten(ids, 3)}; give its own states"
        raise InvalidArgumentError(msg)
    limits, shades = colours.limits, colours.shades
    ax, beside = style.pair((_WIDTH, _HEIGHT)) if ax is None else (ax, None)
    shown = np.ma.masked_invalid(colours.values.reindex(fine=ids).values)
    look = {"cmap": shades, "vmin": limits[0], "vmax": limits[1], "plotnonfinite": True}
    drawn = ax.scatter(*places.T, c=shown, s=_dot(len(ids)), **look, linewidths=0)
    style.frame(ax)
    ax.set(xlabel=labels[0], ylabel=labels[1])
    for reach in rings:
        ax.plot(*places[ids.isin([reach])].T, "o", color=style.MARK, **_RING)
    if beside is None:
        maps.colour_bar(ax, drawn, style.describe(colours.values), colours.extend())
    else:
        maps.network(colours.values, ds, beside, limits=limits, cmap=shades)
        for reach in rings:
            maps.draw_ring(beside, found, ds, "fine", reach)
    colours.name_ticks((beside or ax).child_axes[0])
    return ax


def _components(rows: Floats) -> tuple[Floats, list[str]]:
    """Return the first two principal components of the reaches, and names of the axes."""
    left, sizes, _ = np.linalg.svd(rows - rows.mean(axis=0), full_matrices=False)
    places = np.zeros((len(left), 2))
    places[:, : sizes.size] = left[:, :2] * sizes[:2]
    # The sign is arbitrary: the reach furthest from the middle is on the right, or above.
    furthest = places[np.abs(places).argmax(axis=0), [0, 1]]
    shares = np.zeros(2)
    shares[: sizes.size] = sizes[:2] ** 2 / max((sizes**2).sum(), np.finfo(float).tiny)
    names = [f"principal component {k} ({100 * s:.0f} % of the variance)" for k, s in enumerate(shares, 1)]
    return places * np.where(furthest < 0, -1, 1), names


def _neighbourhoods(rows: Floats) -> tuple[Floats, list[str]]:
    """Return places in a plane that keep neighbours together, and names of the axes."""
    umap = require("umap", "the layout 'umap'", extra="umap")
    if len(rows) < _LEAST:
        msg = f"the layout 'umap' needs {_LEAST} reaches, and the states have {len(rows)}; use layout='pca'"
        raise InvalidArgumentError(msg)
    near = min(_NEIGHBOURS, len(rows) - 1)
    # From principal components, because its own start fails with few reaches.
    fit = umap.UMAP(n_neighbors=near, init="pca", random_state=0, n_jobs=1)
    return np.asarray(fit.fit_transform(rows), np.float64), ["UMAP 1", "UMAP 2"]


_LAYOUTS = {"pca": _components, "umap": _neighbourhoods}


def _values(ds: xr.Dataset, by: Any) -> xr.DataArray:
    """Return what colours the reaches."""
    if by is None and _AREA not in ds.variables:
        msg = f"the dataset has no {_AREA} to colour the reaches by; give an array or another name as by="
        raise InvalidArgumentError(msg)
    name = _AREA if by is None else by
    if isinstance(name, str) and name not in ds.variables:
        raise UnknownNameError("variable", name, map(str, ds.variables))
    values = ds[name] if isinstance(name, str) else as_array(name, "by")
    if values.dims != ("fine",) or values.dtype.kind not in "biuf":
        msg = f"by has dims {values.dims} and dtype {values.dtype}; it must be numbers along 'fine'"
        raise InvalidArgumentError(msg)
    return values.compute()


def _marked(mark: Any) -> list[Any]:
    """Return the ids to ring."""
    several = mark.tolist() if isinstance(mark, np.ndarray) else mark
    ids = [] if mark is None else list(several) if isinstance(several, list | tuple) else [several]
    if strange := [each for each in ids if not isinstance(each, Hashable)]:
        msg = f"mark has a {type(strange[0]).__name__}; give the id of a reach, or a list of ids"
        raise InvalidArgumentError(msg)
    return ids


def _dot(n: int) -> float:
    """Return the area of a point, in square points, for so many of them."""
    return float(np.clip(6000 / n, 5, 45))


@dataclass(frozen=True)
class _Colours:
    """Values as they are coloured: numbers of groups, logarithms, or the values themselves."""

    values: xr.DataArray
    limits: tuple[float, float]
    shades: Any
    groups: tuple[str, ...] = ()
    logarithm: bool = False

    @classmethod
    def of(cls, values: xr.DataArray, cmap: Any) -> _Colours:
        known = np.unique(values.values[np.isfinite(values.values)])
        if not known.size:
            msg = "by is missing at all reaches, so that there is nothing to colour"
            raise InvalidArgumentError(msg)
        warm = style.units_of(values) == "°C" and "units" in values.attrs
        if values.dtype.kind in "biu" and known.size <= _GROUPS:
            chosen = style.with_missing(cmap or style.temperature_colours()).resampled(known.size)
            numbers = values.copy(data=np.searchsorted(known, values.values) + 1.0)
            return cls(numbers, (0.5, known.size + 0.5), chosen, tuple(str(each) for each in known))
        chosen = cmap or (style.temperature_colours() if warm else style.strength_colours())
        logarithm = bool(known[0] > 0 and known[-1] >= _SPAN * known[0])
        shown = values.copy(data=np.log10(values.values)) if logarithm else values
        low, high = np.nanpercentile(shown.values, [1, 99])
        ends = (float(low), float(high)) if high > low else (float(low) - 0.5, float(low) + 0.5)
        return cls(shown, ends, style.with_missing(chosen), logarithm=logarithm)

    def extend(self) -> str:
        """Say at which ends of the colours there are values beyond."""
        below, above = (self.values < self.limits[0]).any(), (self.values > self.limits[1]).any()
        return ("neither", "min", "max", "both")[int(below) + 2 * int(above)]

    def name_ticks(self, bar: Any) -> None:
        """Label the colour bar with the values themselves."""
        ticker = style.need("matplotlib.ticker")
        if self.groups:
            bar.yaxis.set_major_locator(ticker.FixedLocator(range(1, len(self.groups) + 1)))
            bar.yaxis.set_major_formatter(ticker.FixedFormatter(self.groups))
            bar.yaxis.set_minor_locator(ticker.NullLocator())
        elif self.logarithm:
            decades = 10.0 ** np.arange(np.floor(self.limits[0]), np.ceil(self.limits[1]) + 1)
            round_ones = np.log10(np.outer(decades, [1, 2, 5]).ravel())
            inside = round_ones[(round_ones >= self.limits[0]) & (round_ones <= self.limits[1])]
            bar.yaxis.set_major_locator(ticker.FixedLocator(inside))
            bar.yaxis.set_major_formatter(lambda at, _: f"{10**at:.3g}")
