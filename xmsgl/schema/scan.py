"""One pass over the daily values of a dataset: counts, extremes, and where values are not valid."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import dask.array as da
import numpy as np
import numpy.typing as npt
from dask.base import compute

from xmsgl.schema.ranges import HUGE, Range, fill_like

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import xarray as xr

__all__ = ["Spots", "Summary", "scan", "summarise"]

_HIGHEST_CODE = -900.0  # the highest negative code of fill_like is -999
_BLOCK_VALUES = 8_000_000  # values of one block, whose masks stay below 50 MB


@dataclass(frozen=True)
class Spots:
    """Where a daily array has values of one kind."""

    count: int
    days: npt.NDArray[np.int64]  # positions along time that have any, ascending
    nodes: npt.NDArray[np.int64]


@dataclass(frozen=True)
class Summary:
    """What one pass over a daily array found."""

    finite: int  # number of finite values
    nonzero: int  # number of finite values that are not 0
    low: float  # of the finite values; NaN where there are none
    high: float
    nan: Spots
    infinite: Spots
    outside: Spots  # finite values outside the allowed range
    codes: Spots  # codes of missing values such as -9999
    plain: int  # number of finite values that are neither codes nor huge
    total: float  # sum of the plain values
    lowest: float  # of the plain values
    known: npt.NDArray[np.int64]  # number of finite values of each position along the scale

    @property
    def mean(self) -> float:
        """Mean of the plain values; NaN where there are none."""
        return self.total / self.plain if self.plain else np.nan


def scan(
    ds: xr.Dataset, daily: Mapping[str, Range], small: Iterable[str]
) -> tuple[dict[str, Summary], dict[str, npt.NDArray[Any]]]:
    """Summarise daily variables and read small ones, in one computation.

    Lazy arrays are summarised chunk by chunk, others in slices of days, so that none is loaded as a whole.
    """
    summaries: dict[str, Summary] = {}
    lazy: dict[str, tuple[da.Array, tuple[tuple[int, ...], ...]]] = {}
    for name, allowed in daily.items():
        array = ds[name].variable.transpose("time", ...)
        if array.chunks is None:
            summaries[name] = _scan_slices(array, allowed)
        else:
            blocks = da.map_blocks(
                _block,
                array.data,
                allowed,
                dtype=object,
                meta=np.empty((0, 0), dtype=object),
                chunks=tuple((1,) * len(sizes) for sizes in array.chunks),
            )
            lazy[name] = blocks, array.chunks
    variables = {name: ds[name].variable for name in small}
    blocks = [pair[0] for pair in lazy.values()]
    done, values = compute(blocks, variables)
    for (name, (_, chunks)), found in zip(lazy.items(), done, strict=True):
        starts = [[0, *accumulate(sizes)] for sizes in chunks]
        parts = [(starts[0][i], starts[1][j], part) for (i, j), part in np.ndenumerate(found)]
        summaries[name] = _merge(parts)
    return {name: summaries[name] for name in daily}, {name: v.to_numpy() for name, v in values.items()}


def _scan_slices(array: xr.Variable, allowed: Range) -> Summary:
    days, nodes = array.shape
    step = max(1, _BLOCK_VALUES // max(1, nodes))
    return _merge(
        [
            (start, 0, summarise(array[start : start + step].to_numpy(), allowed))
            for start in range(0, max(days, 1), step)
        ]
    )


def _block(values: npt.NDArray[Any], allowed: Range) -> npt.NDArray[np.object_]:
    found = np.empty((1, 1), dtype=object)
    found[0, 0] = summarise(values, allowed)
    return found


def summarise(values: npt.NDArray[Any], allowed: Range) -> Summary:
    """Summarise one block in memory, (time, node)."""
    if values.dtype.kind != "f":  # the searches below start from infinity
        values = values.astype(np.float64)
    nan = np.isnan(values)
    infinite = np.isinf(values)
    finite = ~(nan | infinite)
    low = float(np.min(values, initial=np.inf, where=finite))
    high = float(np.max(values, initial=-np.inf, where=finite))
    outside = np.zeros_like(finite)
    if low < allowed[0] or high > allowed[1]:
        outside = finite & ((values < allowed[0]) | (values > allowed[1]))
    codes, plain = np.zeros_like(finite), finite
    if low <= _HIGHEST_CODE or high >= HUGE:  # rare
        filled = fill_like(values)
        codes, plain = filled & (np.abs(values) < HUGE), finite & ~filled
    return Summary(
        finite=int(np.count_nonzero(finite)),
        nonzero=int(np.count_nonzero(finite & (values != 0))),
        low=low if low <= high else np.nan,
        high=high if low <= high else np.nan,
        nan=_spots(nan),
        infinite=_spots(infinite),
        outside=_spots(outside),
        codes=_spots(codes),
        plain=int(np.count_nonzero(plain)),
        total=float(np.sum(values, where=plain, dtype=np.float64)),
        lowest=float(np.min(values, initial=np.inf, where=plain)),
        known=np.count_nonzero(finite, axis=0),
    )


def _spots(mask: npt.NDArray[np.bool_]) -> Spots:
    count = int(np.count_nonzero(mask))
    return Spots(count, np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0)))


def _merge(parts: Sequence[tuple[int, int, Summary]]) -> Summary:
    """Merge the summaries of blocks, each with its first day and node."""
    found = [part for _, _, part in parts]
    lows = [part.low for part in found if part.finite]
    highs = [part.high for part in found if part.finite]

    def spots(kind: str) -> Spots:
        held = [(day, node, getattr(part, kind)) for day, node, part in parts]
        days = np.concatenate([one.days + day for day, _, one in held])
        nodes = np.concatenate([one.nodes + node for _, node, one in held])
        return Spots(sum(one.count for _, _, one in held), np.unique(days), np.unique(nodes))

    known = np.zeros(max((node + part.known.size for _, node, part in parts), default=0), dtype=np.int64)
    for _, node, part in parts:
        known[node : node + part.known.size] += part.known
    return Summary(
        finite=sum(part.finite for part in found),
        nonzero=sum(part.nonzero for part in found),
        low=min(lows, default=np.nan),
        high=max(highs, default=np.nan),
        nan=spots("nan"),
        infinite=spots("infinite"),
        outside=spots("outside"),
        codes=spots("codes"),
        plain=sum(part.plain for part in found),
        total=sum(part.total for part in found),
        lowest=min((part.lowest for part in found), default=np.inf),
        known=known,
    )
