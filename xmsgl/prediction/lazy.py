"""Prediction as a dask graph: a task for the model, and one for each window of days and group of basins."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from itertools import islice, pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    import numpy.typing as npt
    import xarray as xr

    from xmsgl.inputs.windows import Window
    from xmsgl.models.methods.base import Memory
    from xmsgl.network.parts import Group
    from xmsgl.prediction.memories import Layout
    from xmsgl.prediction.predictor import Engine
    from xmsgl.util.scales import Scale

    Ints = npt.NDArray[np.int64]
    Block = tuple[npt.NDArray[Any], ...]  # one array for each variable of a table

__all__ = ["lazy_engine", "lazy_memories", "lazy_windows"]

# Most chunks along `fine` where the reaches of different groups alternate.
_RUNS = 64


@dataclass(frozen=True)
class _Table:
    """Variables with the same dimensions and chunks; one task reads a block of all of them."""

    variables: tuple[tuple[str, dict[str, Any]], ...]  # names and attributes
    dims: tuple[str, ...]
    ends: tuple[Ints, ...]  # position after each block, by dimension


@dataclass(frozen=True)
class _Plan:
    """A dataset whose lazy variables are to be put together from blocks."""

    rest: xr.Dataset  # without them
    tables: Sequence[_Table]
    coords: Collection[str] = ()  # of the variables those that are coordinates


@dataclass(frozen=True)
class _Asked:
    """What a task predicts, and the blocks that it receives."""

    window: Window
    days: Ints  # positions in the record, of the warm-up and the trailing means, too
    group: int
    rows: tuple[tuple[int, int], ...]  # of blocks, by table: their number and their first day
    columns: tuple[tuple[int, ...], ...]  # of blocks, by table


def lazy_engine(build: Callable[..., Engine], payload: bytes, fixed: xr.Dataset, *options: Any) -> Any:
    """Delay ``build(payload, fixed, *options)`` for a dataset without days that may be lazy."""
    from dask.base import tokenize
    from dask.delayed import delayed

    lazy = [str(name) for name, each in fixed.variables.items() if each.ndim == 1 and each.chunks is not None]
    tables = _tables((name, fixed[name].variable) for name in lazy)
    plan = _Plan(fixed.drop_vars(lazy), [table for table, _ in tables], set(lazy) & fixed.coords.keys())
    blocks = [block for _, grid in tables for block in grid.tolist()]
    token = tokenize(payload, fixed, *options)
    # Blocks are arguments of their own: dask would optimise those in a list for every task.
    return delayed(_build)(build, payload, plan, options, *blocks, dask_key_name=f"xmsgl-model-{token}")


def lazy_windows(
    engine: Any,
    drivers: xr.Dataset,
    reads: Sequence[tuple[Window, Ints]],
    groups: Sequence[Group],
    *,
    tail: tuple[int, ...] = (),
    carry: bool,
    before: Sequence[Sequence[Any] | None] | None = None,
) -> tuple[Any, list[Any]]:
    """Return the prediction of all windows, (time, fine, *tail), as a dask array, and the last memories.

    `engine` is a delayed :class:`.Engine` with the same groups; `reads` has each window and the positions of
    the days that it reads; `before` has what the model remembers of each group, as :meth:`.Engine.pack`
    returns it. The memories of the groups are delayed, and None without `carry`.
    """
    import dask.array as da
    from dask.base import tokenize
    from dask.delayed import delayed

    token = tokenize(engine.key, drivers, list(reads), carry, before)
    both = _tables((str(name), each.variable.transpose("time", ...)) for name, each in drivers.items())
    tables, grids = [table for table, _ in both], [grid for _, grid in both]
    frame = delayed(_Plan(drivers.drop_vars(list(drivers.data_vars)), tables), name=f"xmsgl-days-{token}")
    run, pick, names = delayed(_run), delayed(_pick), f"{token}-{{}}-{{}}".format
    found, memories = [], []
    for number, group in enumerate(groups):
        columns = tuple(_columns(table, getattr(group.read, table.dims[1])) for table in tables)
        pieces, left = [], None
        if before is not None and (packed := before[number]) is not None:
            left = delayed(_unpack)(engine, number, *packed, dask_key_name=f"xmsgl-start-{token}-{number}")
        for window, days in reads:
            blocks, rows = [], []
            for table, grid, some in zip(tables, grids, columns, strict=True):
                ends = table.ends[0]
                low, high = np.searchsorted(ends, [days.min(), days.max()], side="right").tolist()
                blocks += grid[low : high + 1][:, list(some)].ravel().tolist()
                rows.append((high + 1 - low, int(ends[low - 1]) if low else 0))
            asked = _Asked(window, days, number, tuple(rows), columns)
            name = names(number, window.start)
            after = run(engine, frame, asked, left, carry, *blocks, dask_key_name=f"xmsgl-downscale-{name}")
            values = pick(after, 0, dask_key_name=f"xmsgl-days-of-{name}") if carry else after
            left = pick(after, 1, dask_key_name=f"xmsgl-state-{name}") if carry else None
            shape = window.stop - window.start, group.kept.fine.size, *tail
            pieces.append(da.from_delayed(values, shape, np.float32))
        found.append(da.concatenate(pieces))
        memories.append(left)
    return _in_order(found, groups, "fine", axis=1), memories


def lazy_memories(engine: Any, memories: Sequence[Any], groups: Sequence[Group], layout: Layout) -> list[Any]:
    """Return what :func:`lazy_windows` remembers as dask arrays of all nodes, as :meth:`.Engine.pack`."""
    import dask.array as da
    from dask.delayed import delayed

    packed = [delayed(_pack)(engine, left, number) for number, left in enumerate(memories)]
    joined = []
    for k, entry in enumerate(layout.entries):
        if entry.axis is None:
            joined.append(da.from_delayed(packed[0][k], (entry.columns,), np.float32))
            continue
        found = [
            da.from_delayed(each[k], (getattr(group.kept, entry.scale).size, entry.columns), np.float32)
            for each, group in zip(packed, groups, strict=True)
        ]
        joined.append(_in_order(found, groups, entry.scale, axis=0))
    return joined


def _tables(variables: Iterable[tuple[str, xr.Variable]]) -> list[tuple[_Table, Any]]:
    """Put variables together that have the same blocks; return each table with its delayed blocks."""
    import dask.array as da
    from dask.base import tokenize

    alike = defaultdict(list)
    for name, each in variables:
        alike[each.dims, each.chunks].append((name, each))
    found = []
    for (dims, chunks), some in alike.items():
        arrays = [da.from_array(v.to_numpy(), chunks=-1) if chunks is None else v.data for _, v in some]
        axes = tuple(range(len(dims)))
        read = da.blockwise(
            _together,
            axes,
            *(part for array in arrays for part in (array, axes)),
            name=f"xmsgl-read-{tokenize(*arrays)}",
            meta=np.empty((0,) * len(axes), object),
            align_arrays=False,
        )
        ends = tuple(np.cumsum(each) for each in read.chunks)
        about = tuple((name, each.attrs) for name, each in some)
        found.append((_Table(about, tuple(map(str, dims)), ends), read.to_delayed(optimize_graph=False)))
    return found


def _columns(table: _Table, nodes: Ints) -> tuple[int, ...]:
    """Return the columns of blocks that hold any of the nodes."""
    return tuple(np.unique(np.searchsorted(table.ends[1], nodes, side="right")).tolist())


def _in_order(found: Sequence[Any], groups: Sequence[Group], scale: Scale, *, axis: int) -> Any:
    """Join the values of groups in the order of the nodes, which are along an axis."""
    import dask.array as da

    nodes = [getattr(group.kept, scale) for group in groups]
    owner = np.empty(sum(each.size for each in nodes), np.int64)
    for number, each in enumerate(nodes):
        owner[each] = number
    cuts = [*np.flatnonzero(np.diff(owner, prepend=-1)).tolist(), owner.size]
    if len(cuts) > _RUNS + 1:
        return da.take(da.concatenate(found, axis=axis), np.argsort(np.concatenate(nodes)), axis=axis)
    runs = []
    for start, stop in pairwise(cuts):
        first = int(np.searchsorted(nodes[owner[start]], start))
        some = slice(first, first + stop - start)
        runs.append(found[owner[start]][(slice(None),) * axis + (some,)])
    return da.concatenate(runs, axis=axis)


def _unpack(engine: Engine, group: int, *packed: npt.NDArray[np.float32]) -> list[Memory]:
    return engine.unpack(packed, group)


def _pack(engine: Engine, memory: list[Memory], group: int) -> list[npt.NDArray[np.float32]]:
    return engine.pack(memory, group)


def _together(*blocks: npt.NDArray[Any]) -> Block:
    return blocks


def _pick(both: tuple[Any, Any], number: int) -> Any:
    return both[number]


def _build(
    build: Callable[..., Engine], payload: bytes, plan: _Plan, options: Sequence[Any], *blocks: Block
) -> Engine:
    """Put the blocks of a dataset without days together, and build what all windows share."""
    fixed, given = plan.rest.copy(), iter(blocks)
    for table in plan.tables:
        some = list(islice(given, len(table.ends[0])))
        for k, (name, attrs) in enumerate(table.variables):
            fixed[name] = (table.dims, np.concatenate([block[k] for block in some]), attrs)
    return build(payload, fixed.set_coords(plan.coords), *options)


def _run(engine: Engine, plan: _Plan, asked: _Asked, left: Any, carry: bool, *blocks: Block) -> Any:
    """Predict a window of a group from blocks; with `carry`, return the memory after it, too."""
    part, given = engine.groups[asked.group].read, iter(blocks)
    chosen = plan.rest.isel(time=asked.days, **part._asdict(), missing_dims="ignore")
    for table, (count, first), columns in zip(plan.tables, asked.rows, asked.columns, strict=True):
        nodes, ends = getattr(part, table.dims[1]), [0, *table.ends[1].tolist()]
        inside = [nodes[slice(*np.searchsorted(nodes, ends[c : c + 2]))] - ends[c] for c in columns]
        rows = [list(islice(given, len(columns))) for _ in range(count)]
        for k, (name, attrs) in enumerate(table.variables):
            values = np.concatenate([np.concatenate(_take(k, row, inside), axis=1) for row in rows])
            chosen[name] = (table.dims, values[asked.days - first], attrs)
    after = engine.resume(chosen, asked.window, left, asked.group)
    return after if carry else after[0]


def _take(k: int, row: Sequence[Block], inside: Sequence[Ints]) -> list[npt.NDArray[Any]]:
    """Return the columns that are inside a group, of one variable in a row of blocks."""
    return [block[k][:, own] for block, own in zip(row, inside, strict=True)]
