"""The memory of a model after some day as a small dataset, so that a later run continues the record.

It holds what the network remembers of each node, and the last days of the drivers, which trailing means read.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
import xarray as xr

from xmsgl.errors import InvalidArgumentError, ModelMismatchError
from xmsgl.util.history import stamp
from xmsgl.util.scales import SCALES

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Mapping, Sequence

    import numpy.typing as npt

    from xmsgl.models.file.model import Model
    from xmsgl.models.methods.base import Memory, NetworkModel
    from xmsgl.network.parts import Group, Part
    from xmsgl.util.scales import Scale

__all__ = ["Continued", "Layout"]

_NAME, _VERSION = "xmsgl_memory", 1  # attribute with the version of the format
_DAY = pd.Timedelta(1, "D")
_AGAIN = "make it again with ds.msgl.downscale(model, return_state=True)"


@dataclass(frozen=True)
class _Entry:
    """One tensor of the memory of one member, as columns of numbers."""

    member: int
    scale: Scale
    axis: int | None  # of the nodes
    shape: tuple[int, ...]  # without them

    @property
    def columns(self) -> int:
        return prod(self.shape)

    def rows(self, tensor: torch.Tensor) -> npt.NDArray[np.float32]:
        """Return (node, column), or (column,) where there are no nodes."""
        if self.axis is None:
            return tensor.numpy().reshape(-1)
        moved: npt.NDArray[np.float32] = tensor.movedim(self.axis, 0).reshape(-1, self.columns).numpy()
        return moved

    def tensor(self, rows: npt.NDArray[np.float32]) -> torch.Tensor:
        """Undo :meth:`rows`."""
        if self.axis is None:
            return torch.from_numpy(rows.reshape(self.shape))
        return torch.from_numpy(rows).reshape(-1, *self.shape).movedim(0, self.axis).contiguous()


@dataclass(frozen=True)
class Layout:
    """The tensors that the members of a model remember, in the order of their memories."""

    entries: tuple[_Entry, ...]

    @classmethod
    def of(cls, members: Sequence[NetworkModel]) -> Layout:
        """Read the shapes from the modules; what grows with the nodes is their axis."""
        entries = []
        for number, member in enumerate(members):
            few, more = (member.memory_shapes(dict.fromkeys(SCALES, n)) for n in (1, 2))
            for scale in SCALES:
                for one, two in zip(few.get(scale, []), more.get(scale, []), strict=True):
                    axis = next((k for k, (a, b) in enumerate(zip(one, two, strict=True)) if a != b), None)
                    shape = one if axis is None else one[:axis] + one[axis + 1 :]
                    entries.append(_Entry(number, scale, axis, shape))
        return cls(tuple(entries))

    def pack(self, memories: Sequence[Memory], parts: Sequence[Part], group: Group) -> list[Any]:
        """Join the memories of all members in each part of what a group keeps; NaN where a node has none."""
        members = len(memories) // len(parts)
        packed: list[Any] = []
        for k, entry in _numbered(self.entries):
            of_parts = [each[entry.scale][k] for each in memories[entry.member :: members]]
            if entry.axis is None:
                packed.append(entry.rows(of_parts[0]))
                continue
            kept, read = (getattr(nodes, entry.scale) for nodes in group)
            joined = np.full((read.size, entry.columns), np.nan, np.float32)
            for part, tensor in zip(parts, of_parts, strict=True):
                joined[getattr(part, entry.scale)] = entry.rows(tensor)
            packed.append(joined[np.searchsorted(read, kept)] if group.cut else joined)
        return packed

    def unpack(self, packed: Sequence[Any], parts: Sequence[Part]) -> list[Memory]:
        """Undo :meth:`pack`, for the nodes that a group reads, in parts that may be others."""
        members = 1 + max((entry.member for entry in self.entries), default=-1)
        memories: list[Memory] = []
        for part in parts:
            own: list[Memory] = [{} for _ in range(members)]
            for values, entry in zip(packed, self.entries, strict=True):
                rows = values if entry.axis is None else values[getattr(part, entry.scale)]
                own[entry.member][entry.scale] = (
                    *own[entry.member].get(entry.scale, ()),
                    entry.tensor(np.ascontiguousarray(rows, np.float32)),
                )
            memories += own
        return memories

    def names(self, part: int) -> list[str]:
        """Name the variables of a part of a model in a state."""
        return [f"memory_{part}_{entry.member}_{entry.scale}_{k}" for k, entry in _numbered(self.entries)]

    def label(self, packed: Sequence[Any], part: int) -> dict[str, xr.Variable]:
        """Return the variables of a part of a model."""
        return {
            name: xr.Variable((*([] if e.axis is None else [e.scale]), f"number_{e.columns}"), values)
            for name, values, e in zip(self.names(part), packed, self.entries, strict=True)
        }


@dataclass(eq=False)
class Continued:
    """The state from which a run of a model starts, and the one that it leaves."""

    model: Model
    ds: xr.Dataset
    start: xr.Dataset | None = None
    left: dict[str, xr.Variable] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse a model that can not be continued, and a state of another model, network or day."""
        if any(not module.stepwise for part in self.model.parts for module in part.modules()):
            msg = (
                f"model {self.model.sha256[:12]} predicts a day from later days, too, so that it has no "
                "state; train one with fine observations"
            )
            raise InvalidArgumentError(msg)
        if self.start is not None:
            _check_kind(self.start, self.model, self.ds)
            _check_content(self.start, self.model, self.memory)

    @property
    def days(self) -> int:
        """Number of days since the record began, before this run."""
        return 0 if self.start is None else int(self.start.attrs["days"])

    @property
    def memory(self) -> int:
        """Number of days of the drivers that the state holds, those that trailing means read."""
        return max(1, *(feature.days - 1 for part in self.model.parts for feature in part.spec.features))

    def before(self, drivers: xr.Dataset) -> xr.Dataset:
        """Put the last days of the run before in front of the drivers."""
        if self.start is None:
            return drivers
        wanted = {str(name): (each.dims, None) for name, each in drivers.data_vars.items()}
        earlier = _take(self.start, wanted)
        for name, each in drivers.data_vars.items():
            units, were = each.attrs.get("units"), earlier[name].attrs.get("units")
            if units != were:
                msg = f"{name} is in {units!r}, and in the state in {were!r}; use the same units in all runs"
                raise ModelMismatchError(msg)
        return xr.concat([earlier, drivers], "time", join="override", combine_attrs="override")

    def restore(self, layout: Layout, part: int, group: Group) -> list[Any] | None:
        """Return what a part of the model remembers of a group, as from :meth:`Layout.pack`."""
        if self.start is None:
            return None
        some = self.start[layout.names(part)].isel(group.read._asdict(), missing_dims="ignore")
        return [variable.data for variable in some.data_vars.values()]

    def keep(self, layout: Layout, part: int, packed: Sequence[Any], drivers: xr.Dataset) -> None:
        """Keep what a part of the model remembers, and the last days of its drivers."""
        if drivers.sizes["time"] < self.memory:
            msg = (
                f"a state holds {self.memory} days of the drivers, and the dataset has "
                f"{drivers.sizes['time']}; give at least {self.memory} days"
            )
            raise InvalidArgumentError(msg)
        last = drivers.isel(time=slice(-self.memory, None))
        self.left |= {str(name): each.variable for name, each in last.data_vars.items()}
        self.left |= layout.label(packed, part)

    def state(self) -> xr.Dataset:
        """Return the state after the last day of the dataset."""
        days = self.ds.indexes["time"]
        attrs = {
            "Conventions": "CF-1.11",
            "title": "memory of a model, with which a later run continues",
            "source": str(self.ds.attrs.get("title", "")),
            _NAME: _VERSION,
            "model_sha256": self.model.sha256,
            "days": self.days + days.size,
        }
        coords = {scale: self.ds[scale].variable for scale in SCALES}
        time = pd.date_range(end=days[-1], periods=self.memory, name="time")
        return stamp(
            xr.Dataset(self.left, {"time": time, **coords}, attrs), f"state(day={str(days[-1].date())!r})"
        )


