"""One pass over the daily values of a dataset: what is there, and where it is not as it should be."""

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

_HIGHEST_CODE = -900.0  # of the codes that fill_like tells the highest is -999
_BLOCK_VALUES = 8_000_000  # values looked at together: the masks of a block stay below 50 MB


@dataclass(frozen=True)
class Spots:
    """Where a daily array has values of one kind.

    Parameters
    ----------
    count
        How many values.
    days, nodes
        Positions along time and along the scale that have any, int64, ascending.
    """

    count: int
    days: npt.NDArray[np.int64]
    nodes: npt.NDArray[np.int64]


@dataclass(frozen=True)
class Summary:
    """What one pass over a daily array found.

    Parameters
    ----------
    finite, nonzero
        How many values are finite, and how many of those are not 0.
    low, high
        Smallest and largest finite value; NaN when there is none.
    nan, infinite, outside, codes
        Where values are NaN, infinite, finite and outside the allowed range, or a code for a missing value
        such as -9999; see :func:`xmsgl.schema.ranges.fill_like`.
    plain, total, lowest
        How many finite values are no such code and not huge; their sum, and the least of them.
    known
        int64: how many finite values each position along the scale has.
    """

    finite: int
    nonzero: int
    low: float
    high: float
    nan: Spots
    infinite: Spots
    outside: Spots
    codes: Spots
    plain: int
    total: float
    lowest: float
    known: npt.NDArray[np.int64]

    @property
    def mean(self) -> float:
        """Mean of the values that stand for themselves; NaN when there is none."""
        return self.total / self.plain if self.plain else np.nan


def scan(
    ds: xr.Dataset, daily: Mapping[str, Range], small: Iterable[str]
) -> tuple[dict[str, Summary], dict[str, npt.NDArray[Any]]]:
    """Summarise daily variables and read small ones, in one computation.

    Lazy arrays are summarised chunk by chunk, others in slices of days, so that no daily array
    stands in memory because of it.
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
    if values.dtype.kind != "f":  # infinity, the start of the search below, is no integer
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
    if low <= _HIGHEST_CODE or high >= HUGE:  # seldom, so that no block pays for it
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
    return Spots(
        int(np.count_nonzero(mask)), np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    )


def _merge(parts: Sequence[tuple[int, int, Summary]]) -> Summary:
    """Join the summaries of blocks, each with its first day and node."""
    found = [part for _, _, part in parts]
    lows = [part.low for part in found if part.finite]
    highs = [part.high for part in found if part.finite]
    return Summary(
        finite=sum(part.finite for part in found),
        nonzero=sum(part.nonzero for part in found),
        low=min(lows, default=np.nan),
        high=max(highs, default=np.nan),
        nan=_merge_spots([(day, node, part.nan) for day, node, part in parts]),
        infinite=_merge_spots([(day, node, part.infinite) for day, node, part in parts]),
        outside=_merge_spots([(day, node, part.outside) for day, node, part in parts]),
        codes=_merge_spots([(day, node, part.codes) for day, node, part in parts]),
        plain=sum(part.plain for part in found),
        total=sum(part.total for part in found),
        lowest=min((part.lowest for part in found), default=np.inf),
        known=_merge_counts([(node, part.known) for _, node, part in parts]),
    )


def _merge_counts(parts: Sequence[tuple[int, npt.NDArray[np.int64]]]) -> npt.NDArray[np.int64]:
    merged = np.zeros(max((node + counts.size for node, counts in parts), default=0), dtype=np.int64)
    for node, counts in parts:
        merged[node : node + counts.size] += counts
    return merged


def _merge_spots(parts: Sequence[tuple[int, int, Spots]]) -> Spots:
    days = np.concatenate([spots.days + day for day, _, spots in parts])
    nodes = np.concatenate([spots.nodes + node for _, node, spots in parts])
    return Spots(sum(spots.count for _, _, spots in parts), np.unique(days), np.unique(nodes))
