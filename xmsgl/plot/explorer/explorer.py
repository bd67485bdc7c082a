"""The explorer: a prediction as one page that a browser opens without a network."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xmsgl.errors import OutputError
from xmsgl.plot.days import by_day
from xmsgl.plot.explorer.data import simplify
from xmsgl.plot.explorer.gather import gather
from xmsgl.plot.explorer.page import Contents, render
from xmsgl.plot.places import lines
from xmsgl.plot.style import units_of
from xmsgl.schema.arrays import as_array, sound_dataset
from xmsgl.schema.rivers import stream_orders
from xmsgl.util.arguments import checked
from xmsgl.util.optional import require
from xmsgl.util.remote import check_file, located, write_file

if TYPE_CHECKING:
    import os
    from pathlib import Path

    import xarray as xr

__all__ = ["explore"]


@checked
def explore(
    prediction: xr.DataArray | xr.Dataset,
    obj: xr.Dataset | xr.DataTree,
    path: str | os.PathLike[str],
    *,
    interval: xr.DataArray | xr.Dataset | None = None,
    observed: xr.DataArray | xr.Dataset | None = None,
    title: str | None = None,
) -> Path | str:
    """Write a page that shows a prediction: a map to play through the days, and the series of any reach.

    The one file holds everything: it can be mailed, published with a paper or opened without a network.

    Parameters
    ----------
    prediction
        Temperature ``(time, fine)``, or quantiles of it ``(quantile, time, fine)``, which must include the
        median: the page shows the median and the widest interval. A forecast has ``lead`` for ``time``.
        Computed once if lazy. Days may be missing. Reaches of the dataset without a prediction are grey.
    obj
        Dataset or DataTree the prediction belongs to, with ``geometry_fine``, or ``lat_fine``, ``lon_fine``
        and ``downstream_fine``; with ``downstream_fine`` alone, the map is a schematic tree. Its labels
        (``water_temperature_fine``) are drawn as dots, and so are ``water_temperature_coarse`` and
        ``simulated_temperature_coarse`` of a reach's segment. Reaches observed on the days shown are marked
        on the map, and so is the most downstream reach of an observed segment without any.
    path
        File to write, ending in ``.html``, or a URL of fsspec; an existing one is replaced once the new one
        is complete.
    interval
        Quantiles ``(quantile, time, fine)`` to draw around a prediction without quantiles.
    observed
        All observations ``(time, fine)``; those that are not labels of ``obj`` are drawn as held out, and
        the RMSE of a reach is over these alone if it has any. Default: the labels of ``obj``; the RMSE is
        then over all of them, including those used for training, and the page says so.
    title
        Heading of the page. Default: the title of the dataset.

    Returns
    -------
    pathlib.Path or str
        The file: about 3 bytes per reach-day shown, 8 with an interval, plus 2 MB.

    Raises
    ------
    OutputError
        The path does not end in ``.html``, its folder is missing, or it is a folder.
    InvalidArgumentError
        The prediction has reaches that the dataset lacks, no days, no median, no values, other units than
        the labels, or too many values for a page.
    InvalidDatasetError
        The dataset has neither the location of the reaches nor their topology.
    MissingDependencyError
        bokeh is missing, or shapely where the dataset has geometries.

    Examples
    --------
    >>> import tempfile, xmsgl
    >>> ds = xmsgl.datasets.simulated(n_coarse=2, years=1)
    >>> explore(ds["true_temperature_fine"], ds, f"{tempfile.mkdtemp()}/page.html").name
    'page.html'
    """
    prediction = by_day(as_array(prediction))
    interval = None if interval is None else by_day(as_array(interval, "interval"))
    observed = None if observed is None else as_array(observed, "observed")
    target = located(path)
    if target.suffix.lower() not in (".html", ".htm"):
        msg = f"cannot write {target}: the name of a page must end in .html"
        raise OutputError(msg)
    check_file(path)
    require("bokeh", "the explorer page", extra="explore")
    ds = sound_dataset(obj)
    orders = stream_orders(ds, "fine")
    contents = Contents(
        title=str(ds.attrs.get("title", "Water temperature")) if title is None else title,
        lines=simplify(lines(ds, "fine"), orders),
        orders=orders,
        daily=gather(prediction, ds, interval, observed),
        units=units_of(prediction),
    )
    return write_file(path, render(contents).encode())
