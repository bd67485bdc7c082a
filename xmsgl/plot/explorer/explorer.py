"""The explorer: a prediction as one page for a browser, with nothing to install and no network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from xmsgl.errors import OutputError
from xmsgl.plot.explorer.data import simplify
from xmsgl.plot.explorer.gather import gather
from xmsgl.plot.explorer.page import Contents, render
from xmsgl.plot.places import lines
from xmsgl.plot.style import units_of
from xmsgl.schema.arrays import as_array
from xmsgl.schema.rivers import stream_orders
from xmsgl.schema.tree import as_dataset
from xmsgl.util.optional import require
from xmsgl.util.writing import check_target, write_bytes

if TYPE_CHECKING:
    import os

    import xarray as xr

__all__ = ["explore"]


def explore(
    prediction: xr.DataArray | xr.Dataset,
    obj: xr.Dataset | xr.DataTree,
    path: str | os.PathLike[str],
    *,
    interval: xr.DataArray | xr.Dataset | None = None,
    observed: xr.DataArray | xr.Dataset | None = None,
    title: str | None = None,
) -> Path:
    """Write a page that shows a prediction: a map to play through the days, and the series of any reach.

    Everything is inside the one file: it can be mailed, put beside a paper or opened without a network.

    Parameters
    ----------
    prediction
        Temperature ``(time, fine)``, or quantiles of it ``(quantile, time, fine)`` with the median among
        them: the median is shown, and around it the widest interval that they make. Computed once if lazy.
        Days need not follow one another. Reaches of the dataset that it lacks are grey.
    obj
        Dataset or DataTree the prediction belongs to, with ``geometry_fine``, or ``lat_fine``, ``lon_fine``
        and ``downstream_fine``. Its labels (``water_temperature_fine``) are drawn as dots, and so is what
        is known of a reach's segment: ``water_temperature_coarse`` and ``simulated_temperature_coarse``.
    path
        File to write, ending in ``.html``; one that is there is replaced once the new one is complete.
    interval
        Quantiles ``(quantile, time, fine)`` to draw around a prediction that has none of its own.
    observed
        All observations ``(time, fine)``; those that ``obj`` does not have as labels are drawn as held out,
        and where a reach has some its RMSE is theirs alone. Default: the labels of ``obj``; the RMSE is
        then that of all of them, whether a model was trained on them or not, and the page says so.
    title
        Heading of the page. Default: the dataset's title.

    Returns
    -------
    pathlib.Path
        The file: for each reach-day shown about 3 bytes, 8 with an interval, and 2 MB besides.

    Raises
    ------
    OutputError
        The path does not end in ``.html``, its folder is missing, or a folder has its name.
    InvalidArgumentError
        A prediction of other reaches, of no day, without a median, without
        a value, in other units than the labels, or too large for a page.
    InvalidDatasetError
        Nothing in the dataset says where the reaches lie.
    MissingDependencyError
        No bokeh, or a geometry and no shapely.

    Examples
    --------
    >>> import tempfile
    >>> import pandas as pd, xarray as xr
    >>> temperature = xr.DataArray(
    ...     [[14.0, 15.0], [15.0, 16.0]],
    ...     coords={"time": pd.date_range("2001-07-01", periods=2), "fine": [1, 2]},
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
    >>> explore(temperature, ds, f"{tempfile.mkdtemp()}/page.html").name
    'page.html'
    """
    prediction = as_array(prediction)
    interval = None if interval is None else as_array(interval, "interval")
    observed = None if observed is None else as_array(observed, "observed")
    target = _checked(path)
    require("bokeh", "the explorer page", extra="explore")
    ds = as_dataset(obj)
    paths = simplify(lines(ds, "fine"), stream_orders(ds, "fine"))
    daily = gather(prediction, ds, interval, observed)
    contents = Contents(
        title=str(ds.attrs.get("title", "Water temperature")) if title is None else title,
        paths=paths,
        daily=daily,
        units=units_of(prediction),
    )
    return write_bytes(target, render(contents).encode())


def _checked(path: str | os.PathLike[str]) -> Path:
    target = Path(path)
    if target.suffix.lower() not in (".html", ".htm"):
        msg = f"cannot write {target}: a page needs a name that ends in .html"
        raise OutputError(msg)
    check_target(target)
    return target
