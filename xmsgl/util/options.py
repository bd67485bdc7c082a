"""Options of the package, set permanently or inside a ``with`` block."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from xmsgl.errors import InvalidArgumentError
from xmsgl.util.registry import Registry

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

__all__ = ["Progress", "get_option", "set_options"]

Progress: TypeAlias = bool | Literal["bar"]


def check_progress(value: object) -> Progress:
    """Return a valid value of ``progress``: nothing, everything that can be shown, or bars only."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value == "bar":
        return "bar"
    msg = f"progress must be True, False or 'bar', not {value!r}"
    raise InvalidArgumentError(msg)


def _path_check(name: str, wanted: str) -> Callable[[object], str | None]:
    def check(value: object) -> str | None:
        if value is None:
            return None
        if isinstance(value, str | os.PathLike) and os.fspath(value):
            return os.fsdecode(value)
        msg = f"option {name!r} must be {wanted} or None, not {value!r}"
        raise InvalidArgumentError(msg)

    return check


def _switch(name: str) -> Callable[[object], bool]:
    def check(value: object) -> bool:
        if isinstance(value, bool):
            return value
        msg = f"option {name!r} must be True or False, not {value!r}"
        raise InvalidArgumentError(msg)

    return check


def _training_memory(value: object) -> int | None:
    if value is None:
        return None
    number = value if isinstance(value, int) and not isinstance(value, bool) else None
    if isinstance(value, str):
        from dask.utils import parse_bytes

        try:
            number = parse_bytes(value)
        except ValueError:
            number = None
    if number is not None and number > 0:
        return number
    msg = f"option 'training_memory' must be a size such as '8 GiB', a number of bytes or None, not {value!r}"
    raise InvalidArgumentError(msg)


def _largest_basin(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return value
    msg = f"option 'largest_basin' must be a number of reaches, at least 1, not {value!r}"
    raise InvalidArgumentError(msg)


_CHECKS: dict[str, Callable[[object], Any]] = {
    "deterministic": _switch("deterministic"),
    "process_tuning": _switch("process_tuning"),
    "largest_basin": _largest_basin,
    "progress": check_progress,
    "training_memory": _training_memory,
    "data_dir": _path_check("data_dir", "a folder's path"),
    "data_mirror": _path_check("data_mirror", "a folder's path, a URL"),
}
_VALUES: Registry[Any] = Registry(
    "option",
    {
        "deterministic": False,
        "process_tuning": False,
        "largest_basin": 131_072,
        "progress": True,
        "training_memory": None,
        "data_dir": None,
        "data_mirror": None,
    },
)


class set_options:  # noqa: N801 - reads as a function, as in xarray
    """Set options, permanently or for the length of a ``with`` block.

    A call takes effect at once; used as a context manager, the previous values return at the end of the
    block. If one value is invalid, no option is changed.

    Parameters
    ----------
    **options
        ``progress``
            What long steps show: True, a progress bar and, in a notebook, the curves of training below it;
            ``"bar"``, bars only; False, nothing. Default True.
        ``data_dir``
            Folder of downloaded files and built datasets. Default None: the environment variable
            ``XMSGL_DATA_DIR``, otherwise the cache folder of the operating system.
        ``deterministic``
            True lets training compute in one thread, so that the same seed gives the same weights, bit for
            bit, whatever the number of threads; sums of several threads depend on it. Slower. Default False.
        ``process_tuning``
            True allows training to change settings of the whole process: freed memory is kept for the next
            step, and idle OpenMP threads of torch are stopped before compiled loops start theirs. A fifth
            faster on two cores, with the same results. Default False; the command ``xmsgl`` sets it to True.
        ``training_memory``
            Memory for the drivers of a training, in bytes or as ``"8 GiB"``. Larger ones stay on disk if they
            are lazy: blocks of days are read as needed and kept up to this size, with the same results.
            Default None: a quarter of the memory of the machine or container, shared by the processes of
            ``torchrun``.
        ``largest_basin``
            Most reaches that a task of a lazy prediction returns. A basin with more is cut into pieces, which
            read the nodes around them, too: fewer reaches need less memory for a task and more time for all.
            It is read when a prediction is asked for, not when it is computed. Default 131072.
        ``data_mirror``
            A folder or URL tried before the published addresses. Default None: the environment variable
            ``XMSGL_DATA_MIRROR``, otherwise no mirror.

    Raises
    ------
    UnknownNameError
        An option does not exist.
    InvalidArgumentError
        A value is not valid for its option.

    Examples
    --------
    >>> with set_options(progress=False):
    ...     get_option("progress")
    False
    >>> get_option("progress")
    True
    """

    def __init__(self, **options: object) -> None:
        self._former = {name: _VALUES[name] for name in options}
        _VALUES.update({name: _CHECKS[name](value) for name, value in options.items()})

    def __enter__(self) -> set_options:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _VALUES.update(self._former)


def get_option(name: str) -> Any:
    """Return the current value of an option.

    Parameters
    ----------
    name
        One of the options of :class:`set_options`.

    Returns
    -------
    object
        Its value.

    Raises
    ------
    UnknownNameError
        The option does not exist.

    Examples
    --------
    >>> get_option("progress")
    True
    """
    return _VALUES[name]
