"""Drivers that stay on disk: blocks of days are read as needed and kept up to a limit.

Values are the same, bit for bit, as those of arrays in memory: a trailing mean is the difference of two
running totals from the first day of the record, and the totals before each block are kept.
"""

from __future__ import annotations

import copy
import threading
from collections import OrderedDict
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt
from dask.base import compute

from xmsgl.inputs.features import TRANSFORMS, Feature, feature_variables

if TYPE_CHECKING:
    from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence

    import xarray as xr

    from xmsgl.util.scales import Scale

__all__ = ["BlockCache", "StoredDays", "StoredDrivers", "driver_bytes", "fetch"]

FloatArray: TypeAlias = npt.NDArray[np.float32]
IntArray: TypeAlias = npt.NDArray[np.int64]

# Fewest days of a block: to read and keep a chunk of one day costs as much as several.
_LEAST = 64


class BlockCache:
    """Blocks of days that were read last, up to a number of bytes in all."""

    def __init__(self, limit: int) -> None:
        self.limit, self.size = limit, 0
        self._held: OrderedDict[Hashable, npt.NDArray[Any]] = OrderedDict()
        self._lock = threading.Lock()  # batches for a GPU are prepared in another thread

    def get(self, key: Hashable) -> npt.NDArray[Any] | None:
        """Return a block, or None if it is to be read."""
        with self._lock:
            if key in self._held:
                self._held.move_to_end(key)
            return self._held.get(key)

    def put(self, key: Hashable, block: npt.NDArray[Any]) -> None:
        """Keep a block, and let go of those that were not used for longest."""
        with self._lock:
            if key in self._held or block.nbytes > self.limit:
                return
            while self.size + block.nbytes > self.limit:
                self.size -= self._held.popitem(last=False)[1].nbytes
            self._held[key] = block
            self.size += block.nbytes


