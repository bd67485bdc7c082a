"""Results as text, or as JSON for scripts."""

from __future__ import annotations

import json
import re
from typing import Any

import click

__all__ = ["json_option", "prints_json", "say", "show"]

_AS_JSON = "xmsgl.as_json"
# All but tabs and line ends; and marks that reverse the direction of text.
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def _note(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    ctx.meta[_AS_JSON] = value


json_option = click.option(
    "--json", is_flag=True, expose_value=False, callback=_note, help="Print the result as JSON, for scripts."
)


def prints_json(ctx: click.Context) -> bool:
    """Check whether a command was given ``--json``."""
    return bool(ctx.meta.get(_AS_JSON))


def show(value: Any, text: str) -> None:
    """Print a result as text, or its value as JSON if the command was given ``--json``."""
    say(_strict_json(value) if prints_json(click.get_current_context()) else text)


def say(text: str, *, err: bool = False, nl: bool = True) -> None:
    """Print text that may come from a file, with control characters as Python writes them."""
    click.echo(_CONTROLS.sub(lambda match: ascii(match[0])[1:-1], text), err=err, nl=nl)


def _strict_json(value: Any) -> str:
    """Write JSON that every reader accepts, with null for NaN and infinity."""
    return json.dumps(json.loads(json.dumps(value), parse_constant=lambda _: None))
