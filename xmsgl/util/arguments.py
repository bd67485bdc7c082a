"""Arguments of public calls, checked against the annotations of their parameters."""

from __future__ import annotations

import ast
import datetime as dt
import functools
import inspect
import math
import os
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping
from dataclasses import fields
from numbers import Integral
from typing import Any, ParamSpec, TypeVar

import numpy as np

from xmsgl.errors import InvalidArgumentError
from xmsgl.util.plain import brief
from xmsgl.util.spec import is_number

__all__ = ["check_fields", "check_value", "checked"]

P = ParamSpec("P")
T = TypeVar("T")
#: Whether a value fits an annotation, and the annotation in words.
Rule = tuple[Callable[[Any], bool], tuple[str, ...]]


def _is_text(value: object) -> bool:
    return isinstance(value, str) and "\0" not in value


_RULES: dict[str, Rule] = {
    "bool": (lambda value: isinstance(value, bool | np.bool_), ("True or False",)),
    "int": (lambda value: is_number(value) and isinstance(value, Integral), ("a whole number",)),
    "float": (lambda value: is_number(value) and not math.isnan(value), ("a number",)),
    "bytes": (lambda value: isinstance(value, bytes), ("bytes",)),
    "slice": (lambda value: isinstance(value, slice), ("a slice",)),
    "Timestamp": (lambda value: isinstance(value, dt.date | np.datetime64), ("a date",)),
    "ArrayLike": (lambda value: not isinstance(value, Mapping), ("an array or a list",)),
    "Path": (lambda value: isinstance(value, os.PathLike) and _is_text(os.fspath(value)), ("a path",)),
    "Callable": (callable, ("a function",)),
    "Reach": (lambda value: isinstance(value, Hashable) and not isinstance(value, bool), ("an id",)),
    "Progress": (lambda value: brief(value) in ("True", "False", "'bar'"), ("True, False or 'bar'",)),
    "str": (_is_text, ("text",)),
}
_ALIASES = {"datetime64": "Timestamp", "Hashable": "Reach", "PathLike": "Path", "Observer": "Callable"}
_ALIASES |= dict.fromkeys(("Literal", "Scale", "Direction", "Tails", "Method", "Fine", "Forcing"), "str")
# Recognised by name, so that no library is imported for them.
_CLASSES = {"Dataset", "DataArray", "DataTree", "DataFrame", "Axes", "Colormap", "Model", "Kernel"}
_CLASSES |= {"RiverGraph", "RiverGraphs", "Localizer"}
# Checked by as_dataset and as_array of xmsgl.schema, which advise more.
_ELSEWHERE = ("xr.Dataset | xr.DataTree", "xr.DataArray | xr.Dataset")


def checked(function: Callable[P, T]) -> Callable[P, T]:
    """Refuse arguments that do not fit the annotations of a function.

    ``Any`` and aliases accept everything: the function itself checks such arguments.
    """
    signature = inspect.signature(function)
    kinds = {
        name: each.annotation
        for name, each in signature.parameters.items()
        if each.kind not in (each.VAR_KEYWORD, each.VAR_POSITIONAL)
        and isinstance(each.annotation, str)  # unlike that of self
        and not any(pair in each.annotation for pair in _ELSEWHERE)
    }

    @functools.wraps(function)
    def call(*args: P.args, **named: P.kwargs) -> T:
        try:
            given = signature.bind(*args, **named).arguments
        except TypeError:  # a missing or an unknown argument: the function says which
            return function(*args, **named)
        for name, kind in kinds.items():
            if name in given:
                check_value(name, given[name], kind)
        return function(*args, **named)

    return call


def check_fields(record: Any) -> None:
    """Refuse a dataclass with a field that does not fit its annotation."""
    for each in fields(record):
        check_value(each.name, getattr(record, each.name), str(each.type))


def check_value(name: str, value: object, kind: str) -> None:
    """Refuse a value that does not fit an annotation, such as ``"int | None"``."""
    fits, words = _rule(kind)
    if not fits(value):
        msg = f"{name} must be {' or '.join(dict.fromkeys(words))}, not {brief(value)}"
        if isinstance(value, str) and "\0" in value:
            msg = f"{name} must not contain a NUL, as {brief(value)} does"
        raise InvalidArgumentError(msg)


@functools.cache
def _rule(kind: str) -> Rule:
    """Return the rule of an annotation; unknown names accept everything."""
    node = ast.parse(kind, mode="eval").body
    if isinstance(node, ast.BinOp):
        (one, words), (other, more) = (_rule(ast.unparse(each)) for each in (node.left, node.right))
        return lambda value: one(value) or other(value), words + more
    if kind == "None":
        return lambda value: value is None, ("None",)
    whole, inside = (node.value, node.slice) if isinstance(node, ast.Subscript) else (node, None)
    name = ast.unparse(whole).rpartition(".")[2]
    if (name := _ALIASES.get(name, name)) in _RULES:
        return _RULES[name]
    if name in _CLASSES:
        return lambda value: any(each.__name__ == name for each in type(value).__mro__), (f"a {name}",)
    if inside is None or name not in ("Mapping", "dict", "Sequence", "Iterable", "list", "tuple"):
        return lambda _: True, ("anything" if name == "Any" else f"a {name}",)
    inner = [
        _rule(ast.unparse(each)) for each in (inside.elts if isinstance(inside, ast.Tuple) else [inside])
    ]
    if name in ("Mapping", "dict"):
        key, item = (" or ".join(dict.fromkeys(words)) for _, words in (inner[0], inner[-1]))
        return functools.partial(_fits_mapping, inner), (f"a mapping ({key} to {item})",)
    fixed = len(inner) if name == "tuple" and "..." not in kind else None
    each = " or ".join(dict.fromkeys(inner[0][1]))
    return functools.partial(_fits_list, name, inner, fixed), (
        "a list" if each == "anything" else f"a list ({each} each)",
    )


def _fits_mapping(inner: list[Rule], value: Any) -> bool:
    return isinstance(value, Mapping) and all(inner[0][0](k) and inner[-1][0](value[k]) for k in value)


def _fits_list(name: str, inner: list[Rule], fixed: int | None, value: Any) -> bool:
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable) or hasattr(value, "dims"):
        return False  # also labelled arrays, whose items are arrays
    if not isinstance(value, Collection):
        return name == "Iterable"  # would be used up by a look at its items
    if getattr(value, "ndim", 1) == 0 or fixed not in (None, len(value)):
        return False
    return all(inner[k if fixed else 0][0](item) for k, item in enumerate(value))
