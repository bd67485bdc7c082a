"""The features of one scale, without a copy of inherited drivers for each reach."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from xmsgl import schema
from xmsgl.inputs.days import StoredDays, fetch
from xmsgl.inputs.features import TRANSFORMS, Feature, Scaling, trailing_mean
from xmsgl.inputs.neighbours import OWN

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import xarray as xr

    from xmsgl.inputs.days import StoredDriver, StoredDrivers
    from xmsgl.util.scales import Scale

__all__ = ["FloatArray", "IntArray", "ScaleInputs", "Sources"]

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]

# Numbers gathered at a time: 1 MiB, which fits the L2 cache.
_PIECE = 2**18
# Of less than one in so many sources, values are read one by one: rows of all sources would be copied.
_FEW = 16
# Days whose moments are summed before they are joined to those of the days before; on disk or in memory, so
# that the sums are the same.
_SUMMED = 256


@dataclass(frozen=True)
class _Column:
    """One feature of one scale."""

    values: FloatArray | StoredDays  # (time, source) of a driver, (node,) of a static attribute
    inherited: bool = False  # the sources of a driver are segments, not the nodes of the scale
    offset: FloatArray | None = None  # added to the values of a driver, (node,)

    def prune(self, nodes: IntArray) -> _Column:
        values = self.values
        if not isinstance(values, StoredDays) and values.ndim == 1:
            values = values[nodes]
        return _Column(values, self.inherited, None if self.offset is None else self.offset[nodes])


class Sources(NamedTuple):
    """Features of reaches: ``rows[:, place[reach], window] + fixed[reach]``."""

    rows: FloatArray  # standardised drivers of the segments, (day, segment, window, feature)
    place: IntArray  # position in `rows` of each reach's segment, (reach,)
    fixed: FloatArray  # standardised static attributes and offsets, (reach, feature)


class ScaleInputs:
    """The features of one scale of a dataset, in the order of `features`.

    Drivers are in memory, or those of `stored` and read as needed. A reach that inherits a driver keeps only
    the position of its segment; its values exist for the days of one batch at a time. Topology and static
    attributes are those of `statics`, by default of `ds`; with the `coarse` inputs given, the drivers
    inherited from them are shared.
    """

    def __init__(
        self,
        ds: xr.Dataset,
        features: Sequence[Feature],
        scale: Scale,
        statics: xr.Dataset | None = None,
        *,
        coarse: ScaleInputs | None = None,
        stored: StoredDrivers | None = None,
    ) -> None:
        fixed = ds if statics is None else statics
        self.features = tuple(features)
        self.n = int(fixed.sizes[scale])
        # Sources of each node's drivers: its segment, or its own position (None: all nodes, in order).
        self._segment = schema.segment_positions(fixed) if scale == "fine" else None
        self._node: IntArray | None = None
        shared = [None] * len(self.features) if coarse is None else [c.values for c in coarse._columns]
        self._columns: list[_Column] = [
            _column(ds if f.dynamic else fixed, fixed, f, scale, self._segment, values, stored)
            for f, values in zip(self.features, shared, strict=True)
        ]
        self._own = [k for k, feature in enumerate(self.features) if feature.name in OWN]
        self._mean = np.zeros(len(self.features), np.float32)
        self._deviation = np.ones(len(self.features), np.float32)

    def fit(self, days: npt.NDArray[np.bool_]) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Return mean and deviation of every feature over some days (time,) and all nodes."""
        tallies = {k: _Tally() for k, column in enumerate(self._columns) if column.values.ndim == 2}
        for first in range(0, days.size, _SUMMED):
            chosen = np.flatnonzero(days[first : first + _SUMMED])
            if chosen.size:
                self._fetch(first + chosen[None])
            for k, tally in tallies.items() if chosen.size else ():
                tally.add(_between(self._columns[k].values, first, first + chosen[-1] + 1)[chosen])
        pairs = [
            _moments(column, self._segment if column.inherited else self._node, tallies.get(k))
            for k, column in enumerate(self._columns)
        ]
        return tuple(mean for mean, _ in pairs), tuple(deviation for _, deviation in pairs)

    def use(self, scaling: Scaling) -> None:
        """Set the scaling that :meth:`gather` applies."""
        self._mean = np.asarray(scaling.mean, np.float32)
        self._deviation = np.asarray(scaling.deviation, np.float32)

    def prune(self, nodes: IntArray) -> ScaleInputs:
        """Return the inputs of some nodes, with the scaling in use; drivers are shared, not copied."""
        few = copy.copy(self)
        few.n = nodes.size
        few._segment = None if self._segment is None else self._segment[nodes]
        few._node = nodes if self._node is None else self._node[nodes]
        few._columns = [column.prune(nodes) for column in self._columns]
        return few

    def used(self, scale: Scale) -> IntArray:
        """Return the positions of the nodes of a scale whose drivers are read, ascending."""
        found = [np.zeros(0, np.int64)]
        if scale == "coarse" and any(column.inherited for column in self._columns):
            found.append(self._inherited()[0])
        if (scale == "fine") == (self._segment is not None):
            found.append(np.arange(self.n) if self._node is None else self._node)
        return np.unique(np.concatenate(found))

    def reading(self, drivers: Mapping[int, StoredDriver]) -> ScaleInputs:
        """Return the same inputs with other drivers, by the identity of those that they replace."""
        other = copy.copy(self)
        other._columns = [
            replace(column, values=replace(column.values, driver=drivers[id(column.values.driver)]))
            if isinstance(column.values, StoredDays)
            else column
            for column in self._columns
        ]
        return other

    def gather(self, days: IntArray, hidden: npt.NDArray[np.bool_] | None = None) -> FloatArray:
        """Return the standardised features of days (window, day) as (day, node, window, feature).

        Where segments are `hidden`, (window, segment), their own anomalies are 0.
        """
        windows, length = days.shape
        out = np.empty((length, self.n, windows, len(self.features)), np.float32)
        fixed, inherited = self._fixed()[:, None], self._inherited()
        # A few days at a time, so that they are completed in the cache; from disk a window at once.
        step = length if self._fetch(days) else max(1, _PIECE // max(1, out[:1].size))
        for first in range(0, length, step):
            some, piece = days[:, first : first + step], out[first : first + step]
            self._inherit(some, piece, *inherited)
            piece += fixed
            for k, column in enumerate(self._columns):
                if column.values.ndim == 2 and not column.inherited:
                    piece[..., k] = self._standard(k, some, self._node)
        if hidden is not None:
            owner = self._segment if self._segment is not None else self._node
            gone = (hidden if owner is None else hidden[:, owner]).T
            for k in self._own:
                out[..., k][:, gone] = self._zero(k)
        return out

    @property
    def inherited(self) -> bool:
        """Whether all drivers come from segments."""
        return all(column.inherited or column.values.ndim == 1 for column in self._columns)

    def sources(self, days: IntArray, hidden: npt.NDArray[np.bool_] | None = None) -> Sources | None:
        """Return the parts of :meth:`gather` where all drivers are inherited, else None."""
        if not self.inherited:
            return None
        segments, place = self._inherited()
        rows, fixed = self._rows(days, segments), self._fixed()
        if hidden is not None:
            gone, own = hidden[:, segments].T, np.zeros((segments.size, 1), np.float32)
            for k in self._own:
                own[place, 0] = fixed[:, k]  # reaches have that of their segment
                rows[..., k] = np.where(gone, self._zero(k), own)
                fixed[:, k] = 0.0
        return Sources(rows, place, fixed)

    @property
    def hides(self) -> bool:
        """Whether there are features that are hidden at random in training."""
        return bool(self._own)

    def _zero(self, k: int) -> np.float32:
        """Return the standardised value of 0."""
        return np.float32(-self._mean[k] * (np.float32(1.0) / self._deviation[k]))

    def _fetch(self, days: IntArray) -> bool:
        """Read the drivers on disk of some windows (window, day) at once; say whether there are any."""
        stored = [column.values for column in self._columns if isinstance(column.values, StoredDays)]
        fetch(stored, [(int(some[0]), int(some[-1]) + 1) for some in days])
        return bool(stored)

    def _fixed(self) -> FloatArray:
        """Return what does not change in time, (node, feature): static attributes and offsets of drivers."""
        fixed = np.zeros((self.n, len(self.features)), np.float32)
        for k, column in enumerate(self._columns):
            factor = np.float32(1.0) / self._deviation[k]
            if not isinstance(column.values, StoredDays) and column.values.ndim == 1:
                fixed[:, k] = (column.values - self._mean[k]) * factor
            elif column.offset is not None:
                fixed[:, k] = column.offset * factor
        return fixed

    def _inherited(self) -> tuple[IntArray, IntArray]:
        """Return the segments that nodes inherit from, and each node's position among them."""
        segment = np.zeros(0, np.int64) if self._segment is None else self._segment
        used = np.zeros(segment.max(initial=-1) + 1, np.bool_)
        used[segment] = True
        return np.flatnonzero(used), (np.cumsum(used) - 1)[segment]

    def _inherit(self, days: IntArray, out: FloatArray, segments: IntArray, place: IntArray) -> None:
        """Write the drivers that reaches inherit, and zeros for all other features."""
        if not any(column.inherited for column in self._columns):
            out[...] = 0.0
            return
        for day, values in zip(out, self._rows(days, segments), strict=True):
            np.take(values, place, axis=0, out=day, mode="clip")  # "raise" copies to a buffer first

    def _rows(self, days: IntArray, segments: IntArray) -> FloatArray:
        """Return the inherited drivers of segments, else zeros, (day, segment, window, feature)."""
        self._fetch(days)
        rows = np.zeros((days.shape[1], segments.size, len(days), len(self.features)), np.float32)
        for k, column in enumerate(self._columns):
            if column.inherited:
                rows[..., k] = self._standard(k, days, segments)
        return rows

    def _standard(self, k: int, days: IntArray, sources: IntArray | None) -> FloatArray:
        """Return a standardised driver on some days, (day, source, window)."""
        column = self._columns[k].values
        if isinstance(column, StoredDays):
            values: FloatArray = column.read(days, sources)
        elif sources is not None and _FEW * sources.size < column.shape[1]:
            values = column[days[..., None], sources]
        else:
            values = column[days] if sources is None else column[days].take(sources, axis=-1)
        values -= self._mean[k]
        values *= np.float32(1.0) / self._deviation[k]
        return values.transpose(1, 2, 0)


def _column(
    ds: xr.Dataset,
    fixed: xr.Dataset,
    feature: Feature,
    scale: Scale,
    segment: IntArray | None,
    coarse: FloatArray | StoredDays | None,
    stored: StoredDrivers | None,
) -> _Column:
    own = f"{feature.name}_{scale}"
    inherits = own not in ds
    name, dim = (f"{feature.name}_coarse", "coarse") if inherits else (own, scale)
    values = coarse if inherits else None
    if stored is not None and feature.dynamic:
        values = stored.days(name, feature)
    elif values is None:
        raw = np.asarray(ds[name].transpose(*(("time", dim) if feature.dynamic else (dim,))).values)
        raw = trailing_mean(raw, feature.days) if feature.days > 1 else raw
        values = np.ascontiguousarray(TRANSFORMS[feature.transform](raw), dtype=np.float32)
    if not inherits:
        return _Column(values)
    if not isinstance(values, StoredDays) and not feature.dynamic:
        return _Column(values[segment])
    offset = schema.fine_offset(fixed, feature.name) if feature.transform == "identity" else None
    return _Column(values, inherited=True, offset=None if offset is None else np.asarray(offset, np.float32))


class _Tally:
    """Moments of each source over days that are added block by block."""

    def __init__(self) -> None:
        self.count = 0
        self.mean: npt.NDArray[np.float64] = np.zeros(0)
        self.variance: npt.NDArray[np.float64] = np.zeros(0)

    def add(self, values: FloatArray) -> None:
        """Add some days, (day, source)."""
        mean = values.mean(axis=0, dtype=np.float64)
        variance = values.var(axis=0, dtype=np.float64)
        before, self.count = self.count, self.count + len(values)
        if not before:
            self.mean, self.variance = mean, variance
            return
        share, apart = len(values) / self.count, mean - self.mean
        self.mean = self.mean + share * apart
        self.variance = (1 - share) * self.variance + share * variance + share * (1 - share) * apart**2


def _between(values: FloatArray | StoredDays, first: int, stop: int) -> FloatArray:
    """Return the values of all sources on consecutive days."""
    return values.between(first, stop) if isinstance(values, StoredDays) else values[first:stop]


def _moments(column: _Column, source: IntArray | None, tally: _Tally | None) -> tuple[float, float]:
    """Return mean and deviation over days and nodes, from the moments of each source."""
    if tally is not None:
        mean, variance = tally.mean, tally.variance
        if source is not None:
            mean, variance = mean[source], variance[source]
    else:
        mean = np.asarray(column.values, np.float64)
        variance = np.zeros_like(mean)
    if column.offset is not None:
        mean = mean + column.offset
    overall = float(mean.mean())
    deviation = float(np.sqrt((variance + (mean - overall) ** 2).mean()))
    # The deviation of a constant feature is rounding error.
    return overall, deviation if deviation > 1e-6 * (1.0 + abs(overall)) else 1.0
