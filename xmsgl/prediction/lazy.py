"""Prediction as a dask graph: one task for the model and one for each window, which reads blocks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt
    import xarray as xr

    from xmsgl.inputs.windows import Window
    from xmsgl.prediction.predictor import Engine

    Blocks = Sequence[Sequence[npt.NDArray[Any]]]  # by day, then by node

__all__ = ["lazy_windows"]


@dataclass(frozen=True)
class _Days:
    """The days that a window reads, as positions in the blocks that hold them."""

    window: Window
    positions: npt.NDArray[np.int64]  # in the record
    first: Mapping[str, int]  # position of the first day of the blocks, by driver


def lazy_windows(
    engine: Any,
    drivers: xr.Dataset,
    days: Sequence[tuple[Window, npt.NDArray[np.int64]]],
    reaches: int,
    *,
    carry: bool,
) -> Any:
    """Return the prediction of all windows, (time, fine), as a dask array.

    `engine` is a delayed :class:`.Engine`, `days` has each window and the positions of the days it reads.
    """
    import dask.array as da
    from dask.base import tokenize
    from dask.delayed import delayed

    token = tokenize(engine.key, drivers, list(days), carry)
    frame = delayed(drivers.drop_vars(list(drivers.data_vars)), name=f"xmsgl-days-{token}")
    arrays = {str(name): _blocks(str(name), driver.variable) for name, driver in drivers.items()}
    grids = {name: array.to_delayed(optimize_graph=False) for name, array in arrays.items()}
    ends = {name: np.cumsum(array.chunks[0]) for name, array in arrays.items()}
    about = {name: (drivers[name].dims, drivers[name].attrs) for name in arrays}
    run, pick = delayed(_run), delayed(_pick)
    found, left = [], None
    for number, (window, positions) in enumerate(days):
        blocks, first = {}, {}
        for name, grid in grids.items():
            low, high = np.searchsorted(ends[name], [positions.min(), positions.max()], side="right")
            blocks[name] = grid[low : high + 1].reshape(high + 1 - low, -1).tolist()
            first[name] = ends[name][low] - arrays[name].chunks[0][low]
        asked = _Days(window, positions, first)
        both = run(
            engine,
            frame,
            about,
            blocks,
            asked,
            left,
            carry,
            dask_key_name=f"xmsgl-downscale-{token}-{number}",
        )
        values = pick(both, 0, dask_key_name=f"xmsgl-days-of-{token}-{number}") if carry else both
        left = pick(both, 1, dask_key_name=f"xmsgl-state-{token}-{number}") if carry else None
        found.append(da.from_delayed(values, (window.stop - window.start, reaches), np.float32))
    return da.concatenate(found)


def _blocks(name: str, variable: xr.Variable) -> Any:
    """Return the days of a driver as blocks."""
    import dask.array as da
    from dask.base import tokenize

    if variable.chunks is not None:
        return variable.transpose("time", ...).data
    values = variable.transpose("time", ...).to_numpy()
    return da.from_array(values, chunks=values.shape, name=f"xmsgl-{name}-{tokenize(values)}")


def _pick(both: tuple[Any, Any], number: int) -> Any:
    return both[number]


def _run(
    engine: Engine,
    frame: xr.Dataset,
    about: Mapping[str, tuple[tuple[str, ...], Mapping[str, Any]]],
    blocks: Mapping[str, Blocks],
    days: _Days,
    left: Any,
    carry: bool,
) -> Any:
    """Predict a window from blocks; with `carry`, return the memory after it, too."""
    chosen = frame.isel(time=days.positions)
    for name, (dims, attrs) in about.items():
        order = ("time", *(dim for dim in dims if dim != "time"))
        values = np.concatenate([np.concatenate(row, axis=-1) for row in blocks[name]])
        chosen[name] = (order, values[days.positions - days.first[name]], attrs)
    after = engine.resume(chosen, days.window, left)
    return after if carry else after[0]
