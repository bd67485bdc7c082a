"""A trained model on a device, with the graphs of one river network."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch

from xmsgl.errors import CheckpointError, DeviceMemoryError
from xmsgl.inputs.checks import refuse_unfit
from xmsgl.inputs.features import feature_variables
from xmsgl.inputs.scales import ScaleInputs
from xmsgl.network.numbering import close_order
from xmsgl.network.parts import Group, Part
from xmsgl.prediction.memories import Layout
from xmsgl.prediction.operators import Operators, whole_network
from xmsgl.prediction.prefetch import alone_on, prefetch, resolve_device
from xmsgl.prediction.spin_up import days_before
from xmsgl.schema.graphs import known_segments

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import xarray as xr

    from xmsgl.inputs.features import Feature
    from xmsgl.inputs.scales import FloatArray, Sources
    from xmsgl.inputs.windows import Window
    from xmsgl.models.file.model import Model
    from xmsgl.models.methods.base import Memory
    from xmsgl.models.parts.batch import Batch
    from xmsgl.util.scales import Scale

logger = logging.getLogger(__name__)

FREEZING = 0.0  # degC
# Fewest days in a piece, because starting a piece costs as much as a day.
_DAYS = 16
_SMALLEST = 2**20  # bytes of a piece that is not divided further


@dataclass(frozen=True, eq=False)
class _Group:
    """Some basins of a network, and the parts of them that are computed one after another."""

    fixed: xr.Dataset
    parts: list[tuple[Part, Operators]]
    whole: bool  # one part, in the order of the dataset
    kept: npt.NDArray[np.int64] | slice  # the reaches to return

    @classmethod
    def of(
        cls,
        group: Group,
        fixed: xr.Dataset,
        operators: Operators,
        reaches: int,
        only: npt.NDArray[np.int64] | None,
    ) -> _Group:
        kept = np.searchsorted(group.read.fine, group.kept.fine) if group.cut else slice(None)
        parts = operators.parts(reaches) if only is None else [operators.closure({"fine": only})]
        parts = _close(operators, parts)
        whole = len(parts) == 1 and all(np.array_equal(p, np.arange(p.size)) for p in parts[0])
        found = [(p, operators if whole else operators.restrict(p)) for p in parts]
        return cls(fixed, found, whole, kept)


class Engine:
    """A trained model ready to predict on one network, window by window."""

    #: Shape of what is predicted for one day and reach.
    tail: tuple[int, ...] = ()

    def __init__(
        self,
        model: Model,
        fixed: xr.Dataset,  # topology and static attributes
        device: str,
        *,
        reaches: int = 16_384,  # approximate number of reaches in a part of several basins
        piece: int = 128 * 2**20,  # approximate bytes of the arrays of a piece of days
        only: npt.NDArray[np.int64] | None = None,  # positions of the reaches to predict; others may be NaN
        groups: Sequence[Group] | None = None,  # basins, or pieces of one, to be run one by one
        look: Callable[[xr.Dataset], object]
        | None = None,  # called with the drivers of a group's first window
    ) -> None:
        target = self._device = resolve_device(device)
        self._fixed = fixed.compute()  # not load(): the arrays may be those of the caller's dataset
        self._spec = model.spec
        refuse_unfit(self._fixed, feature_variables(self._fixed, self._spec.features, dynamic=False))
        self._members = [module.to(target) for module in model.modules()]
        self._module = self._members[0]  # for what is equal in all members
        self.layout = Layout.of(self._members)
        self._piece = piece
        known = self._spec.network.recognise(known_segments(self._fixed))
        operators = Operators.build(self._fixed, self._spec.graph, self._spec.segments, target, known=known)
        self.groups = groups or whole_network(self._fixed)
        one = len(self.groups) == 1
        self._groups = [
            _Group.of(
                some,
                self._fixed if one else self._fixed.isel(some.read._asdict()),
                operators if one else operators.restrict(some.read, lossy=some.cut),
                reaches,
                only,
            )
            for some in self.groups
        ]
        self._looks = [look] * len(self.groups)

    def pack(self, memory: list[Memory], group: int = 0) -> list[npt.NDArray[np.float32]]:
        """Return what the model remembers of the nodes that a group keeps, in their order."""
        parts = [part for part, _ in self._groups[group].parts]
        return self.layout.pack(memory, parts, self.groups[group])

    def unpack(self, packed: Sequence[npt.NDArray[np.float32]], group: int = 0) -> list[Memory]:
        """Return a memory from the rows of all nodes that a group reads."""
        return self.layout.unpack(packed, [part for part, _ in self._groups[group].parts])

    def run(self, drivers: xr.Dataset, window: Window) -> npt.NDArray[np.float32]:
        """Predict the scored days of a window, (day, fine)."""
        return self.resume(drivers, window, None)[0]

    def resume(
        self, drivers: xr.Dataset, window: Window, memory: list[Memory] | None, group: int = 0
    ) -> tuple[npt.NDArray[np.float32], list[Memory]]:
        """Predict the scored days of a window in a group of basins, given the memory of the days before."""
        loaded, basins = drivers.compute(), self._groups[group]
        refuse_unfit(loaded, [str(name) for name in loaded.data_vars])
        look, self._looks[group] = self._looks[group], None
        if look is not None:
            look(loaded)
        n_days, length = loaded.sizes["time"], window.stop - window.start
        days = np.clip(np.arange(n_days - length - window.warmup, n_days, dtype=np.int64), 0, n_days - 1)
        inputs = self._inputs(loaded, basins.fixed)
        while True:
            try:
                with alone_on(self._device):
                    return self._predict(basins, days, inputs, window, memory)
            except torch.cuda.OutOfMemoryError as error:
                self._use_less(error)

    def _use_less(self, error: torch.cuda.OutOfMemoryError) -> None:
        """Halve the pieces of days that are on the GPU at once, if that is possible."""
        if not self._module.stepwise or self._piece <= _SMALLEST:
            msg = "the GPU is out of memory; use device='cpu', or give fewer basins at a time"
            raise DeviceMemoryError(msg) from error
        self._piece //= 2
        torch.cuda.empty_cache()
        logger.warning("the GPU is out of memory: trying again with arrays of %d MiB", self._piece >> 20)

    def _predict(
        self,
        basins: _Group,
        days: npt.NDArray[np.int64],
        inputs: dict[Scale, ScaleInputs],
        window: Window,
        memory: list[Memory] | None,
    ) -> tuple[npt.NDArray[np.float32], list[Memory]]:
        """Predict the parts of a group one after another."""
        length = window.stop - window.start
        values = np.full((length, basins.fixed.sizes["fine"], *self.tail), np.nan, np.float32)
        after: list[Memory] = []
        members = len(self._members)
        for number, (part, operators) in enumerate(basins.parts):
            nodes = part._asdict()
            some = inputs if basins.whole else {s: of.prune(nodes[s]) for s, of in inputs.items()}
            before = memory[number * members :][:members] if memory else []
            left = [_moved(state, operators.coarse.device) for state in before]
            first = -window.warmup
            for batch in prefetch(self._pieces(days, part, some), operators.batch, operators.coarse.device):
                output, left = self._stream(batch, left)
                if (stop := first + len(output)) > 0:
                    scored = slice(max(first, 0), stop)
                    reaches = slice(None) if basins.whole else part.fine
                    values[scored, reaches] = self._values(output[-stop:])
                first = stop
            after += [_moved(state, torch.device("cpu")) for state in left]
        return values[:, basins.kept], after

    def _stream(self, batch: Batch, before: list[Memory]) -> tuple[torch.Tensor, list[Memory]]:
        """Predict some days with every member; return the standardised mean and the memories."""
        memories: Sequence[Memory | None] = before or [None] * len(self._members)
        streamed = [each.stream(batch, state) for each, state in zip(self._members, memories, strict=True)]
        total = reduce(torch.add, (output for output, _ in streamed))
        return total / len(streamed), [state for _, state in streamed]

    def _inputs(self, drivers: xr.Dataset, fixed: xr.Dataset) -> dict[Scale, ScaleInputs]:
        """Return the features of each scale that the model reads."""
        inputs: dict[Scale, ScaleInputs] = {}
        for scale in self._module.input_scales:  # the coarse one first
            coarse = inputs.get("coarse")
            inputs[scale] = ScaleInputs(drivers, self._spec.features, scale, fixed, coarse=coarse)
            inputs[scale].use(self._spec.scaling[scale])
        return inputs

    def _pieces(
        self, days: npt.NDArray[np.int64], part: Part, inputs: dict[Scale, ScaleInputs]
    ) -> Iterator[dict[Scale, FloatArray | Sources]]:
        """Yield the features of a few days at a time, or of all days for a model that needs whole windows."""
        features = len(self._spec.features)
        if self._module.fused and inputs["fine"].inherited:
            # Inputs and hidden states of the segments, and predictions of the reaches.
            a_day = 4 * features * part.coarse.size + part.fine.size
        else:
            a_day = features * max(some.n for some in inputs.values())
        step = max(_DAYS, self._piece // max(1, 4 * a_day)) if self._module.stepwise else len(days)
        for first in range(0, len(days), step):
            some = days[None, first : first + step]
            yield {scale: of.sources(some) or of.gather(some) for scale, of in inputs.items()}

    def _values(self, output: torch.Tensor) -> npt.NDArray[np.float32]:
        """Convert the standardised output to degC, (day, fine)."""
        scaling = self._spec.scaling[self._module.prediction_scale]
        degrees = output[:, :, 0].float().mul_(scaling.label_deviation).add_(scaling.label_mean)
        found: npt.NDArray[np.float32] = (
            refuse_infinite(degrees, "temperature").clamp_(min=FREEZING).cpu().numpy()
        )
        return found


def refuse_infinite(output: torch.Tensor, what: str) -> torch.Tensor:
    """Return what a model gives, if it is finite."""
    if not output.isfinite().all():
        msg = (
            f"the model's {what} is not finite, although its inputs are: its weights or scaling are "
            "wrong; copy its file again, or train a new model"
        )
        raise CheckpointError(msg)
    return output


def split_inputs(ds: xr.Dataset, features: Sequence[Feature]) -> tuple[xr.Dataset, xr.Dataset]:
    """Split a dataset into the drivers of a model and the variables without a time dimension."""
    others = [name for name in ds.coords if name not in {"time", "coarse", "fine"}]
    drivers = ds[feature_variables(ds, features, dynamic=True)].drop_vars(others, errors="ignore")
    return drivers, ds[[name for name in ds.variables if "time" not in ds[name].dims]]


def window_positions(window: Window, features: Sequence[Feature], n_days: int) -> npt.NDArray[np.int64]:
    """Return the positions of the days of a window, of its warm-up and of the trailing means before.

    Days before the record are replaced by days of the record, see :mod:`xmsgl.prediction.spin_up`.
    """
    memory = max(feature.days for feature in features) - 1
    days = np.arange(window.start - window.warmup - memory, window.stop, dtype=np.int64)
    return days_before(days, n_days) if days[0] < 0 else days


def window_days(drivers: xr.Dataset, window: Window, features: Sequence[Feature]) -> xr.Dataset:
    """Select the days of :func:`window_positions`, without a copy where they follow each other."""
    days = window_positions(window, features, drivers.sizes["time"])
    first = window.stop - days.size
    return drivers.isel(time=days if first < 0 else slice(first, window.stop))


def _close(operators: Operators, parts: list[Part]) -> list[Part]:
    """Order the nodes of each part so that nodes are close to those that they read."""
    places = [np.argsort(close_order(of.to_scipy())) for of in (operators.coarse, operators.fine)]
    return [
        Part(*(nodes[np.argsort(place[nodes])] for nodes, place in zip(part, places, strict=True)))
        for part in parts
    ]


def _moved(memory: Memory, device: torch.device) -> Memory:
    return {scale: tuple(part.to(device) for part in state) for scale, state in memory.items()}