def _check_kind(start: xr.Dataset, model: Model, ds: xr.Dataset) -> None:
    """Check that a state is of this model, this network and the day before."""
    if start.attrs.get(_NAME) != _VERSION:
        msg = f"start is not a state of version {_VERSION} from downscale; {_AGAIN}"
        raise InvalidArgumentError(msg)
    if (found := str(start.attrs.get("model_sha256"))) != model.sha256:
        msg = f"the state is of model {found[:12]}, not of {model.sha256[:12]}; give that model, or {_AGAIN}"
        raise ModelMismatchError(msg)
    if lost := [name for name in ("time", *SCALES) if name not in start.indexes]:
        msg = f"the state has no coordinate {', '.join(lost)}; {_AGAIN}"
        raise InvalidArgumentError(msg)
    if any(not np.array_equal(start.indexes[scale], ds.indexes[scale]) for scale in SCALES):
        msg = "the state is of other segments or reaches, or of the same in another order"
        raise ModelMismatchError(f"{msg}; give the dataset it was made with, or {_AGAIN}")
    last, first = pd.Timestamp(start.indexes["time"][-1]), pd.Timestamp(ds.indexes["time"][0])
    if first != last + _DAY:
        msg = (
            f"the state lasts until {last.date()}, and the dataset begins on {first.date()}, not on the day "
            f"after; select the days with .sel(time=slice({str((last + _DAY).date())!r}, None))"
        )
        raise InvalidArgumentError(msg)


