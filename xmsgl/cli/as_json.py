"""Results as text, or as JSON for scripts."""

from __future__ import annotations

import json
from typing import Any

import click

__all__ = ["json_option", "prints_json", "show"]

_AS_JSON = "xmsgl.as_json"


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
    click.echo(_strict_json(value) if prints_json(click.get_current_context()) else text)


def _strict_json(value: Any) -> str:
    """Write JSON that every reader accepts, with null for NaN and infinity."""
    return json.dumps(json.loads(json.dumps(value), parse_constant=lambda _: None))
