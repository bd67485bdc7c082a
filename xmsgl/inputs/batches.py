"""Labels and batches of windows for the training loop."""

from __future__ import annotations

import copy
import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from dask.utils import format_bytes

from xmsgl.errors import InvalidArgumentError, shorten
from xmsgl.inputs.days import BlockCache, StoredDrivers, driver_bytes
from xmsgl.inputs.features import Feature, Scaling, feature_variables
from xmsgl.inputs.scales import FloatArray, IntArray, ScaleInputs, Sources
from xmsgl.inputs.validation import DayMask, Split, Use, label_values
from xmsgl.inputs.windows import Window, cut_windows
from xmsgl.schema.names import LABEL, PROCESS_COARSE
from xmsgl.util.memory import training_memory
from xmsgl.util.scales import SCALES, Scale

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import xarray as xr
    from numpy.typing import NDArray

logger = logging.getLogger(__name__)

# Reaches of a batch that learn from carried labels: every reach has one, and attention is expensive.
_CARRIED = 64
# Share of the segments whose own anomalies are hidden in a window of training.
_HIDDEN = 0.5


@dataclass(frozen=True)
class HostBatch:
    """Windows of one batch as NumPy arrays, for the scales with labels in it."""

    inputs: dict[Scale, FloatArray | Sources]  # standardised, (day, node, window, feature)
    nodes: dict[Scale, IntArray]  # positions of the nodes with at least one label
    labels: dict[Scale, FloatArray]  # standardised, (day, node, window), NaN where there is none
    name: str  # first days of the windows, for messages
    scored: DayMask | None = None  # (day, window), where coarse labels are still to be carried to reaches


