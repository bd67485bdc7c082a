"""``ds.msgl.plot``: pictures of a dataset. Every method delegates; only the object is kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import xarray as xr

from xmsgl.errors import InvalidArgumentError, UnknownNameError
from xmsgl.evaluate.metrics import score
from xmsgl.evaluate.pairs import observations
from xmsgl.evaluate.table import by_name, shared
from xmsgl.network.graph import RiverGraph, RiverGraphs
from xmsgl.plot import curves, links, maps, style
from xmsgl.plot.days import at_time
from xmsgl.plot.skill import against_observed, by_group
from xmsgl.plot.states import embedding
from xmsgl.plot.widths import uncertainty
from xmsgl.schema.arrays import as_array, sound_dataset
from xmsgl.schema.graphs import build_graph
from xmsgl.util.arguments import checked

__all__ = ["Plots"]


class Plots:
    """Pictures of a dataset, on matplotlib axes.

    Each method returns the axes, and a notebook displays them; ``.figure`` is their figure. Only the lazy
    data that are shown are computed.

    Parameters
    ----------
    obj
        A dataset or DataTree of the convention. Each method checks only what it needs.

    Examples
    --------
    >>> import xmsgl
    >>> ds = xmsgl.datasets.simulated(n_coarse=3, years=2)
    >>> ds.msgl.plot.network("elevation_fine").child_axes[0].get_ylabel()
    'mean elevation above sea level [m]'
    """

    def __init__(self, obj: xr.Dataset | xr.DataTree) -> None:
        self._obj = obj

    @checked
    def network(
        self,
        var: str | xr.DataArray | xr.Dataset,
        *,
        time: Any = None,
        limits: tuple[float, float] | None = None,
        center: float | None = None,
        mark: style.Reach | None = None,
        cmap: str | style.Colormap | None = None,
        ax: style.Axes | None = None,
    ) -> Any:
        """Draw the rivers coloured by a variable on one day, or by its mean over several.

        Parameters
        ----------
        var
            A variable of the dataset, or an array over ``fine`` or ``coarse``, with or without ``time``.
        time
            A day (``"2019-07-21"``), or a month (``"2019-07"``) or a slice to average over.
        limits, center, mark, cmap, ax
            As for :func:`xmsgl.plot.network`: the ends and the middle of the colours, the id of a reach to
            ring, the colour map, and the matplotlib axes.

        Returns
        -------
        matplotlib.axes.Axes
            Reaches without a value are grey. The colour bar is ``.child_axes[0]``.

        Raises
        ------
        UnknownNameError
            The dataset has no variable of that name.
        InvalidArgumentError
            `time` is missing or not in the record, or as for :func:`xmsgl.plot.network`.
        InvalidDatasetError, MissingDependencyError
            As for :func:`xmsgl.plot.network`.
        """
        ds = sound_dataset(self._obj)
        shown, title = at_time(_variable(ds, var), time)
        ax = maps.network(_named(shown), ds, ax, limits=limits, center=center, mark=mark, cmap=cmap)
        if title:
            ax.set_title(title, loc="left")
        return ax

    def uncertainty(
        self,
        prediction: xr.DataArray | xr.Dataset,
        *,
        time: Any = None,
        observed: xr.DataArray | xr.Dataset | None = None,
        proposed: xr.Dataset | None = None,
        limits: tuple[float, float] | None = None,
        cmap: str | style.Colormap | None = None,
        ax: style.Axes | None = None,
    ) -> Any:
        """Draw the rivers coloured by the width of the interval of a prediction, with the sensors.

        Parameters
        ----------
        prediction, time, observed, proposed, limits, cmap, ax
            As for :func:`xmsgl.plot.uncertainty`: quantiles, days, observations that were given, result of
            :func:`xmsgl.evaluate.next_sensors`, ends of the colours, colour map, and matplotlib axes.

        Returns
        -------
        matplotlib.axes.Axes
            The colour bar is ``.child_axes[0]``.

        Raises
        ------
        InvalidArgumentError, InvalidDatasetError, MissingDependencyError
            As for :func:`xmsgl.plot.uncertainty`.
        """
        about = {"time": time, "observed": observed, "proposed": proposed, "limits": limits, "cmap": cmap}
        return uncertainty(prediction, self._obj, ax, **about)

    def embedding(
        self,
        states: xr.DataArray | xr.Dataset,
        *,
        by: Any = None,
        mark: Any = None,
        layout: Literal["pca", "umap"] = "pca",
        cmap: str | style.Colormap | None = None,
        ax: style.Axes | None = None,
    ) -> Any:
        """Draw the reaches as points, near each other where their hidden states are alike, beside the map.

        Parameters
        ----------
        states, by, mark, layout, cmap, ax
            As for :func:`xmsgl.plot.embedding`: hidden states from ``ds.msgl.embed``, what colours the
            reaches (default: drainage area), ids to ring, principal components or UMAP, the colour map, and
            the matplotlib axes to draw the points into without the map.

        Returns
        -------
        matplotlib.axes.Axes
            Those of the points; those of the map are ``.figure.axes[1]``.

        Raises
        ------
        InvalidArgumentError, UnknownNameError, InvalidDatasetError, MissingDependencyError
            As for :func:`xmsgl.plot.embedding`.
        """
        return embedding(states, self._obj, ax, by=by, mark=mark, layout=layout, cmap=cmap)

    def series(
        self,
        prediction: xr.DataArray | xr.Dataset | None = None,
        *,
        reach: style.Reach,
        observed: xr.DataArray | xr.Dataset | None = None,
        period: slice | None = None,
        ax: style.Axes | None = None,
    ) -> Any:
        """Draw the temperature of one reach over time: predicted, observed, and on its coarse segment.

        Parameters
        ----------
        prediction
            Temperature (time, fine), degC, or quantiles of it, which are drawn as intervals. Default:
            observations only.
        reach, observed, period, ax
            As for :func:`xmsgl.plot.series`: the id of the reach, all observations (those that are not
            labels of the dataset are drawn as held out), the dates to show, and the matplotlib axes.

        Returns
        -------
        matplotlib.axes.Axes
            The title gives the RMSE over the dots shown and their number.

        Raises
        ------
        InvalidArgumentError
            There is no such reach or period, or nothing to draw.
        MissingDependencyError
            matplotlib is missing.
        """
        return curves.series(prediction, self._obj, reach, ax, observed=observed, period=period, segment=True)

    @checked
    def skill(
        self,
        prediction: xr.DataArray | xr.Dataset | Mapping[str, xr.DataArray | xr.Dataset],
        *,
        by: str | xr.DataArray | None = None,
        metric: str = "rmse",
        observed: xr.DataArray | xr.Dataset | None = None,
        ax: style.Axes | None = None,
    ) -> Any:
        """Draw the skill of a prediction: predicted against observed temperature, or one score by group.

        Parameters
        ----------
        prediction
            Temperature (time, fine) or (time, coarse), degC, or quantiles of it; several by name, compared
            on the reach-days they share; or the scores from ``ds.msgl.evaluate(..., by=...)``.
        by
            ``"month"``, ``"season"``, ``"year"``, ``"water_year"`` or ``"stream_order"``: a score for each.
            ``"reach"`` or ``"segment"``: the cumulative distribution of the score over them. Or a labelled
            array of groups. Default: predicted against observed temperature.
        metric
            Score of ``ds.msgl.evaluate`` to draw by group.
        observed
            Observations, degC, with the dims of the prediction. Default: the labels at its scale.
        ax
            matplotlib axes to draw into. Default: new ones.

        Returns
        -------
        matplotlib.axes.Axes
            Always with n, the number of observed reach-days.

        Raises
        ------
        InvalidArgumentError
            No observed reach-day in common, observations at another scale, or no `by` for several
            predictions or for scores without groups.
        InvalidDatasetError
            There are no observations at that scale.
        UnknownNameError
            There is no such grouping or score.
        MissingDependencyError
            matplotlib is missing.
        """
        if isinstance(prediction, xr.Dataset) and "n" in prediction:  # all scores come with n
            if by is not None or observed is not None:
                msg = "scores are drawn as they are; pass by= and observed= to ds.msgl.evaluate instead"
                raise InvalidArgumentError(msg)
            return by_group({"": prediction}, metric, ax)
        ds = sound_dataset(self._obj)
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

    @checked
    def graph(
        self,
        which: Literal["coarse", "fine"] | RiverGraph | RiverGraphs | None = None,
        *,
        reach: style.Reach | None = None,
        ax: style.Axes | None = None,
    ) -> Any:
        """Draw the river graph: which reaches inform each other, and with what weight.

        Parameters
        ----------
        which
            ``"coarse"`` or ``"fine"``: reaches and the links between them, coloured by weight. None: both
            scales, and the segment each reach lies on. Or a graph from ``ds.msgl.graph``.
        reach
            Id of a reach, to draw only its neighbours or segments and their weights. Default: all.
        ax
            matplotlib axes to draw into. Default: new ones.

        Returns
        -------
        matplotlib.axes.Axes
            A schematic tree if the dataset has no coordinates.

        Raises
        ------
        InvalidArgumentError
            There is no such scale or reach.
        InvalidDatasetError
            Topology or crosswalk is missing, or only part of the coordinates is there.
        MissingDependencyError
            matplotlib is missing, or shapely where the dataset has geometries.
        """
        ds = sound_dataset(self._obj)
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
    """Use the name of an array as its long name, if it has none."""
    if "long_name" in shown.attrs or shown.name is None:
        return shown
    name = str(shown.name).removesuffix("_fine").removesuffix("_coarse").replace("_", " ")
    return shown.assign_attrs(long_name=name)
