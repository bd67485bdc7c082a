"""Settings, methods and seeds as written on a command line."""

from __future__ import annotations

import inspect
import json
import math
import re
from numbers import Real
from typing import TYPE_CHECKING, Any

from xmsgl.errors import InvalidArgumentError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = [
    "bind",
    "check_finite",
    "is_number",
    "is_positive",
    "label_of",
    "parse_draws",
    "parse_seeds",
    "parse_settings",
    "parse_spec",
    "read_word",
]

MOST_SEEDS = 10_000
_OPENING, _CLOSING = "[{", "]}"
_WORDS = {"true": True, "false": False, "none": None, "null": None}
_INFINITE = re.compile(r"[+-]?(nan|inf|infinity)", re.IGNORECASE)


def label_of(method: str, settings: Mapping[str, Any]) -> str:
    """Write a method with its settings as the command line reads them."""
    parts = [f"{name}={_written(value)}" for name, value in settings.items()]
    return f"{method}:{','.join(parts)}" if parts else method


def _written(value: Any) -> str:
    """Write a value so that it is read back unchanged: text that could be read as another type is quoted."""
    return value if isinstance(value, str) and _parsed(value) == value else json.dumps(value)


def bind(what: str, function: Callable[..., Any], *given: Any, **named: Any) -> inspect.BoundArguments:
    """Match arguments with the parameters of a function; say what it takes if they do not fit."""
    signature = inspect.signature(function)
    try:
        return signature.bind(*given, **named)
    except TypeError as error:
        msg = f"{what}: {error}; it takes {', '.join(signature.parameters)}"
        strange = next((name for name in named if name not in signature.parameters), "")
        raise InvalidArgumentError(msg + did_you_mean(strange, signature.parameters)) from error


def parse_spec(text: str) -> tuple[str, dict[str, Any]]:
    """Read a method and its settings."""
    name, _, rest = text.partition(":")
    return name, parse_settings(rest)


def parse_settings(text: str) -> dict[str, Any]:
    """Read ``name=value,name=value``; a value is JSON, a word for True, False or None, or plain text."""
    found: dict[str, Any] = {}
    for part in _parts(text):
        name, sign, value = part.partition("=")
        if not name or not sign or name in found:
            msg = (
                f"{part!r} in {text!r} is not a valid setting; write name=value, separated by commas, "
                "each name once"
            )
            raise InvalidArgumentError(msg)
        try:
            found[name] = check_finite(name, _parsed(value))
        except RecursionError:
            msg = f"{name} is nested too deeply; give a plain value or a list of them"
            raise InvalidArgumentError(msg) from None
    return found


def read_word(text: str) -> bool | str | None:
    """Read the words for True, False and None in any case; return other text unchanged."""
    return _WORDS.get(text.lower(), text)


def check_finite(name: str, value: Any) -> Any:
    """Return the value of a setting after checking that all numbers in it are finite."""
    if not _is_finite(value):
        msg = f"{name}={value} is not a finite number; give one, or none if allowed"
        raise InvalidArgumentError(msg)
    return value


def is_number(value: Any) -> bool:
    """Say whether a value is a real number, of Python or NumPy; True and False are not."""
    return isinstance(value, Real) and not isinstance(value, bool)


def is_positive(value: Any) -> bool:
    """Say whether a value is a finite number above 0."""
    return is_number(value) and 0 < float(value) < float("inf")


def _parsed(text: str) -> Any:
    """Read a word or JSON; return other text unchanged."""
    if text.lower() in _WORDS:
        return read_word(text)
    try:
        return json.loads(text)
    except ValueError:
        return text


def _is_finite(value: Any) -> bool:
    if isinstance(value, str):
        return _INFINITE.fullmatch(value) is None
    if isinstance(value, dict):
        return all(map(_is_finite, value.values()))
    if isinstance(value, list):
        return all(map(_is_finite, value))
    return not isinstance(value, float) or math.isfinite(value)


def _parts(text: str) -> list[str]:
    """Split at commas outside brackets."""
    parts, depth = [""], 0
    for letter in text:
        depth += (letter in _OPENING) - (letter in _CLOSING)
        if letter == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return [part.strip() for part in parts if part.strip()]


def parse_seeds(words: Sequence[str]) -> int | list[int]:
    """Read seeds: a single number is their count, several are the seeds themselves, ``2-4`` is a range."""
    return int(words[0]) if len(words) == 1 and words[0].isdigit() else parse_draws(words)


def parse_draws(words: Sequence[str]) -> list[int]:
    """Read numbers, of which ``2-4`` is a range."""
    numbers: list[int] = []
    for word in words:
        match = re.fullmatch(r"(\d+)(?:-(\d+))?", word)
        if match is None:
            msg = f"{word!r} is not a valid seed; give one or several (0 1 7), or a range (0-3)"
            raise InvalidArgumentError(msg)
        numbers.extend(range(int(match[1]), int(match[2] or match[1]) + 1)[: MOST_SEEDS + 1])
    return numbers
