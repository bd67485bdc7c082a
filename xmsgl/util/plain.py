"""Nested dataclasses from plain values of JSON, checked against their annotations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import lru_cache
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from xmsgl.errors import InvalidArgumentError, shorten
from xmsgl.util.spec import is_number

__all__ = ["OPTIONAL", "read_plain"]

#: Metadata of the fields of a dataclass that may be absent; they have a default.
OPTIONAL = {"optional": True}

_hints = lru_cache(get_type_hints)
_NAMES = {int: "a whole number", float: "a finite number", str: "text", bool: "true or false"}
_LARGEST = {int: 2**53, float: 1e300}  # exact in double precision; below infinity


def read_plain(kind: Any, value: Any, where: str) -> Any:
    """Return a value as a type; `where` names its place for messages.

    Types are dataclasses, tuples, mappings, unions, literals, numbers, texts and Any. Numbers are not
    converted.

    Raises
    ------
    InvalidArgumentError
        The value, or one within it, has another type, is not finite, or is missing or not known.

    Examples
    --------
    >>> read_plain(tuple[int, ...], [1, 2], "days")
    (1, 2)
    """
    origin, arguments = get_origin(kind), get_args(kind)
    if kind is Any or (kind is type(None) and value is None):
        return value
    if is_dataclass(kind):
        return _dataclass(kind, value, where)
    if origin in (UnionType, Union):
        one = type(None) if value is None else next(each for each in arguments if each is not type(None))
        return read_plain(one, value, where)
    if origin is tuple and isinstance(value, list | tuple):
        kinds = arguments[:1] * len(value) if arguments[-1] is ... else arguments
        if len(kinds) == len(value):
            pairs = zip(kinds, value, strict=True)
            return tuple(read_plain(each, part, f"{where}[{k}]") for k, (each, part) in enumerate(pairs))
    elif origin in (dict, Mapping) and isinstance(value, dict):
        key, each = arguments
        return {
            read_plain(key, k, f"a key of {where}"): read_plain(each, v, f"{where}.{k}")
            for k, v in value.items()
        }
    elif origin is Literal:
        if isinstance(value, str) and value in arguments:
            return value
    elif kind in _LARGEST:
        if is_number(value) and (kind is float or isinstance(value, int)) and abs(value) <= _LARGEST[kind]:
            return value
    elif isinstance(value, kind if origin is None else ()):
        return value
    msg = f"{where} must be {_described(kind)}, not {_brief(value)}"
    raise InvalidArgumentError(msg)


def _dataclass(kind: Any, value: Any, where: str) -> Any:
    """Read the fields of a dataclass: all that are not optional, and no others."""
    if not isinstance(value, dict):
        msg = f"{where} must be an object, not {_brief(value)}"
        raise InvalidArgumentError(msg)
    known = {each.name: each for each in fields(kind)}
    needed = [name for name, each in known.items() if not each.metadata.get("optional")]
    for what, names in (
        ("lacks", [name for name in needed if name not in value]),
        ("has unknown entries", [name for name in value if name not in known]),
    ):
        if names:
            msg = f"{where} {what}: {shorten(map(_brief, names))}"
            raise InvalidArgumentError(msg)
    hints = _hints(kind)
    return kind(**{name: read_plain(hints[name], part, f"{where}.{name}") for name, part in value.items()})


def _described(kind: Any) -> str:
    """Name a type in a message."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Literal:
        return f"one of {', '.join(map(str, arguments))}"
    if origin is tuple:
        return "a list" if arguments[-1] is ... else f"a list of {len(arguments)}"
    return "an object" if origin in (dict, Mapping) else _NAMES[kind]


def _brief(value: Any) -> str:
    """Write the start of a value."""
    text = repr(value) if not isinstance(value, dict | list) else f"{type(value).__name__} of {len(value)}"
    return text if len(text) <= 40 else f"{text[:37]}..."
