"""The function that opens the Delaware dataset."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args

from xmsgl.datasets.cached import Cached, open_cached
from xmsgl.datasets.delaware_basin.text import DIGITS
from xmsgl.errors import InvalidArgumentError, did_you_mean
from xmsgl.util.arguments import checked

if TYPE_CHECKING:
    import os

    import pandas as pd
    import xarray as xr

__all__ = ["delaware"]

Fine = Literal["mainstem", "all"]
Forcing = Literal["stations", "era5", "observed"]


@checked
def delaware(
    *,
    start: str | pd.Timestamp | None = None,
    end: str | pd.Timestamp | None = None,
    region: str | int | None = None,
    fine: Fine = "mainstem",
    forcing: Forcing = "stations",
    cache_dir: str | os.PathLike[str] | None = None,
) -> xr.Dataset:
    """Open the Delaware River Basin: 456 segments, thousands of reaches, daily weather and observations.

    The first call fetches the files (20 MB) and builds the dataset in the cache. Later calls open it lazily.

    Parameters
    ----------
    start, end
        First and last day, month or year, within the period of `forcing`. Default None: the whole period.
    region
        A HUC8 or HUC12 id (text of 8 or 12 digits): the segments with the largest part of their reaches'
        length in that unit. Or the id of a segment (integer): that segment and all upstream. A segment keeps
        all its reaches; segments and reaches that drain out of the region become outlets. Default None: the
        whole basin.
    fine
        ``"mainstem"``: the 3,182 NHDPlusV2 flowlines on the main stems of the segments, each linked to the
        next one downstream. ``"all"``: the 15,114 flowlines in the segments' catchments. The 919 flowlines
        without a segment, which drain directly to the bay, are left out.
    forcing
        ``"stations"``: 1979-10-01 to 2021-04-08, by regression on ERA5 and the weather station of
        Philadelphia, fitted to the observed forcing. ``"era5"``: the same without the station, with poorly
        correlated precipitation. ``"observed"``: 1979-01-01 to 1980-12-31, from 765 hydrologic response
        units.
    cache_dir
        Folder of the cache. Default None: see :func:`xmsgl.datasets.download.cache_folder`.

    Returns
    -------
    xarray.Dataset
        The dataset of :mod:`xmsgl.schema.rivers` with dimensions ``time``, ``coarse`` (NHM segment ids) and
        ``fine`` (COMIDs). Drivers over (time, coarse), float32, lazy: ``air_temperature`` with
        ``_min`` and ``_max`` (degC), ``precipitation`` and ``potential_evapotranspiration`` (mm d-1),
        ``relative_humidity`` (%), ``solar_radiation`` (W m-2). Observations ``water_temperature_coarse`` and
        ``water_temperature_fine`` (degC, NaN where not observed), lazy. ``simulated_temperature_coarse``
        (degC) from the uncalibrated process model. Reaches inherit drivers, slope, elevation and width from
        their segment; ``subsegment_fine`` names the part of it they lie on, such as ``"3_2"``. Attributes
        contain sources, licence, credit and limits.

    Raises
    ------
    InvalidArgumentError
        The period, region, `fine` or `forcing` does not exist.
    DataUnavailableError
        A file is not available from any address.
    MissingDependencyError
        The libraries of ``pip install "xmsgl[data]"``, needed to build the dataset, are not installed.

    See Also
    --------
    xmsgl.datasets.availability : tells whether the files are available.

    Examples
    --------
    >>> delaware(forcing="monthly")
    Traceback (most recent call last):
    ...
    xmsgl.errors.InvalidArgumentError: forcing must be one of 'stations', 'era5', 'observed', not 'monthly'
    """
    for name, value, known in (("fine", fine, get_args(Fine)), ("forcing", forcing, get_args(Forcing))):
        if value not in known:
            msg = f"{name} must be one of {', '.join(map(repr, known))}, not {value!r}"
            raise InvalidArgumentError(msg + did_you_mean(value, known))
    return open_cached(
        DELAWARE, start=start, end=end, region=region, cache_dir=cache_dir, forcing=forcing, fine=fine
    )


_LONG = ("1979-10-01", "2021-04-08")
_PERIOD = {"stations": _LONG, "era5": _LONG, "observed": ("1979-01-01", "1980-12-31")}
_BUILD = "xmsgl.datasets.delaware_basin.build:build"
DELAWARE = Cached("delaware", "Delaware", _BUILD, 5, DIGITS, _PERIOD, units=True)
