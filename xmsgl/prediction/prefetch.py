"""Batches made ready and carried to a GPU while the one before them is worked on."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, fields, is_dataclass
from queue import Empty, Queue
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import torch
from torch import Tensor

from xmsgl.errors import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import numpy as np
    import numpy.typing as npt

__all__ = ["in_background", "prefetch", "resolve_device", "to_device"]

Item = TypeVar("Item")
Made = TypeVar("Made")

#: Items that wait at most; one more is being made.
_DEPTH = 2


def to_device(values: npt.NDArray[np.generic], device: torch.device) -> Tensor:
    """Put an array on a device, without waiting for the copy to a GPU.

    Later work of the same stream sees the copy finished. It starts from pinned memory, which torch keeps
    until then: from other memory the driver would copy twice and wait.
    """
    tensor = torch.from_numpy(values)
    if device.type == "cuda":
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)


def prefetch(
    items: Iterable[Item], put: Callable[[Item], Made], device: torch.device, *, depth: int = _DEPTH
) -> Iterator[Made]:
    """Apply a function that puts items on a device; for a GPU ahead of time.

    A thread makes the next items and copies them on a stream of its own, so that neither the making nor
    the copy holds up the GPU. On the processor this is :func:`map`: there training uses every core, making
    a batch is some 3 % of it, and a thread beside it cost more than it saved.
    """
    if device.type != "cuda":
        return map(put, items)
    return _on_another_stream(items, put, device, depth)


def _on_another_stream(
    items: Iterable[Item], put: Callable[[Item], Made], device: torch.device, depth: int
) -> Iterator[Made]:
    side = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]

    def make() -> Iterator[tuple[Made, torch.cuda.Event]]:
        for item in items:
            with torch.cuda.stream(side):
                made = put(item)
            yield made, side.record_event()

    with closing(in_background(make(), depth=depth)) as ready:
        for made, copied in ready:
            stream = torch.cuda.current_stream(device)
            stream.wait_event(copied)
            for tensor in tensors(made):
                tensor.record_stream(stream)  # or its memory would be given away while the stream reads it
            yield made


def tensors(value: Any) -> Iterator[Tensor]:
    """List the tensors in a value: in dataclasses, mappings, lists and tuples, however deep."""
    if isinstance(value, Tensor):
        yield value
        return
    parts: Iterable[Any] = ()
    if isinstance(value, Mapping):
        parts = value.values()
    elif isinstance(value, list | tuple):
        parts = value
    elif is_dataclass(value):
        parts = (getattr(value, field.name) for field in fields(value))
    for part in parts:
        yield from tensors(part)


@dataclass(frozen=True)
class _Said(Generic[Item]):
    """What the thread hands over: an item, or why there is none: an error, or the end."""

    item: Item | None = None
    error: BaseException | None = None
    end: bool = False


def in_background(items: Iterable[Item], *, depth: int = _DEPTH) -> Generator[Item, None, None]:
    """Draw from an iterable in a thread, ahead of whoever asks."""
    queue: Queue[_Said[Item]] = Queue(depth)
    stop = threading.Event()
    # The thread must not know this generator, or dropping the generator would not end it.
    thread = threading.Thread(target=_draw, args=(items, queue, stop), name="xmsgl-prefetch", daemon=True)
    thread.start()
    try:
        while not (said := queue.get()).end:
            if said.error is not None:
                raise said.error
            yield said.item  # type: ignore[misc]  # an item may be None
    finally:
        stop.set()
        _drain(queue)
        if thread is not threading.current_thread():  # a generator in a cycle may be dropped anywhere
            thread.join()


def _draw(items: Iterable[Item], queue: Queue[_Said[Item]], stop: threading.Event) -> None:
    try:
        for item in items:
            queue.put(_Said(item))
            if stop.is_set():
                return
        queue.put(_Said(end=True))
    except BaseException as error:  # noqa: BLE001 - whatever it is, who draws must know
        queue.put(_Said(error=error))


def _drain(queue: Queue[_Said[Item]]) -> None:
    """Make room: the thread may be waiting to put one more."""
    try:
        while True:
            queue.get_nowait()
    except Empty:
        return


def resolve_device(device: str) -> torch.device:
    """Return the device to compute on."""
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
    except RuntimeError as error:
        msg = f"device {device!r} is not one that torch knows; use 'auto', 'cpu' or 'cuda'"
        raise InvalidArgumentError(msg) from error
    if chosen.type == "cuda" and not torch.cuda.is_available():
        msg = f"device {device!r} was asked for, but torch sees no GPU; use device='auto' or 'cpu'"
        raise InvalidArgumentError(msg)
    return chosen
