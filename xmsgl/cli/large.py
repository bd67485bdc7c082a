"""Large output of ``xmsgl downscale``: stores that are continued, and what a run would take."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from xmsgl.cli.as_json import prints_json, say, show
from xmsgl.cli.models import aligned
from xmsgl.errors import DataUnavailableError, InvalidDatasetError, OutputError, XMSGLError
from xmsgl.util.address import without_secrets
from xmsgl.util.scales import SCALES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import xarray as xr

    from xmsgl.models.file.model import Model
    from xmsgl.network.parts import Group
    from xmsgl.util.remote import Location

__all__ = ["in_pieces", "naming_damage", "plan_of", "read_by", "show_plan", "write_resumable"]

# Days before a window that it may read: of the warm-up and of trailing means.
_BEFORE = 1000
# What a prediction holds besides arrays of nodes: a model and its tables.
_MODEL = 2**20
_PIECE = 128 * 2**20  # bytes of a piece of days, see the engine


def in_pieces(ds: xr.Dataset) -> xr.Dataset:
    """Hold what has days lazily and the network in memory, so that its basins are known."""
    daily = set(_daily(ds))
    return ds.assign(
        {name: ds[name].chunk() if name in daily else ds[name].compute() for name in ds.data_vars}
    )


def read_by(temperature: xr.DataArray, ds: xr.Dataset) -> xr.Dataset:
    """Return the lazy variables of a dataset that a prediction reads; none of one in memory."""
    if temperature.chunks is None:
        return ds[[]]
    keys = {key[0] if isinstance(key, tuple) else key for key in temperature.data.__dask_graph__()}
    return ds[[n for n in ds.data_vars if ds[n].chunks is not None and ds[n].data.name in keys]]


@contextmanager
def naming_damage(origin: str, ds: xr.Dataset, temperature: xr.DataArray | None = None) -> Iterator[None]:
    """Name the first chunk of lazy input that is damaged or missing if a computation fails.

    Of the input of a prediction, or of the variables without days.
    """
    try:
        yield
    except Exception as error:
        if not _may_be_input(error):
            raise
        from xmsgl.export.zarr import damaged_blocks

        days = slice(0, ds.sizes.get("time", 0))
        read = ds.drop_dims("time", errors="ignore") if temperature is None else read_by(temperature, ds)
        found = next(damaged_blocks(read, days), "")
        if not found:
            raise
        msg = f"cannot read {without_secrets(origin)}: {found}; copy or write it again"
        raise DataUnavailableError(msg) from error


def _may_be_input(error: Exception) -> bool:
    """Whether an error can come from damaged input, which is worth reading all of it again."""
    if isinstance(error, XMSGLError):
        return isinstance(error, InvalidDatasetError | DataUnavailableError)
    return not isinstance(error, OSError) or (error.errno or 0) <= 0  # netCDF's are negative


def write_resumable(
    temperature: xr.DataArray, ds: xr.Dataset, output: Location, settings: Mapping[str, Any]
) -> None:
    """Write the missing chunks of a store; fail with the days that cannot be written."""
    from xmsgl.export.zarr import damaged_blocks, write_in_pieces

    if output.suffix.lower() != ".zarr":
        msg = f"--resume writes a Zarr store, not {output}; give a name that ends with .zarr"
        raise OutputError(msg)
    weather = ds[[name for name in _daily(ds) if not str(name).startswith("water_temperature")]]
    read = read_by(temperature, ds)

    def explain(days: slice) -> str:
        return next(damaged_blocks(read, slice(max(0, days.start - _BEFORE), days.stop)), "")

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


def show_plan(temperature: xr.DataArray, ds: xr.Dataset, model: Model, warmup: int | None) -> None:
    """Print what computing a lazy prediction takes."""
    facts = plan_of(temperature, ds, model, warmup)
    show(facts, aligned([(name, f"{value:,}") for name, value in facts.items()]))


def plan_of(
    temperature: xr.DataArray, ds: xr.Dataset, model: Model, warmup: int | None = None
) -> dict[str, int]:
    """Count tasks and bytes of a lazy prediction without computing it.

    A task holds the drivers of its days as blocks and once more put together, the arrays of a piece of days,
    and its result with the copies that a mean over members and quantiles need. A piece of a basin that is cut
    holds the nodes around it, too, and counts as a group.
    """
    from dask.base import optimize

    graph = optimize(temperature.data)[0].__dask_graph__()
    windows = _chunks(temperature)["time"]
    groups = [group for part in model.parts for group in _groups(part, ds)]
    most = {scale: max(getattr(group.read, scale).size for group in groups) for scale in SCALES}
    share = max(size / ds.sizes[scale] for scale, size in most.items())
    read, days, reaches = read_by(temperature, ds), max(windows), most["fine"]
    longest = max(_days_before(part, warmup) for part in model.parts)
    stored = sum(_bytes_held(each, days + longest, share) for each in read.data_vars.values())
    rest = temperature.size // (temperature.sizes["time"] * temperature.sizes["fine"])
    piece = max(_piece(part, days + longest, most["coarse"], reaches) for part in model.parts)
    return {
        "days": temperature.sizes["time"],
        "reaches": temperature.sizes["fine"],
        "windows": len(windows),
        "groups of basins": len(groups) // len(model.parts),
        "tasks": sum(not isinstance(task, np.ndarray) for task in dict(graph).values()),
        "bytes read": sum(each.nbytes for each in read.data_vars.values()),
        "bytes written": 4 * temperature.size,
        "peak bytes of a task": _MODEL + int(stored) + piece + 3 * 4 * days * reaches * rest,
    }


def _groups(part: Model, ds: xr.Dataset) -> list[Group]:
    """Return what one task each predicts in a window."""
    from xmsgl.prediction.downscale import inputs_of
    from xmsgl.prediction.operators import basin_groups

    return basin_groups(inputs_of(ds, part.spec)[1], part.spec.graph)


def _days_before(part: Model, warmup: int | None) -> int:
    """Return the days before a window that it reads: its warm-up and those of the longest trailing mean."""
    longest = max(feature.days for feature in part.spec.features) - 1
    return longest + (part.spec.warmup if warmup is None else warmup)


def _bytes_held(driver: xr.DataArray, days: int, share: float) -> float:
    """Return the bytes of a driver that a window needs, in whole blocks, and put together."""
    total = driver.sizes["time"]
    block = max(driver.chunksizes["time"])
    return driver.nbytes / total * (min(total, days + 2 * block) + share * min(total, days))


def _piece(part: Model, days: int, segments: int, reaches: int) -> int:
    """Return the bytes of inputs and hidden states of a piece of days."""
    module, features = part.modules()[0], len(part.spec.features)
    if module.fused:  # neither inputs nor hidden states of reaches are kept
        a_day = (3 * features + 2 * module.latent) * segments + 2 * reaches
    else:
        nodes = segments + reaches * ("fine" in module.input_scales)
        a_day = (2 * features + 2 * module.latent) * nodes + 2 * reaches
    step = min(days, max(16, _PIECE // int(4 * a_day))) if module.stepwise else days
    return int(4 * a_day * step)


def _chunks(temperature: xr.DataArray) -> dict[str, tuple[int, ...]]:
    return dict(zip(map(str, temperature.dims), temperature.chunks or (), strict=True))


def _daily(ds: xr.Dataset) -> list[str]:
    return [str(name) for name in ds.data_vars if "time" in ds[name].dims]
