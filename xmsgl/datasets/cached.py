"""Datasets that are built once from fetched files, kept in the cache and opened lazily."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from xmsgl.datasets.download import cache_folder, fetch
from xmsgl.datasets.registry import dataset_files
from xmsgl.errors import InvalidArgumentError, OutputError
from xmsgl.util.cache import ANOTHER_CACHE
from xmsgl.util.dates import day_range
from xmsgl.util.origin import ATTRIBUTE, write_origin
from xmsgl.util.progress import progress_bar
from xmsgl.util.writing import check_target

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping
    from pathlib import Path

    import pandas as pd
    import xarray as xr

__all__ = ["Cached", "open_cached", "store_path"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Cached:
    """A dataset of the package and how it is built."""

    name: str  # of its function and of its files in the registry
    river: str  # in messages
    build: str  # "module:function", called with the files, a function to report steps, and the choices
    steps: int  # that build reports
    digits: Mapping[str, int]  # decimals kept in the store, by variable
    period: Mapping[str, tuple[str, str]]  # first and last day, by forcing; "" without a choice
    units: bool = False  # whether regions may be hydrologic units


def open_cached(
    data: Cached,
    *,
    start: str | pd.Timestamp | None,
    end: str | pd.Timestamp | None,
    region: str | int | None,
    cache_dir: str | os.PathLike[str] | None,
    **choices: str,
) -> xr.Dataset:
    """Open a dataset lazily, and build it first if the cache does not have it."""
    from xmsgl.datasets.region import check_region, cut
    from xmsgl.datasets.store import is_whole, open_store
    from xmsgl.util.history import stamp

    folder = cache_folder(cache_dir)
    first, last = _period(data, start, end, choices)
    if region is not None:
        check_region(region, units=data.units)
    path = store_path(data, folder, choices)
    if not is_whole(path):
        _build(data, path, folder, choices)
    ds = open_store(path)
    line = f"opened the {data.river}{_with(choices)}"
    if start is not None or end is not None:
        ds = ds.sel(time=slice(first, last))
        line += f", {start or 'start'} to {end or 'end'}"
    if region is not None:
        ds = cut(ds, region)
        line += f", region={region!r}"
    days = {name: None if day is None else str(day) for name, day in (("start", start), ("end", end))}
    part = region if region is None or isinstance(region, str) else int(region)
    ds.attrs[ATTRIBUTE] = write_origin(data.name, **days, region=part, **choices)
    return stamp(ds, line)


def store_path(data: Cached, folder: Path, choices: Mapping[str, str]) -> Path:
    """Return the folder of a built dataset in the cache."""
    from xmsgl.datasets.store import build_key

    version = build_key(file.sha256 for file in dataset_files(data.name))
    return folder / "built" / f"{'-'.join((data.name, *choices.values(), version))}.zarr"


def _with(choices: Mapping[str, str]) -> str:
    said = ", ".join(f"{name}={value!r}" for name, value in choices.items())
    return f" with {said}" if said else ""


def _build(data: Cached, path: Path, folder: Path, choices: Mapping[str, str]) -> None:
    from xmsgl.datasets.store import write_store
    from xmsgl.util.history import stamp

    if path.exists():
        logger.warning("%s is damaged: building it again", path)
    try:
        check_target(next(each for each in path.parents if each.exists()) / path.name, folder=True)
    except OutputError as error:
        raise OutputError(f"{error}; {ANOTHER_CACHE}") from error
    files = fetch(data.name, cache_dir=folder)
    logger.info("building the %s%s into %s", data.river, _with(choices), path)
    with progress_bar(data.steps, f"building the {data.river}", unit="step", leave=False) as bar:

        def report(step: str) -> None:
            bar.update()
            bar.set_postfix_str(step)

        module, _, function = data.build.partition(":")
        ds = getattr(import_module(module), function)(files, report=report, **choices)
        ds = stamp(ds, f"built the {data.river} from the files in attribute provenance")
        try:
            write_store(ds, path, data.digits)
        except OSError as error:  # for example a full disk
            msg = f"cannot write {path}: {error.strerror or error}; make room, or {ANOTHER_CACHE}"
            raise OutputError(msg) from error


def _period(
    data: Cached,
    start: str | pd.Timestamp | None,
    end: str | pd.Timestamp | None,
    choices: Mapping[str, str],
) -> tuple[pd.Timestamp, pd.Timestamp]:
    """Return the first and the last day, within the period of the dataset."""
    import pandas as pd

    days = [pd.Timestamp(day) for day in data.period[choices.get("forcing", "")]]
    # a year or a month stands for its days, as in sel of xarray
    first = days[0] if start is None else pd.Timestamp(day_range(start, "start")[0])
    last = days[-1] if end is None else pd.Timestamp(day_range(end, "end")[1])
    if not days[0] <= first <= last <= days[-1]:
        msg = (
            f"start {first.date()} and end {last.date()} must lie in order within {days[0].date()} to "
            f"{days[-1].date()}, the period of the {data.river}{_with(choices)}"
        )
        raise InvalidArgumentError(msg)
    return first, last
