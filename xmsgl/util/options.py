"""Settings of the package: a validated table, changed for good or inside a ``with`` block."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from xmsgl.errors import InvalidArgumentError, UnknownNameError

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

__all__ = ["Progress", "get_option", "set_options"]

#: Nothing, what fits the place, or bars only.
Progress: TypeAlias = bool | Literal["bar"]


def check_progress(value: object) -> Progress:
    """Return what is to be drawn of progress."""
    if value is True or value is False:
        return value
    if value == "bar":
        return "bar"
    msg = f"progress must be True, False or 'bar', not {value!r}"
    raise InvalidArgumentError(msg)


def _data_dir(value: object) -> str | None:
    if value is None:
        return None
    if isinstance(value, str | os.PathLike) and os.fspath(value):
        return os.fsdecode(value)
    msg = f"option 'data_dir' must be a folder's path or None, not {value!r}"
    raise InvalidArgumentError(msg)


def _data_mirror(value: object) -> str | None:
    if value is None:
        return None
    if isinstance(value, str | os.PathLike) and os.fspath(value):
        return os.fsdecode(value)
    msg = f"option 'data_mirror' must be a folder's path, a URL or None, not {value!r}"
    raise InvalidArgumentError(msg)


def _process_tuning(value: object) -> bool:
    if isinstance(value, bool):
        return value
    msg = f"option 'process_tuning' must be True or False, not {value!r}"
    raise InvalidArgumentError(msg)


_CHECKS: dict[str, Callable[[object], Any]] = {
    "process_tuning": _process_tuning,
    "progress": check_progress,
    "data_dir": _data_dir,
    "data_mirror": _data_mirror,
}
_VALUES: dict[str, Any] = {"process_tuning": False, "progress": True, "data_dir": None, "data_mirror": None}


def _known(name: str) -> None:
    if name not in _CHECKS:
        raise UnknownNameError("option", name, _CHECKS)


class set_options:  # noqa: N801 - reads as a function, as in xarray
    """Change settings, for good or for the length of a ``with`` block.

    The setting is in force from the call on; as a context manager, the former values come back at
    the end of the block. Either every given option is valid and set, or none is.

    Parameters
    ----------
    **options
        ``progress``
            What long steps draw: True, a progress bar, and in a notebook training's curves below it;
            ``"bar"``, bars only; False, nothing. Default True.
        ``data_dir``
            Folder that keeps downloaded files and built datasets. Default None: the environment
            variable ``XMSGL_DATA_DIR``, else the cache folder of the operating system.
        ``process_tuning``
            True lets training change what holds for the whole process: freed memory is kept for the next
            step, and waiting OpenMP threads of torch are ended before compiled kernels start theirs. A fifth
            faster on two cores; no result changes. Default False; the command ``xmsgl`` sets it.
        ``data_mirror``
            A folder or URL tried before the real addresses. Default None: the environment variable
            ``XMSGL_DATA_MIRROR``, else no mirror.

    Raises
    ------
    UnknownNameError
        An option does not exist.
    InvalidArgumentError
        A value does not fit its option.

    Examples
    --------
    >>> with set_options(progress=False):
    ...     get_option("progress")
    False
    >>> get_option("progress")
    True
    """

    def __init__(self, **options: object) -> None:
        for name in options:
            _known(name)
        values = {name: _CHECKS[name](value) for name, value in options.items()}
        self._former = {name: _VALUES[name] for name in values}
        _VALUES.update(values)

    def __enter__(self) -> set_options:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _VALUES.update(self._former)


def get_option(name: str) -> Any:
    """Return the value of a setting.

    Parameters
    ----------
    name
        One of the options of :class:`set_options`.

    Returns
    -------
    object
        The value in force.

    Raises
    ------
    UnknownNameError
        The option does not exist.

    Examples
    --------
    >>> get_option("progress")
    True
    """
    _known(name)
    return _VALUES[name]
