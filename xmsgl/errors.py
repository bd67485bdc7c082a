"""Every error and warning xmsgl raises on purpose.

One base, small named children. Each child also inherits the builtin that a caller who has never
heard of xmsgl would catch.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = [
    "CheckpointError",
    "CycleError",
    "DataLossWarning",
    "DataUnavailableError",
    "DivergenceError",
    "ExtrapolationWarning",
    "InvalidArgumentError",
    "InvalidDatasetError",
    "MissingDependencyError",
    "ModelMismatchError",
    "NetworkError",
    "NetworkWarning",
    "OutputError",
    "UncalibratedModelError",
    "UnknownNameError",
    "XMSGLError",
    "XMSGLWarning",
    "shorten",
    "warn",
]


class XMSGLError(Exception):
    """Base of all errors of the package."""


class XMSGLWarning(UserWarning):
    """Base of all warnings of the package."""


class ExtrapolationWarning(XMSGLWarning):
    """A model is applied far outside of what it was trained on."""


class DataLossWarning(XMSGLWarning):
    """Days or labels that were given are not used: joining two sources left them out."""


class NetworkWarning(XMSGLWarning):
    """A river network may differ from what its file means, for example where it ends in mid-river."""


class InvalidArgumentError(XMSGLError, ValueError):
    """An argument has a value the function can not work with."""


class OutputError(InvalidArgumentError, OSError):
    """A result cannot be written where it was asked for."""


class UnknownNameError(XMSGLError, KeyError):
    """A name is not in a registry (of methods, kernels, datasets, ...).

    Parameters
    ----------
    kind
        What was looked up, for example ``"kernel"``.
    name
        The name that is not there.
    known
        The names that are.
    """

    def __init__(self, kind: str, name: object, known: Iterable[str]) -> None:
        self.kind, self.name, self.known = kind, name, tuple(sorted(known))
        super().__init__(f"unknown {kind} {name!r}; known: {', '.join(self.known) or 'none'}")

    def __str__(self) -> str:  # KeyError would print the repr of the message
        return str(self.args[0])

    def __reduce__(self) -> tuple[type[UnknownNameError], tuple[str, object, tuple[str, ...]]]:
        return type(self), (self.kind, self.name, self.known)


class InvalidDatasetError(XMSGLError, ValueError):
    """A dataset does not follow the convention; all faults at once.

    Parameters
    ----------
    faults
        One message a fault.
    """

    def __init__(self, faults: Sequence[str]) -> None:
        self.faults = tuple(faults)
        noun = "fault" if len(self.faults) == 1 else "faults"
        lines = "\n".join(f"  {number}. {fault}" for number, fault in enumerate(self.faults, 1))
        super().__init__(f"the dataset has {len(self.faults)} {noun}:\n{lines}")

    def __reduce__(self) -> tuple[type[InvalidDatasetError], tuple[tuple[str, ...]]]:
        return type(self), (self.faults,)


class NetworkError(XMSGLError, ValueError):
    """A river network is not one: unknown ids, self-loops, duplicates, wrong sizes."""


class CycleError(NetworkError):
    """Water would flow in a circle."""


class DataUnavailableError(XMSGLError, OSError):
    """A data file can be had neither from the cache, nor a mirror, nor the network."""


class ModelMismatchError(XMSGLError, ValueError):
    """A model and a dataset do not belong together (features, units, scales)."""


class UncalibratedModelError(XMSGLError, ValueError):
    """Intervals are asked of a model of which nobody knows how far it is off."""


class CheckpointError(XMSGLError, ValueError):
    """A file of weights or a checkpoint can not be used."""


class DivergenceError(XMSGLError, FloatingPointError):
    """Training met a loss that is not finite."""


class MissingDependencyError(XMSGLError, ImportError):
    """An optional library is needed and not installed."""


def warn(message: str, category: type[XMSGLWarning]) -> None:
    """Warn with the place of the first caller outside of the package."""
    package = str(Path(__file__).parent)
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and frame.f_code.co_filename.startswith(package):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)


def shorten(items: Iterable[object], limit: int = 5) -> str:
    """Write the first few items of a list for an error message."""
    values = list(items)
    head = ", ".join(str(value) for value in values[:limit])
    return head if len(values) <= limit else f"{head} and {len(values) - limit} more"
