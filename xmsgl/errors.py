"""The errors and warnings of the package.

Each error also inherits from the builtin error that a caller would expect.
"""

from __future__ import annotations

import sys
import warnings
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Self

__all__ = [
    "CheckpointError",
    "CycleError",
    "DataLossWarning",
    "DataUnavailableError",
    "DeviceMemoryError",
    "DivergenceError",
    "ExtrapolationWarning",
    "InvalidArgumentError",
    "InvalidDatasetError",
    "MissingDependencyError",
    "ModelMismatchError",
    "NetworkError",
    "NetworkWarning",
    "OutputError",
    "PluginError",
    "ProcessError",
    "UncalibratedModelError",
    "UnknownNameError",
    "XMSGLError",
    "XMSGLWarning",
    "did_you_mean",
    "nearest",
    "shorten",
    "warn",
]


class XMSGLError(Exception):
    """Base of all errors of the package."""


class XMSGLWarning(UserWarning):
    """Base of all warnings of the package."""


class ExtrapolationWarning(XMSGLWarning):
    """A model is applied far outside the range of its training data."""


class DataLossWarning(XMSGLWarning):
    """Given days or observations are not used, because joining two sources left them out."""


class NetworkWarning(XMSGLWarning):
    """A river network may be read incorrectly, for example because its file ends in the middle of a river."""


class InvalidArgumentError(XMSGLError, ValueError):
    """An argument has a value that the function cannot use."""


class OutputError(InvalidArgumentError, OSError):
    """A result cannot be written to the given path."""

    def __new__(cls, *args: object) -> Self:
        """Make the error as OSError does; dask's workers call this when they send it to another process."""
        return OSError.__new__(cls, *args)


class UnknownNameError(XMSGLError, KeyError):
    """A name is not in a registry (of methods, kernels, datasets, ...).

    Parameters
    ----------
    kind
        What the name stands for, for example ``"kernel"``.
    name
        The unknown name.
    known
        The names in the registry.
    """

    def __init__(self, kind: str, name: object, known: Iterable[str]) -> None:
        self.kind, self.name, self.known = kind, name, tuple(sorted(known))
        msg = f"unknown {kind} {name!r}; known: {', '.join(self.known) or 'none'}"
        super().__init__(msg + did_you_mean(name, self.known))

    def __str__(self) -> str:  # KeyError would print the repr of the message
        return str(self.args[0])

    def __reduce__(self) -> tuple[type[UnknownNameError], tuple[str, object, tuple[str, ...]]]:
        return type(self), (self.kind, self.name, self.known)


class InvalidDatasetError(XMSGLError, ValueError):
    """A dataset does not follow the convention; the message lists all faults.

    Parameters
    ----------
    faults
        One message for each fault.
    """

    def __init__(self, faults: Sequence[str]) -> None:
        self.faults = tuple(faults)
        noun = "fault" if len(self.faults) == 1 else "faults"
        lines = "\n".join(f"  {number}. {fault}" for number, fault in enumerate(self.faults, 1))
        super().__init__(f"the dataset has {len(self.faults)} {noun}:\n{lines}")

    def __reduce__(self) -> tuple[type[InvalidDatasetError], tuple[tuple[str, ...]]]:
        return type(self), (self.faults,)


class NetworkError(XMSGLError, ValueError):
    """A river network is not valid: unknown ids, self-loops, duplicates or wrong sizes."""


class CycleError(NetworkError):
    """A river network contains a cycle."""


class DataUnavailableError(XMSGLError, OSError):
    """A data file is not available from the cache, a mirror or the network."""


class ModelMismatchError(XMSGLError, ValueError):
    """A model does not fit a dataset (features, units, scales)."""


class UncalibratedModelError(XMSGLError, ValueError):
    """Intervals are requested from a model without calibrated residuals."""


class CheckpointError(XMSGLError, ValueError):
    """A file of weights or a checkpoint cannot be used."""


class DivergenceError(XMSGLError, FloatingPointError):
    """The loss became infinite or NaN during training."""


class DeviceMemoryError(XMSGLError, MemoryError):
    """The memory of a GPU is too small."""


class MissingDependencyError(XMSGLError, ImportError):
    """An optional library is needed but not installed."""


class PluginError(XMSGLError, ImportError):
    """A reader, kernel, backbone or method of another package cannot be imported or used."""


class ProcessError(XMSGLError, RuntimeError):
    """Another process of a training has ended, or a cluster does not answer."""


def warn(message: str, category: type[XMSGLWarning]) -> None:
    """Warn at the first caller outside the package; on a worker of a Dask cluster, in its clients, too."""
    package = str(Path(__file__).parent)
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and frame.f_code.co_filename.startswith(package):
        frame, level = frame.f_back, level + 1
    library = sys.modules.get("distributed")  # a worker has always imported it
    (library or warnings).warn(message, category, stacklevel=level)


def did_you_mean(name: object, known: Iterable[str]) -> str:
    """Suggest the most similar known name, to end an error message; an empty text if none is similar."""
    near = nearest(str(name), known)
    return f"; did you mean {near!r}?" if near else ""


def shorten(items: Iterable[object], limit: int = 5) -> str:
    """Write the first few items of a list, for an error message."""
    values = list(items)
    head = ", ".join(str(value) for value in values[:limit])
    return head if len(values) <= limit else f"{head} and {len(values) - limit} more"


def nearest(name: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """Find the known name most similar to one that is unknown, for an error message."""
    return next(iter(get_close_matches(name.lower(), list(known), n=1, cutoff=cutoff)), None)