class StoredDriver:
    """One driver (time, node), of which some nodes are read."""

    def __init__(self, variable: xr.Variable, cache: BlockCache, largest: int) -> None:
        self._variable, self.cache = variable, cache
        self.shape: tuple[int, int] = variable.shape  # type: ignore[assignment]
        self._edges = _edges(variable, largest)
        self._name = str(getattr(variable.data, "name", "")), b""  # of the array, and of the nodes
        self._nodes: IntArray | None = None  # those that are read, ascending; None: all
        self._before = [np.zeros(self.shape[1])]  # running totals before the blocks, as far as known
        self._lock = threading.Lock()

    def restrict(self, nodes: IntArray) -> StoredDriver:
        """Return the driver of which only some of the nodes that are read now will be."""
        few = copy.copy(self)
        places = self._places(nodes)
        few._nodes, few._lock = nodes, threading.Lock()
        few._name = self._name[0], nodes.tobytes()
        few._before = [total[places] for total in self._before]
        return few

    def between(self, first: int, stop: int, nodes: IntArray | None = None) -> npt.NDArray[Any]:
        """Return the values of consecutive days, a new array (day, node), as they are in the dataset."""
        columns = self._places(nodes)
        low, high = self._blocks(first, stop)
        parts = []
        for start, block in zip(self._edges[low:high], self._read(low, high), strict=True):
            parts.append(block[max(first - start, 0) : stop - start][:, columns])
        return np.concatenate(parts)

    def totals(self, first: int, stop: int, nodes: IntArray | None = None) -> npt.NDArray[np.float64]:
        """Return the sums of all days of the record up to each of some days, 0 before it, (day, node)."""
        columns = self._places(nodes)
        none = np.zeros((min(max(-first, 0), stop - first), self._before[0][columns].size))
        parts, first = [none], max(first, 0)
        for k in range(*self._blocks(first, stop)) if stop > first else ():
            start, end = self._edges[k], min(self._edges[k + 1], stop)
            days = self.between(start, end, nodes)
            running = np.cumsum(np.vstack([self._total_before(k)[columns], days]), axis=0, dtype=np.float64)
            parts.append(running[1 + max(first - start, 0) :])
        return np.concatenate(parts)

    def _total_before(self, block: int) -> npt.NDArray[np.float64]:
        with self._lock:
            for k in range(len(self._before) - 1, block):
                days = self.between(self._edges[k], self._edges[k + 1], self._nodes)
                running = np.cumsum(np.vstack([self._before[k], days]), axis=0, dtype=np.float64)
                self._before.append(running[-1].copy())
            return self._before[block]

    def _places(self, nodes: IntArray | None) -> slice | IntArray:
        """Return the columns of some nodes in the blocks."""
        if nodes is None or nodes is self._nodes:
            return slice(None)
        return nodes if self._nodes is None else np.searchsorted(self._nodes, nodes)

    def _blocks(self, first: int, stop: int) -> tuple[int, int]:
        """Return the first block of some days, and the one after the last."""
        low = int(np.searchsorted(self._edges, first, side="right")) - 1
        return low, int(np.searchsorted(self._edges, stop, side="left"))

    def _read(self, low: int, high: int) -> list[npt.NDArray[Any]]:
        """Return consecutive blocks; those that are not kept and follow each other are read at once."""
        found = {k: self.cache.get((self._name, k)) for k in range(low, high)}
        runs = _runs(k for k, block in found.items() if block is None)
        for (first, stop), values in zip(runs, compute(*(self.lazy(*run) for run in runs)), strict=True):
            found |= self.keep(first, stop, values)
        return [block for block in found.values() if block is not None]

    def lazy(self, low: int, high: int) -> Any:
        """Return consecutive blocks that are not yet loaded, without the rest of the chunks they are of."""
        some = self._variable[self._edges[low] : self._edges[high]]
        some = some if self._nodes is None else some[:, self._nodes]
        return some.values if some.chunks is None else some.data.map_blocks(np.array, dtype=some.dtype)

    def keep(self, low: int, high: int, values: npt.NDArray[Any]) -> dict[int, npt.NDArray[Any]]:
        """Cut loaded values into blocks, and keep them if they come from disk."""
        edges = (self._edges[low : high + 1] - self._edges[low]).tolist()
        blocks = dict(enumerate((values[a:b].copy() for a, b in pairwise(edges)), low))
        for k, block in blocks.items() if self._variable.chunks is not None else ():
            self.cache.put((self._name, k), block)
        return blocks

    def missing(self, first: int, stop: int) -> set[int]:
        """Return the blocks with some days that are on disk and not kept."""
        if self._variable.chunks is None:
            return set()
        return {k for k in range(*self._blocks(first, stop)) if self.cache.get((self._name, k)) is None}

    def size(self, blocks: Iterable[int]) -> int:
        """Return the bytes of some blocks."""
        days = sum(int(self._edges[k + 1] - self._edges[k]) for k in blocks)
        return days * self._before[0].size * int(self._variable.dtype.itemsize)


def fetch(features: Iterable[StoredDays], spans: Collection[tuple[int, int]]) -> None:
    """Read all that features need of some days (first, stop) at once, where half of the cache can hold it."""
    missing: dict[StoredDriver, set[int]] = {}
    for each in features:
        blocks = missing.setdefault(each.driver, set())
        for first, stop in spans:
            blocks |= each.driver.missing(max(0, first - each.days + 1), stop)
    if any(
        2 * sum(other.size(blocks) for other, blocks in missing.items()) > one.cache.limit for one in missing
    ):
        return
    wanted = [(driver, *run) for driver, blocks in missing.items() for run in _runs(sorted(blocks))]
    loaded = compute(*(driver.lazy(low, high) for driver, low, high in wanted))
    for (driver, low, high), values in zip(wanted, loaded, strict=True):
        driver.keep(low, high, values)


