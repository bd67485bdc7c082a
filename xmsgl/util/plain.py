"""Nested dataclasses from plain values of JSON, checked against their annotations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import lru_cache
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from xmsgl.errors import InvalidArgumentError, shorten
from xmsgl.util.spec import is_number

__all__ = ["OPTIONAL", "brief", "read_plain"]

#: Metadata of the fields of a dataclass that may be absent; they have a default.
OPTIONAL = {"optional": True}

_hints: Any = lru_cache(get_type_hints)
_NAMES = {
    int: "a whole number",
    float: "a finite number",
    str: "text",
    bool: "true or false",
    tuple: "a list",
}
_LARGEST = {int: 2**53, float: 1e300}  # exact in double precision; below infinity


def read_plain(kind: Any, value: Any, where: str) -> Any:
    """Return a value as a type: a dataclass, tuple, mapping, union, literal, number or text, or Any.

    `where` names its place in the error of a value that has another type, is not finite, is missing or is
    not known. Numbers are not converted.
    """
    origin, arguments = get_origin(kind), get_args(kind)
    if kind is Any or (kind is type(None) and value is None):
        return value
    if origin in (UnionType, Union):
        one = next(each for each in arguments if (each is type(None)) == (value is None))
        return read_plain(one, value, where)
    if is_dataclass(kind) and isinstance(kind, type) and isinstance(value, dict):
        _check_names(kind, value, where)
        hints = _hints(kind)
        return kind(
            **{name: read_plain(hints[name], part, f"{where}.{name}") for name, part in value.items()}
        )
    if origin is tuple and isinstance(value, list | tuple):
        kinds = arguments[:1] * len(value) if arguments[-1] is ... else arguments
        if len(kinds) == len(value):
            return tuple(read_plain(kinds[k], part, f"{where}[{k}]") for k, part in enumerate(value))
    elif origin in (dict, Mapping) and isinstance(value, dict):
        keys = {name: read_plain(arguments[0], name, f"a key of {where}") for name in value}
        return {keys[name]: read_plain(arguments[1], part, f"{where}.{name}") for name, part in value.items()}
    elif origin is Literal and isinstance(value, str) and value in arguments:
        return value
    elif kind in _LARGEST and is_number(value) and (kind is float or isinstance(value, int)):
        if abs(value) <= _LARGEST[kind]:
            return value
    elif kind in (str, bool) and isinstance(value, kind):
        return value
    choice = f"one of {', '.join(arguments)}" if origin is Literal else "an object"
    length = f" of {len(arguments)}" if origin is tuple and arguments[-1] is not ... else ""
    msg = f"{where} must be {_NAMES.get(origin or kind, choice)}{length}, not {brief(value)}"
    raise InvalidArgumentError(msg)


def _check_names(kind: Any, value: Mapping[str, Any], where: str) -> None:
    """Refuse a dataclass without fields that are not optional, or with others."""
    known = {each.name: each.metadata.get("optional", False) for each in fields(kind)}
    lacking = [name for name, optional in known.items() if not optional and name not in value]
    for what, names in (("lacks", lacking), ("has unknown entries", value.keys() - known)):
        if names:
            msg = f"{where} {what}: {shorten(map(brief, sorted(names)))}"
            raise InvalidArgumentError(msg)


def brief(value: Any) -> str:
    """Write the start of a value."""
    text = repr(value).partition("\n")[0]
    if len(text) > 60 and isinstance(value, dict | list | tuple):
        return f"a {type(value).__name__} of {len(value)}"
    return text if len(text) <= 60 else f"{text[:57]}..."
