"""Large output of ``xmsgl downscale``: stores that are continued, and what a run would take."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
import numpy as np

from xmsgl.cli.as_json import prints_json, say, show
from xmsgl.cli.models import aligned
from xmsgl.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import xarray as xr

    from xmsgl.util.remote import Location

__all__ = ["in_pieces", "plan_of", "show_plan", "write_resumable"]

# Days before a window that it may read: of the warm-up and of trailing means.
_BEFORE = 1000


def in_pieces(ds: xr.Dataset) -> xr.Dataset:
    """Hold what has days lazily and the network in memory, so that its basins are known."""
    daily = set(_daily(ds))
    return ds.assign(
        {name: ds[name].chunk() if name in daily else ds[name].compute() for name in ds.data_vars}
    )


def write_resumable(
    temperature: xr.DataArray, ds: xr.Dataset, output: Location, settings: Mapping[str, Any]
) -> None:
    """Write the missing chunks of a store; fail with the days that cannot be written."""
    from xmsgl.export.zarr import damaged_blocks, write_in_pieces

    if output.suffix.lower() != ".zarr":
        msg = f"--resume writes a Zarr store, not {output}; give a name that ends with .zarr"
        raise OutputError(msg)
    weather = ds[[name for name in _daily(ds) if not str(name).startswith("water_temperature")]]

    def explain(days: slice) -> str:
        return next(damaged_blocks(weather, slice(max(0, days.start - _BEFORE), days.stop)), "")

    run = {
        "model": temperature.attrs["model_sha256"],
        **{name: value for name, value in settings.items() if value is not None},
        "drivers": {str(name): str(ds[name].attrs.get("units")) for name in _daily(weather)},
    }
    outcome = write_in_pieces(temperature, output, run, explain)
    facts = {
        "written": outcome.written,
        "present": outcome.present,
        "missing": [
            dict(zip(("first_day", "last_day", "error"), each, strict=True)) for each in outcome.missing
        ],
    }
    if prints_json(click.get_current_context()):
        show(facts, "")
    if outcome.missing:
        for first, last, error in outcome.missing:
            say(f"not written: {first} to {last}: {error}", err=True)
        msg = (
            f"{output} is not finished: {len(outcome.missing)} periods from {outcome.missing[0][0]} to "
            f"{outcome.missing[-1][1]} could not be written, {outcome.written} chunks were; "
            "repair the input and give the same command again"
        )
        raise OutputError(msg)
    if not prints_json(click.get_current_context()):
        say(f"{outcome.written} chunks written, {outcome.present} were there")


def show_plan(temperature: xr.DataArray, ds: xr.Dataset) -> None:
    """Print what computing a lazy prediction takes."""
    facts = plan_of(temperature, ds)
    show(facts, aligned([(name, f"{value:,}") for name, value in facts.items()]))


def plan_of(temperature: xr.DataArray, ds: xr.Dataset) -> dict[str, int]:
    """Count tasks and bytes of a lazy prediction without computing it.

    A task holds the drivers of its window and the days before it as they are stored, once more as features in
    float32, and its result: the peak is estimated as twice the drivers plus three times the result.
    """
    from dask.base import optimize

    from xmsgl.schema.roles import drivers  # loads dask, which help does not need

    graph = optimize(temperature.data)[0].__dask_graph__()
    windows, groups = (len(sizes) for dim, sizes in _chunks(temperature).items() if dim in ("time", "fine"))
    days, reaches = (max(_chunks(temperature)[dim]) for dim in ("time", "fine"))
    read = {
        name: ds[f"{name}_{scale}"]
        for name in drivers(ds)
        for scale in ("coarse", "fine")
        if f"{name}_{scale}" in ds
    }
    a_day = sum(each.nbytes // ds.sizes["time"] for each in read.values())
    share = reaches / temperature.sizes["fine"]
    rest = temperature.size // (temperature.sizes["time"] * temperature.sizes["fine"])
    result = 4 * days * reaches * rest
    return {
        "days": temperature.sizes["time"],
        "reaches": temperature.sizes["fine"],
        "windows": windows,
        "groups of basins": groups,
        "tasks": sum(not isinstance(task, np.ndarray) for task in dict(graph).values()),
        "bytes read": sum(each.nbytes for each in read.values()),
        "bytes written": 4 * temperature.size,
        "peak bytes of a task": int(2 * share * a_day * (days + 365)) + 3 * result,
    }


def _chunks(temperature: xr.DataArray) -> dict[str, tuple[int, ...]]:
    return dict(zip(map(str, temperature.dims), temperature.chunks or (), strict=True))


def _daily(ds: xr.Dataset) -> list[str]:
    return [str(name) for name in ds.data_vars if "time" in ds[name].dims]
