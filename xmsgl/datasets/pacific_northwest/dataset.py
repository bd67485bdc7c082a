"""The functions that open the datasets of the Willamette and the Yakima."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xmsgl.datasets.cached import Cached, open_cached
from xmsgl.datasets.pacific_northwest.text import DIGITS
from xmsgl.util.arguments import checked

if TYPE_CHECKING:
    import os

    import pandas as pd
    import xarray as xr

__all__ = ["willamette", "yakima"]


# modules and folders that the stored datasets depend on
@checked
def willamette(
    *,
    start: str | pd.Timestamp | None = None,
    end: str | pd.Timestamp | None = None,
    region: int | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
) -> xr.Dataset:
    """Open the Willamette River Basin, Oregon: 9,432 reaches, 36 gauges, 2016-10-01 to 2020-09-30.

    The first call fetches the files (18 MB) and builds the dataset in the cache. Later calls open it lazily.

    Parameters
    ----------
    start, end
        First and last day, month or year. Default None: the whole period.
    region
        Id of a segment: that segment and all upstream. Default None: the whole basin.
    cache_dir
        Folder of the cache. Default None: see :func:`xmsgl.datasets.download.cache_folder`.

    Returns
    -------
    xarray.Dataset
        The dataset of :mod:`xmsgl.schema.rivers` with dimensions ``time``, ``coarse`` (segments of about
        10 km) and ``fine`` (COMIDs). Drivers over (time, coarse), float32, lazy: ``air_temperature`` (degC)
        from PRISM and ``clear_sky_radiation`` (W m-2), computed. Observations ``water_temperature_coarse``
        and ``water_temperature_fine`` (degC, NaN where not observed), lazy. Slope, elevation, drainage area,
        stream order and ``dam_storage`` (mm) at both scales; ``gauge_fine`` names the gauge of a reach.
        Attributes contain sources, licence, credit and limits.

    Raises
    ------
    InvalidArgumentError
        The period or region does not exist.
    DataUnavailableError
        A file is not available from any address.
    MissingDependencyError
        The libraries of ``pip install "xmsgl[data]"``, needed to build the dataset, are not installed.

    Examples
    --------
    >>> ds = willamette(start="2019-10-01")  # doctest: +SKIP
    >>> ds.sizes["time"]  # doctest: +SKIP
    366
    """
    return open_cached(WILLAMETTE, start=start, end=end, region=region, cache_dir=cache_dir)


@checked
def yakima(
    *,
    start: str | pd.Timestamp | None = None,
    end: str | pd.Timestamp | None = None,
    region: int | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
) -> xr.Dataset:
    """Open the Yakima River Basin, Washington: 6,062 reaches, 19 gauges, 2004-01-01 to 2008-12-31.

    A semi-arid, irrigated basin. The first call fetches the files (12 MB) and builds the dataset in the
    cache. Later calls open it lazily.

    Parameters
    ----------
    start, end
        First and last day, month or year. Default None: the whole period.
    region
        Id of a segment: that segment and all upstream. Default None: the whole basin.
    cache_dir
        Folder of the cache. Default None: see :func:`xmsgl.datasets.download.cache_folder`.

    Returns
    -------
    xarray.Dataset
        As of :func:`xmsgl.datasets.willamette`, without ``dam_storage``. Drivers: ``air_temperature`` with
        ``_min`` and ``_max`` (degC) and ``precipitation`` (mm d-1) of two stations; computed from these
        ``solar_radiation``, ``clear_sky_radiation`` (W m-2) and ``potential_evapotranspiration`` (mm d-1).

    Raises
    ------
    InvalidArgumentError
        The period or region does not exist.
    DataUnavailableError
        A file is not available from any address.
    MissingDependencyError
        The libraries of ``pip install "xmsgl[data]"``, needed to build the dataset, are not installed.

    Examples
    --------
    >>> ds = yakima(end="2006-12-31")  # doctest: +SKIP
    >>> ds.sizes["time"]  # doctest: +SKIP
    1096
    """
    return open_cached(YAKIMA, start=start, end=end, region=region, cache_dir=cache_dir)


_BUILD = "xmsgl.datasets.pacific_northwest.build:build"
_PERIODS = {"willamette": {"": ("2016-10-01", "2020-09-30")}, "yakima": {"": ("2004-01-01", "2008-12-31")}}
WILLAMETTE = Cached("willamette", "Willamette", f"{_BUILD}_willamette", 4, DIGITS, _PERIODS["willamette"])
YAKIMA = Cached("yakima", "Yakima", f"{_BUILD}_yakima", 4, DIGITS, _PERIODS["yakima"])