class TrainingData:
    """Inputs and labels of training and of validation of a valid dataset.

    They are loaded into memory, except lazy drivers that are larger than the limit of `cache`, by default the
    option ``training_memory``: of these, blocks of days are read as needed.

    `scales` are those whose labels the method uses, `context` those whose inputs the fine tasks need
    without their labels, and `seed` draws the order of each epoch. Without `scaling`, that of the model
    training starts from, it is fitted to the training labels and days: one for both scales, or with
    `own_scaling` one for each, where a scale without labels takes the label moments of the other.
    """

    def __init__(
        self,
        ds: xr.Dataset,
        features: Sequence[Feature],
        *,
        scales: Sequence[Scale],
        window: int,
        warmup: int,
        split: Split,
        batch: int,
        seed: int,
        context: Sequence[Scale] = (),
        scaling: Mapping[Scale, Scaling] | None = None,
        own_scaling: bool = False,
        cache: BlockCache | None = None,
    ) -> None:
        self.scales, self.length, self.batch, self.seed = tuple(scales), window, batch, seed
        self.share = 0, 1  # this process, and how many divide the windows of each step among them
        self._context = tuple(scale for scale in SCALES if scale in {*scales, *context})
        cache = cache or BlockCache(training_memory())
        self._stored = _stored(ds, features, cache)
        drivers, statics = (feature_variables(ds, features, dynamic=dynamic) for dynamic in (True, False))
        labels = [name for scale in SCALES if (name := f"{LABEL}_{scale}") in ds]
        extra = [name for name in ds.variables if "time" not in ds[name].dims]
        kept = drivers if self._stored is None else []
        # Not load(): that would also fill the lazy arrays of the dataset the caller holds.
        loaded = ds[[*dict.fromkeys([*kept, *statics, *labels, *extra])]].compute()
        self._process = label_values(ds, "coarse", PROCESS_COARSE)
        self.n_days, self._segments = int(ds.sizes["time"]), int(ds.sizes["coarse"])
        self.time = pd.DatetimeIndex(ds["time"].values)
        self.labels = {scale: label_values(loaded, scale) for scale in self.scales}
        self._windows = cut_windows(self.n_days, window, warmup)
        self.training_days, self.validation_days = split.training, split.validation
        everywhere = {scale: np.ones(ds.sizes[scale], bool) for scale in SCALES}
        simulated = Use(~split.validation, everywhere, either=False)
        self._uses = {"training": split.learned, "validation": split.kept, "process": simulated}
        self._present = {
            name: {s: self._learns(name, s).any(axis=1) for s in self.labels}
            for name in self._uses
            if name != "process"
        }
        days = loaded if self._stored is None else ds
        self.inputs = {
            scale: ScaleInputs(days, features, scale, loaded, stored=self._stored) for scale in SCALES
        }
        self._kept = {scale: np.arange(inputs.n) for scale, inputs in self.inputs.items()}
        fit = self._fit_each if own_scaling else self._fit
        self.scaling = fit() if scaling is None else dict(scaling)
        for scale, inputs in self.inputs.items():
            inputs.use(self.scaling[scale])

    def training_batches(self, epoch: int, scales: Sequence[Scale] | None = None) -> Iterator[HostBatch]:
        """Yield the windows with training labels, in an order drawn from seed and epoch."""
        for windows in self._shuffled(self._labelled("training", scales), epoch):
            hidden = self._hidden(windows, epoch)
            yield self._assemble(windows, "training", scales or self.scales, self.labels, hidden)

    @property
    def on_disk(self) -> bool:
        """Whether drivers are read from disk as needed."""
        return self._stored is not None

    @property
    def steps(self) -> int:
        """Number of batches of an epoch of training labels."""
        return -(-len(self._labelled("training", None)) // self.batch)

    def process_batches(self, epoch: int) -> Iterator[HostBatch]:
        """Yield all windows with the process model's coarse temperature as labels."""
        source: dict[Scale, FloatArray] = {"coarse": self._process}
        for windows in self._shuffled(self._windows, epoch):
            yield self._assemble(windows, "process", ("coarse",), source)

    def unlabelled_batches(self, epoch: int, context: Sequence[Scale]) -> Iterator[HostBatch]:
        """Yield all windows with reaches drawn anew, whose labels are still to be carried from segments."""
        rng = np.random.default_rng([self.seed, epoch, 1])
        n = self.inputs["fine"].n
        for windows in self._shuffled(self._windows, epoch):
            days, scored = self._days(windows)
            scored &= ~self.validation_days[days]
            inputs = {scale: self._read(scale, days) for scale in context}
            nodes = np.sort(rng.choice(n, min(n, _CARRIED), replace=False)).astype(np.int64)
            yield HostBatch(inputs, {"fine": nodes}, {}, self._name(windows), scored.T)

    def validation_batches(self, scales: Sequence[Scale] | None = None) -> Iterator[HostBatch]:
        """Yield the windows with validation labels of some scales, in order of time."""
        for windows in self._groups(self._labelled("validation", scales)):
            yield self._assemble(windows, "validation", scales or self.scales, self.labels)

    def labelled_nodes(self) -> dict[Scale, IntArray]:
        """Return the positions of the nodes with a label on any day, by scale."""
        return {scale: self._labelled_nodes(scale, values)[1] for scale, values in self.labels.items()}

    def prune(self, keep: Mapping[Scale, IntArray], *, lossy: bool = False) -> TrainingData:
        """Return the same days and scaling of some nodes; refuse to leave out labels, unless `lossy`."""
        if all(keep[scale].size == self.inputs[scale].n for scale in SCALES):
            return self
        few = copy.copy(self)
        few._kept = {scale: self._kept[scale][keep[scale]] for scale in SCALES}
        for scale, nodes in self.labelled_nodes().items():
            if (lost := np.setdiff1d(nodes, few._kept[scale])).size and not lossy:
                msg = f"{scale} nodes {shorten(lost.tolist())} have labels and cannot be left out"
                raise InvalidArgumentError(msg)
        few.inputs = {scale: inputs.prune(keep[scale]) for scale, inputs in self.inputs.items()}
        if self._stored is not None:
            used = {s: np.unique(np.concatenate([i.used(s) for i in few.inputs.values()])) for s in SCALES}
            drivers = self._stored.restrict(used)
            few.inputs = {scale: inputs.reading(drivers) for scale, inputs in few.inputs.items()}
        if lossy:
            few._present = {
                name: {s: few._learns(name, s)[:, few._kept[s]].any(axis=1) for s in days}
                for name, days in self._present.items()
            }
        return few

    def has_training_label(self, nodes: Mapping[Scale, IntArray], scales: Sequence[Scale]) -> bool:
        """Whether any of some nodes of the dataset has a label to train with at some scales."""
        return any(self._learns("training", s)[:, nodes[s]].any() for s in scales if s in self.scales)

    def places(self, nodes: Mapping[Scale, IntArray]) -> dict[Scale, IntArray]:
        """Return the positions of some nodes of the dataset among those that are kept."""
        return {s: np.flatnonzero(np.isin(self._kept[s], nodes[s])).astype(np.int64) for s in SCALES}

    def counts(self) -> dict[str, int]:
        """Return the number of labels, by scale and use."""
        return {
            f"{use}_{scale}": int(self._learns(use, scale).sum())
            for scale in self.labels
            for use in ("training", "validation")
        }

    def _fit(self) -> dict[Scale, Scaling]:
        # One scaling for both scales: the same water has the same number on either graph, so what the cell
        # learns on segments holds on reaches. It is fitted to the coarse scale where the method uses it,
        # because the mean of few fine labels depends on their season and place.
        mean, deviation = self.inputs[self._context[0]].fit(self.training_days)
        used = [self._learned(scale) for scale in self.labels]
        shared = Scaling(mean, deviation, *_label_moments(np.concatenate(used)))
        return dict.fromkeys(SCALES, shared)

    def _fit_each(self) -> dict[Scale, Scaling]:
        used = {scale: self._learned(scale) for scale in self.labels}
        moments = {scale: _label_moments(values) for scale, values in used.items() if values.size}
        other = next(iter(moments.values()))  # split_labels refuses a dataset without labels
        return {
            scale: Scaling(*self.inputs[scale].fit(self.training_days), *moments.get(scale, other))
            for scale in SCALES
        }

    def _learned(self, scale: Scale) -> FloatArray:
        """Return the finite training labels of a scale, (label,)."""
        return self.labels[scale][self._learns("training", scale)]

    def _learns(self, use: str, scale: Scale) -> NDArray[np.bool_]:
        """Return where a scale has labels of some use, (day, node)."""
        return np.isfinite(self.labels[scale]) & np.asarray(self._uses[use].mask(scale))

    def _labelled(self, use: str, scales: Sequence[Scale] | None) -> list[Window]:
        present = np.any([self._present[use][scale] for scale in scales or self.scales], axis=0)
        return [w for w in self._windows if present[w.start : w.stop].any()]

    def _labelled_nodes(self, scale: Scale, values: FloatArray) -> tuple[IntArray, IntArray]:
        """Find the kept nodes with finite values (day, node): among all nodes, and among those kept."""
        kept, finite = self._kept[scale], np.flatnonzero(np.isfinite(values).any(axis=0))
        labelled = np.isin(kept, finite)
        return kept[labelled], np.flatnonzero(labelled).astype(np.int64)

    def _shuffled(self, windows: Sequence[Window], epoch: int) -> Iterator[Sequence[Window]]:
        order = np.random.default_rng([self.seed, epoch]).permutation(len(windows))
        return self._groups([windows[i] for i in order])

    def _groups(self, windows: Sequence[Window]) -> Iterator[Sequence[Window]]:
        own, among = self.share
        step = self.batch * among
        for first in range(0, len(windows), step):
            some = windows[first : first + step]
            # A process for which no window is left takes part with one that has no days to learn from.
            yield some[own::among] or [replace(some[0], stop=some[0].start)]

    def _days(self, windows: Sequence[Window]) -> tuple[IntArray, DayMask]:
        """Return the positions of the days of some windows and which of them are scored, (window, day)."""
        days = np.stack([w.days(self.length, self.n_days) for w in windows])
        return days, np.stack([w.scored(self.length) for w in windows])

    def _name(self, windows: Sequence[Window]) -> str:
        return ", ".join(str(self.time[w.start].date()) for w in windows)

    def _hidden(self, windows: Sequence[Window], epoch: int) -> NDArray[np.bool_] | None:
        """Draw the segments whose own anomalies are hidden, (window, segment), the same in any order."""
        if not self.inputs["coarse"].hides:
            return None
        draws = [np.random.default_rng([self.seed, epoch, w.start, 3]) for w in windows]
        return np.array([draw.random(self._segments) < _HIDDEN for draw in draws])

    def _read(
        self, scale: Scale, days: IntArray, hidden: NDArray[np.bool_] | None = None
    ) -> FloatArray | Sources:
        """Return the features of some windows, as sources where all drivers are inherited."""
        inputs = self.inputs[scale]
        return inputs.sources(days, hidden) or inputs.gather(days, hidden)

    def _assemble(
        self,
        windows: Sequence[Window],
        use: str,
        scales: Sequence[Scale],
        source: Mapping[Scale, FloatArray],
        hidden: NDArray[np.bool_] | None = None,
    ) -> HostBatch:
        days, scored = self._days(windows)
        inputs: dict[Scale, FloatArray | Sources] = {}
        nodes: dict[Scale, IntArray] = {}
        labels: dict[Scale, FloatArray] = {}
        for scale in scales:
            seen = source[scale][days[scored]]  # a copy, (day, node)
            seen[~self._uses[use].mask(scale, days[scored])] = np.nan
            present, places = self._labelled_nodes(scale, seen)
            if not present.size:
                continue
            chosen = np.full((*scored.shape, present.size), np.float32(np.nan))  # (window, day, node)
            chosen[scored] = seen[:, present]
            scaling = self.scaling[scale]
            standard = (chosen - scaling.label_mean) / scaling.label_deviation
            nodes[scale] = places
            labels[scale] = np.ascontiguousarray(standard.transpose(1, 2, 0), dtype=np.float32)
            inputs[scale] = self._read(scale, days, hidden)
        if "fine" in labels and "coarse" in self._context and "coarse" not in inputs:
            inputs["coarse"] = self._read("coarse", days, hidden)
        return HostBatch(inputs, nodes, labels, self._name(windows))


def _stored(ds: xr.Dataset, features: Sequence[Feature], cache: BlockCache) -> StoredDrivers | None:
    """Return the drivers if they are to stay on disk."""
    lazy = any(ds[name].chunks is not None for name in feature_variables(ds, features, dynamic=True))
    size = driver_bytes(ds, features)
    if not lazy or size <= cache.limit:
        return None
    logger.info(
        "the drivers take %s in memory, more than training_memory, %s: they are read as needed",
        *(format_bytes(size), format_bytes(cache.limit)),
    )
    return StoredDrivers(ds, features, cache)


def _label_moments(values: FloatArray) -> tuple[float, float]:
    finite = values[np.isfinite(values)].astype(np.float64)
    deviation = float(finite.std())
    return float(finite.mean()), deviation if deviation > 1e-6 else 1.0
