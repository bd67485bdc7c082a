"""``ds.msgl.plot``: pictures of a dataset. Every method delegates; nothing is kept but the object."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import xarray as xr

from xmsgl.errors import InvalidArgumentError, UnknownNameError
from xmsgl.evaluate.metrics import score
from xmsgl.evaluate.pairs import observations
from xmsgl.evaluate.table import by_name, shared
from xmsgl.network.graph import RiverGraph, RiverGraphs
from xmsgl.plot import curves, links, maps
from xmsgl.plot.days import at_time
from xmsgl.plot.skill import against_observed, by_group
from xmsgl.schema.arrays import as_array
from xmsgl.schema.graphs import build_graph
from xmsgl.schema.tree import as_dataset

__all__ = ["Plots"]


class Plots:
    """Pictures of a dataset, on matplotlib axes.

    Each method returns the axes; ``.figure`` is their figure, and a notebook shows both. A method that is
    given ``ax=`` draws there. Lazy data are computed only where they are shown.

    Parameters
    ----------
    obj
        A dataset or DataTree of the convention. Nothing is checked before a method needs it.

    Examples
    --------
    >>> import xmsgl
    >>> ds = xmsgl.datasets.simulated(n_coarse=3, years=2)
    >>> ds.msgl.plot.network("elevation_fine").child_axes[0].get_ylabel()
    'mean elevation above sea level [m]'
    """

    def __init__(self, obj: xr.Dataset | xr.DataTree) -> None:
        self._obj = obj

    def network(
        self,
        var: str | xr.DataArray | xr.Dataset,
        *,
        time: Any = None,
        limits: tuple[float, float] | None = None,
        center: float | None = None,
        mark: Any = None,
        cmap: Any = None,
        ax: Any = None,
    ) -> Any:
        """Draw the rivers coloured by a variable on one day.

        Parameters
        ----------
        var
            Name of a variable of the dataset, or an array such as a prediction or a score by reach, with
            ``fine`` or ``coarse`` and perhaps ``time``.
        time
            A day (``"2019-07-21"``), or a month (``"2019-07"``) or a slice, of which the mean is shown.
        limits
            Values of the two ends of the colours. Default: the 1st and 99th percentile.
        center
            Value in the middle of the colours, for differences: 0 for a bias. Default: none.
        mark
            Id of a reach to ring.
        cmap
            matplotlib colour map, or its name. Default: by the units, see :func:`xmsgl.plot.network`.
        ax
            matplotlib axes to draw into. Default: new ones.

        Returns
        -------
        matplotlib.axes.Axes
            Reaches without a value are grey; the colour bar is ``.child_axes[0]``.

        Raises
        ------
        UnknownNameError
            The dataset has no variable of that name.
        InvalidArgumentError
            The day is missing or unknown; more dims than the reaches; no id in common with the dataset.
        InvalidDatasetError
            Nothing in the dataset says where the reaches lie.
        MissingDependencyError
            No matplotlib, or a geometry and no shapely.
        """
        ds = as_dataset(self._obj)
        shown, title = at_time(_variable(ds, var), time)
        ax = maps.network(_named(shown), ds, ax, limits=limits, center=center, mark=mark, cmap=cmap)
        if title:
            ax.set_title(title, loc="left")
        return ax

    def series(
        self,
        prediction: xr.DataArray | xr.Dataset | None = None,
        *,
        reach: Any,
        observed: xr.DataArray | xr.Dataset | None = None,
        period: slice | None = None,
        ax: Any = None,
    ) -> Any:
        """Draw the temperature of one reach over time: predicted, observed, and on its coarse segment.

        Parameters
        ----------
        prediction
            Temperature (time, fine), degC, or quantiles of it, which are drawn as intervals. Default: only
            what was observed.
        reach
            Id of the reach.
        observed
            All observations; those that the dataset does not have as labels are drawn as held out.
            Default: the labels of the dataset.
        period
            Slice of dates to show. Default: all.
        ax
            matplotlib axes to draw into. Default: new ones.

        Returns
        -------
        matplotlib.axes.Axes
            The RMSE over the dots shown and their number stand in the title.

        Raises
        ------
        InvalidArgumentError
            A reach or a period that is not there, or nothing to draw.
        MissingDependencyError
            No matplotlib.
        """
        return curves.series(prediction, self._obj, reach, ax, observed=observed, period=period, segment=True)

    def skill(
        self,
        prediction: xr.DataArray | xr.Dataset | Mapping[str, xr.DataArray | xr.Dataset],
        *,
        by: str | xr.DataArray | None = None,
        metric: str = "rmse",
        observed: xr.DataArray | xr.Dataset | None = None,
        ax: Any = None,
    ) -> Any:
        """Draw how good a prediction is: against what was observed, or one score by group.

        Parameters
        ----------
        prediction
            Temperature (time, fine) or (time, coarse), degC, or quantiles of it; several by name, compared
            on the reach-days that all have; or what ``ds.msgl.evaluate(..., by=...)`` returned.
        by
            ``"month"``, ``"season"``, ``"year"``, ``"water_year"`` or ``"stream_order"``: a score for each.
            ``"reach"`` or ``"segment"``: how many of them have at most a score. Or a labelled array of
            groups. Default: predicted against observed temperature.
        metric
            Which score of ``ds.msgl.evaluate`` is drawn by group.
        observed
            Observations, degC, with the dims of the prediction. Default: the dataset's
            ``water_temperature_fine``, of a coarse prediction ``water_temperature_coarse``.
        ax
            matplotlib axes to draw into. Default: new ones.

        Returns
        -------
        matplotlib.axes.Axes
            n, the number of observed reach-days, always stands there too.

        Raises
        ------
        InvalidArgumentError
            No observed reach-day in common; observations of another scale; several predictions, or scores
            without groups, and no `by`.
        InvalidDatasetError
            There are no observations of that scale.
        UnknownNameError
            There is no such grouping or score.
        MissingDependencyError
            No matplotlib.
        """
        if isinstance(prediction, xr.Dataset) and "n" in prediction:  # with every score goes its n
            if by is not None or observed is not None:
                msg = "scores are drawn as they are; give by= and observed= to ds.msgl.evaluate"
                raise InvalidArgumentError(msg)
            return by_group({"": prediction}, metric, ax)
        ds = as_dataset(self._obj)
        if isinstance(prediction, Mapping) and not isinstance(prediction, xr.Dataset):
            alone, several = False, by_name(prediction)
        else:
            alone, several = True, {"": as_array(prediction)}
        if not several:
            msg = "there is no prediction to draw; give at least one"
            raise InvalidArgumentError(msg)
        if by is None and not alone:
            msg = 'several predictions are compared by group; give by=, for example by="month"'
            raise InvalidArgumentError(msg)
        first = next(iter(several.values()))
        seen = observations(ds, first, observed)
        if by is None:
            return against_observed(first, seen, ax)
        common = shared(several, seen)
        scores = {name: score(one, common, by=by, dataset=ds) for name, one in several.items()}
        return by_group(scores, metric, ax)

    def graph(
        self,
        which: Literal["coarse", "fine"] | RiverGraph | RiverGraphs | None = None,
        *,
        reach: Any = None,
        ax: Any = None,
    ) -> Any:
        """Draw the river graph: which reaches inform each other, and how much.

        Parameters
        ----------
        which
            ``"coarse"`` or ``"fine"``: reaches and the links between them, coloured by weight. None: both
            scales, and which reach lies on which segment. Or a graph that ``ds.msgl.graph`` made with other
            settings.
        reach
            Id of a reach: only what it takes from, with the weights. Default: everything.
        ax
            matplotlib axes to draw into. Default: new ones.

        Returns
        -------
        matplotlib.axes.Axes

        Raises
        ------
        InvalidArgumentError
            There is no such scale or reach.
        InvalidDatasetError
            Topology or crosswalk are missing, or nothing says where the reaches lie.
        MissingDependencyError
            No matplotlib, or a geometry and no shapely.
        """
        ds = as_dataset(self._obj)
        built = which if isinstance(which, RiverGraph | RiverGraphs) else build_graph(ds, which)
        if isinstance(built, RiverGraphs):
            return links.graphs(built, ds, ax, reach=reach)
        return links.graph(built, ds, ax, reach=reach)


def _variable(ds: xr.Dataset, var: str | xr.DataArray | xr.Dataset) -> xr.DataArray:
    if not isinstance(var, str):
        return as_array(var, "var")
    if var not in ds.variables:
        raise UnknownNameError("variable", var, map(str, ds.variables))
    return ds[var]


def _named(shown: xr.DataArray) -> xr.DataArray:
    """Let an array be called by its name where it does not say what it is."""
    if "long_name" in shown.attrs or shown.name is None:
        return shown
    name = str(shown.name).removesuffix("_fine").removesuffix("_coarse").replace("_", " ")
    return shown.assign_attrs(long_name=name)