def _check_content(start: xr.Dataset, model: Model, memory: int) -> None:
    """Check that a state is whole: its days, and what each part of the model remembers."""
    days, whole = start.indexes["time"], pd.date_range(end=start.indexes["time"][-1], periods=memory)
    if not days.equals(whole):
        msg = (
            f"the state must hold every day from {whole[0].date()} to {whole[-1].date()}, and it holds "
            f"{days.size} of {memory} or others; {_AGAIN}"
        )
        raise InvalidArgumentError(msg)
    if not isinstance(seen := start.attrs.get("days"), int | np.integer) or seen < 1:
        msg = f"the attribute days of the state must be a number of days, not {seen!r}; {_AGAIN}"
        raise InvalidArgumentError(msg)
    wanted: dict[str, tuple[tuple[Hashable, ...], int | None]] = {}
    for number, part in enumerate(model.parts):
        layout = Layout.of(part.modules())
        for name, entry in zip(layout.names(number), layout.entries, strict=True):
            nodes = () if entry.axis is None else (entry.scale,)
            wanted[name] = (*nodes, f"number_{entry.columns}"), entry.columns
    _take(start, wanted)


def _take(start: xr.Dataset, wanted: Mapping[str, tuple[tuple[Hashable, ...], int | None]]) -> xr.Dataset:
    """Return variables of a state, refusing what lacks or has other dimensions; sizes are of the last one."""
    for name, (dims, size) in wanted.items():
        if name not in start.data_vars:
            msg = f"the state has no variable {name}; {_AGAIN}"
            raise InvalidArgumentError(msg)
        found = start[name]
        if found.dims != dims or found.dtype.kind != "f" or (size is not None and found.shape[-1] != size):
            msg = f"{name} in the state is {found.dtype} over {found.dims}, not float over {dims}; {_AGAIN}"
            raise InvalidArgumentError(msg)
    return start[list(wanted)]


def _numbered(entries: Sequence[_Entry]) -> Iterator[tuple[int, _Entry]]:
    """Yield each entry with its number among those of its member and scale."""
    seen: dict[tuple[int, str], int] = {}
    for entry in entries:
        k = seen.get((entry.member, entry.scale), 0)
        seen[entry.member, entry.scale] = k + 1
        yield k, entry
