"""Writing TOML: the few kinds of values that a run's configuration has. Reading it is `tomllib`'s."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from xmsgl.errors import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["to_toml"]

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def to_toml(values: Mapping[str, Any], *, comment: str = "") -> str:
    """Write a TOML document.

    Parameters
    ----------
    values
        Text, numbers, truth values, lists and mappings of these. A mapping at the top is a table, below
        it is written in a line. None is the text ``"none"``, for TOML has no word for it.
    comment
        Lines to stand above.

    Returns
    -------
    str

    Raises
    ------
    InvalidArgumentError
        A value of another kind.

    Examples
    --------
    >>> print(to_toml({"set": {"means": [7, 30], "clip": None}, "epochs": 5}, comment="a run"))
    # a run
    epochs = 5
    <BLANKLINE>
    [set]
    means = [7, 30]
    clip = "none"
    <BLANKLINE>
    """
    lines = [f"# {line}".rstrip() for line in comment.splitlines()]
    tables = {name: value for name, value in values.items() if isinstance(value, dict)}
    lines += _pairs({name: value for name, value in values.items() if name not in tables})
    for name, table in tables.items():
        lines += ["", f"[{_key(name)}]", *_pairs(table)]
    return "\n".join([*lines, ""])


def _pairs(values: Mapping[str, Any]) -> list[str]:
    return [f"{_key(name)} = {_value(value)}" for name, value in values.items()]


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else _text(name)


def _text(value: str) -> str:
    # A basic string of TOML is JSON's, but for one control character.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _value(value: Any) -> str:
    if value is None:
        return '"none"'
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return repr(value)  # inf and nan are TOML's words, too
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(_pairs(value))}}}"
    msg = f"{value!r} can not be written as TOML; it is a {type(value).__name__}"
    raise InvalidArgumentError(msg)
