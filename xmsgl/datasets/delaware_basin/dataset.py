"""The function that opens the Delaware dataset."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Literal, get_args

from xmsgl.datasets.download import cache_folder, fetch
from xmsgl.datasets.registry import dataset_files
from xmsgl.errors import InvalidArgumentError
from xmsgl.util.origin import ATTRIBUTE, write_origin
from xmsgl.util.progress import progress_bar

if TYPE_CHECKING:
    import os
    from pathlib import Path

    import pandas as pd
    import xarray as xr

__all__ = ["delaware"]

logger = logging.getLogger(__name__)

Fine = Literal["mainstem", "all"]
Forcing = Literal["stations", "era5", "observed"]

# modules that the stored dataset depends on: after a change of one it is built again
_SOURCES = (
    "schema/units.py",
    *(
        f"datasets/delaware_basin/{part}.py"
        for part in ("build", "forcing", "labels", "reaches", "region", "segments", "text")
    ),
    "datasets/store.py",
    *(f"readers/{part}.py" for part in ("cbh", "geometry", "prms", "rds", "response_units", "weather")),
    *(f"simulate/{part}.py" for part in ("fao56", "hydrology", "loops", "parameters", "process")),
)


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
        First and last day, within the period of `forcing`. Default None: the whole period.
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
            raise InvalidArgumentError(msg)
    from xmsgl.datasets.delaware_basin.region import cut
    from xmsgl.datasets.store import open_store
    from xmsgl.util.history import stamp

    folder = cache_folder(cache_dir)
    path = _store_path(folder, fine, forcing)
    if not path.is_dir():
        _build(path, folder, fine, forcing)
    ds = open_store(path)
    line = f"opened the Delaware with forcing={forcing!r}, fine={fine!r}"
    if start is not None or end is not None:
        ds = _period(ds, start, end)
        line += f", {start or 'start'} to {end or 'end'}"
    if region is not None:
        ds = cut(ds, region)
        line += f", region={region!r}"
    days = {name: None if day is None else str(day) for name, day in (("start", start), ("end", end))}
    part = region if region is None or isinstance(region, str) else int(region)
    ds.attrs[ATTRIBUTE] = write_origin("delaware", **days, region=part, fine=fine, forcing=forcing)
    return stamp(ds, line)


def _store_path(folder: Path, fine: str, forcing: str) -> Path:
    from xmsgl.datasets.store import build_key

    version = build_key(_SOURCES, (file.sha256 for file in dataset_files("delaware")))
    return folder / "built" / f"delaware-{forcing}-{fine}-{version}.zarr"


def _build(path: Path, folder: Path, fine: str, forcing: str) -> None:
    import dask

    from xmsgl.datasets.delaware_basin.build import STEPS, build
    from xmsgl.datasets.delaware_basin.text import DIGITS
    from xmsgl.datasets.store import write_store
    from xmsgl.util.history import stamp

    files = fetch("delaware", cache_dir=folder)
    logger.info("building the Delaware with forcing=%r, fine=%r into %s", forcing, fine, path)
    with progress_bar(STEPS, "building the Delaware", unit="step", leave=False) as bar:

        def report(step: str) -> None:
            bar.update()
            bar.set_postfix_str(step)

        ds = build(files, forcing=forcing, fine=fine, report=report)
        ds = stamp(ds, "built the Delaware from the files in attribute provenance")
        with dask.config.set(scheduler="synchronous"):  # one block in memory at a time
            write_store(ds, path, DIGITS)


def _period(ds: xr.Dataset, start: str | pd.Timestamp | None, end: str | pd.Timestamp | None) -> xr.Dataset:
    import pandas as pd

    days = ds.indexes["time"]
    try:
        first = days[0] if start is None else pd.Timestamp(start)
        last = days[-1] if end is None else pd.Timestamp(end)
    except ValueError as error:
        msg = f"start and end must be days such as '1979-10-01', not {start!r} and {end!r}"
        raise InvalidArgumentError(msg) from error
    if not days[0] <= first <= last <= days[-1]:
        msg = (
            f"start {first.date()} and end {last.date()} must lie in order within {days[0].date()} to "
            f"{days[-1].date()}, the period of forcing={ds.attrs['forcing']!r}"
        )
        raise InvalidArgumentError(msg)
    return ds.sel(time=slice(first, last))