@dataclass(frozen=True)
class StoredDays:
    """A feature of a driver on disk, for the days that are asked for."""

    driver: StoredDriver
    transform: str
    days: int  # of the trailing mean
    ndim = 2

    @property
    def shape(self) -> tuple[int, int]:
        """Days and nodes."""
        return self.driver.shape

    def between(self, first: int, stop: int, nodes: IntArray | None = None) -> FloatArray:
        """Return the values of consecutive days before scaling, a new array (day, node)."""
        raw = self.driver.between(first, stop, nodes) if self.days == 1 else self._mean(first, stop, nodes)
        return np.ascontiguousarray(TRANSFORMS[self.transform](raw), dtype=np.float32)

    def read(self, days: IntArray, nodes: IntArray | None = None) -> FloatArray:
        """Return the values of the days of some windows (window, day), a new array (window, day, node)."""
        windows = []
        for some in days:
            first = int(some.min())
            windows.append(self.between(first, int(some.max()) + 1, nodes)[some - first])
        return np.stack(windows)

    def _mean(self, first: int, stop: int, nodes: IntArray | None) -> npt.NDArray[np.float64]:
        """Return trailing means, as :func:`xmsgl.inputs.features.trailing_mean` over the whole record."""
        total = self.driver.totals(first, stop, nodes)
        total -= self.driver.totals(first - self.days, stop - self.days, nodes)
        total /= np.minimum(np.arange(first + 1, stop + 1), self.days)[:, None]
        return total


class StoredDrivers:
    """The drivers of a dataset that features are made of, with one cache."""

    def __init__(self, ds: xr.Dataset, features: Sequence[Feature], cache: BlockCache) -> None:
        names = feature_variables(ds, features, dynamic=True)
        # While one block of each driver is used, the next ones are read.
        largest = cache.limit // (2 * len(names))
        self._drivers = {
            name: StoredDriver(ds[name].variable.transpose("time", ...), cache, largest) for name in names
        }

    def days(self, name: str, feature: Feature) -> StoredDays:
        """Return a feature of the driver of some name, such as ``air_temperature_coarse``."""
        return StoredDays(self._drivers[name], feature.transform, feature.days)

    def restrict(self, nodes: Mapping[Scale, IntArray]) -> dict[int, StoredDriver]:
        """Return the drivers of some nodes of each scale, by the identity of those of all nodes."""
        return {
            id(driver): driver.restrict(some)
            for name, driver in self._drivers.items()
            for scale, some in nodes.items()
            if name.endswith(f"_{scale}")
        }


def driver_bytes(ds: xr.Dataset, features: Sequence[Feature]) -> int:
    """Return the bytes of the drivers of some features in memory, with their trailing means, as float32."""
    nodes = sum(
        ds.sizes[scale]
        for feature in features
        for scale in ("coarse", "fine")
        if feature.dynamic and f"{feature.name}_{scale}" in ds
    )
    return 4 * ds.sizes["time"] * nodes


def _runs(numbers: Iterable[int]) -> list[tuple[int, int]]:
    """Return the first and the one after the last of ascending numbers that follow each other."""
    runs: list[tuple[int, int]] = []
    for k in numbers:
        if runs and runs[-1][1] == k:
            runs[-1] = runs[-1][0], k + 1
        else:
            runs.append((k, k + 1))
    return runs


def _edges(variable: xr.Variable, largest: int) -> IntArray:
    """Cut the days into blocks of whole chunks where these are not too short or too large."""
    n_days, n_nodes = variable.shape
    chunks = (n_days,) if variable.chunks is None else variable.chunks[0]
    ends = [0]
    for end in np.cumsum(chunks).tolist():
        if end - ends[-1] >= _LEAST or end == n_days:
            ends.append(end)
    most = max(_LEAST, largest // max(1, n_nodes * variable.dtype.itemsize))
    cut = [
        np.linspace(first, stop, -(-(stop - first) // most), endpoint=False, dtype=np.int64)
        for first, stop in pairwise(ends)
    ]
    return np.append(np.concatenate(cut), n_days)
