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

from xmsgl.inputs.features import TRANSFORMS, Feature, feature_variables

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Sequence

    import xarray as xr

    from xmsgl.util.scales import Scale

__all__ = ["BlockCache", "StoredDays", "StoredDrivers", "driver_bytes"]

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
        self._variable, self._cache = variable, cache
        self.shape: tuple[int, int] = variable.shape  # type: ignore[assignment]
        self._edges = _edges(variable, largest)
        self._nodes: IntArray | None = None  # those that are read, ascending; None: all
        self._before = [np.zeros(self.shape[1])]  # running totals before the blocks, as far as known
        self._lock = threading.Lock()

    def restrict(self, nodes: IntArray) -> StoredDriver:
        """Return the driver of which only some of the nodes that are read now will be."""
        few = copy.copy(self)
        places = self._places(nodes)
        few._nodes, few._lock = nodes, threading.Lock()
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
        if self._variable.chunks is None:
            return [self._load(k, k + 1) for k in range(low, high)]
        of = self._variable.data.name, None if self._nodes is None else self._nodes.tobytes()
        found = {k: self._cache.get((of, k)) for k in range(low, high)}
        missing = [k for k, block in found.items() if block is None]
        for run in np.split(missing, np.flatnonzero(np.diff(missing) > 1) + 1) if missing else ():
            first, last = int(run[0]), int(run[-1]) + 1
            values = self._load(first, last)
            for k in range(first, last):
                start, stop = self._edges[k : k + 2] - self._edges[first]
                block = values if len(run) == 1 else values[start:stop].copy()
                self._cache.put((of, k), block)
                found[k] = block
        return [block for block in found.values() if block is not None]

    def _load(self, low: int, high: int) -> npt.NDArray[Any]:
        """Load consecutive blocks, without the rest of the chunks that they are cut from."""
        days = self._variable[self._edges[low] : self._edges[high]]
        some = days if self._nodes is None else days[:, self._nodes]
        if some.chunks is None:
            return np.asarray(some.values)
        values = np.asarray(some.data.map_blocks(np.array, dtype=some.dtype).compute())
        return values if values.flags.c_contiguous else np.ascontiguousarray(values)


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
