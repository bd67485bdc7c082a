"""Exporting a prediction in one of the conventions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xmsgl.errors import UnknownNameError
from xmsgl.export.table import table_of
from xmsgl.util.arguments import checked

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["CONVENTIONS", "export"]

CONVENTIONS = ("cf", "ugrid", "xvec")


@checked
def export(
    obj: xr.Dataset | xr.DataTree,
    prediction: xr.DataArray | xr.Dataset | None = None,
    *,
    convention: str = "cf",
) -> xr.Dataset:
    """Convert a prediction, the network and its attributes to a convention of other tools.

    Parameters
    ----------
    obj
        Dataset or DataTree with ``geometry_<scale>`` (hexadecimal WKB or xvec geometries), or
        ``lat_<scale>`` and ``lon_<scale>`` (degrees).
    prediction
        Values over ``fine`` or ``coarse`` with all or some ids of the dataset: a temperature, its
        quantiles, scores by reach. Default: the daily variables of the dataset at the fine scale.
    convention
        ``"cf"``: CF-1.11 time series with their lines, for ``.to_netcdf()``. ``"ugrid"``: a UGRID network of
        one dimension with values on its edges, for xugrid and QGIS. ``"xvec"``: a cube indexed by lines, for
        ``.xvec``; see also :func:`xmsgl.export.to_geodataframe`.

    Returns
    -------
    xarray.Dataset
        One scale, ids in ``reach_id`` or ``segment_id``. Lazy where the prediction is; ids, topology and
        locations are read.

    Raises
    ------
    UnknownNameError
        The convention is unknown.
    InvalidArgumentError
        The values have neither or both scales, or have ids that the dataset lacks.
    InvalidDatasetError
        Ids or locations are missing.
    MissingDependencyError
        A library of the extra ``geo`` is not installed.

    References
    ----------
    CF conventions 1.11, cfconventions.org; UGRID conventions 1.0, ugrid-conventions.github.io.

    Examples
    --------
    >>> import xmsgl
    >>> ds = xmsgl.datasets.simulated(n_coarse=4, years=1)
    >>> done = export(ds, ds.water_temperature_fine)
    >>> done.attrs["featureType"], done.water_temperature_fine.dims
    ('timeSeries', ('geometry', 'time'))
    """
    if convention not in CONVENTIONS:
        raise UnknownNameError("convention", convention, CONVENTIONS)
    table = table_of(obj, prediction)
    if convention == "cf":
        from xmsgl.export.cf import to_cf

        return to_cf(table)
    if convention == "ugrid":
        from xmsgl.export.ugrid import to_ugrid

        return to_ugrid(table)
    from xmsgl.export.geometry import cube

    return cube(table)
