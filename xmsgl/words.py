"""Settings, methods and seeds as a command line writes them."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from xmsgl.errors import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["label_of", "parse_seeds", "parse_settings", "parse_spec"]

_OPENING, _CLOSING = "[{", "]}"


def label_of(method: str, settings: Mapping[str, Any]) -> str:
    """Write a method with its settings, as the command line takes it.

    Examples
    --------
    >>> label_of("msgl", {"hops": 5, "kernel": "reference"})
    'msgl:hops=5,kernel=reference'
    """
    parts = [
        f"{name}={value if isinstance(value, str) else json.dumps(value)}" for name, value in settings.items()
    ]
    return f"{method}:{','.join(parts)}" if parts else method


def parse_spec(text: str) -> tuple[str, dict[str, Any]]:
    """Read a method and its settings.

    Parameters
    ----------
    text
        ``name`` or ``name:setting=value,setting=value``.

    Returns
    -------
    tuple
        The name, and the settings as :func:`parse_settings` reads them.

    Raises
    ------
    InvalidArgumentError
        What :func:`parse_settings` refuses.

    Examples
    --------
    >>> parse_spec('msgl:tasks=["coarse","fine"],hops=5,kernel=reference')
    ('msgl', {'tasks': ['coarse', 'fine'], 'hops': 5, 'kernel': 'reference'})
    """
    name, _, rest = text.partition(":")
    return name, parse_settings(rest)


def parse_settings(text: str) -> dict[str, Any]:
    """Read ``name=value,name=value``; values are JSON where they parse as such, else text.

    Parameters
    ----------
    text
        Commas inside brackets and braces belong to a value.

    Returns
    -------
    dict

    Raises
    ------
    InvalidArgumentError
        A part without a name or without ``=``, or a name given twice.

    Examples
    --------
    >>> parse_settings("epochs=40,weighting=mgda,region=02040104")
    {'epochs': 40, 'weighting': 'mgda', 'region': '02040104'}
    """
    found: dict[str, Any] = {}
    for part in _parts(text):
        name, sign, value = part.partition("=")
        if not name or not sign or name in found:
            msg = f"{part!r} in {text!r} is no setting; write name=value, each name once, commas in between"
            raise InvalidArgumentError(msg)
        try:
            found[name] = json.loads(value)
        except ValueError:
            found[name] = value
    return found


def _parts(text: str) -> list[str]:
    """Split at commas outside of brackets."""
    parts, depth = [""], 0
    for letter in text:
        depth += (letter in _OPENING) - (letter in _CLOSING)
        if letter == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return [part.strip() for part in parts if part.strip()]


def parse_seeds(words: Sequence[str]) -> int | list[int]:
    """Read seeds: one number is how many, several are the seeds themselves, ``2-4`` is a range.

    Examples
    --------
    >>> parse_seeds(["3"]), parse_seeds(["0", "7"]), parse_seeds(["2-4"])
    (3, [0, 7], [2, 3, 4])
    """
    if len(words) == 1 and words[0].isdigit():
        return int(words[0])
    seeds: list[int] = []
    for word in words:
        match = re.fullmatch(r"(\d+)(?:-(\d+))?", word)
        if match is None:
            msg = f"{word!r} is no seed; give how many (3), the seeds themselves (0 1 7), or a range (0-3)"
            raise InvalidArgumentError(msg)
        seeds.extend(range(int(match[1]), int(match[2] or match[1]) + 1))
    return seeds
