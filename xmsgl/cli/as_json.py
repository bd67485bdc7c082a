"""What commands print for scripts."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any, TypeVar

import click

__all__ = ["AS_JSON", "json_option", "strict_json"]

Command = TypeVar("Command", bound=Callable[..., Any])

#: Where a command remembers that it is to print JSON, for the group, which reports the errors.
AS_JSON = "xmsgl.as_json"


def json_option(command: Command) -> Command:
    """Give a command the option ``--json``."""

    def remember(ctx: click.Context, _: click.Parameter, value: bool) -> bool:
        ctx.meta[AS_JSON] = value
        return value

    return click.option(
        "--json", "as_json", is_flag=True, callback=remember, help="Print the result as JSON, for scripts."
    )(command)


def strict_json(value: Any) -> str:
    """Write JSON that every reader takes: what is not finite becomes null."""

    def plain(part: Any) -> Any:
        if isinstance(part, dict):
            return {name: plain(inner) for name, inner in part.items()}
        if isinstance(part, list | tuple):
            return [plain(inner) for inner in part]
        return None if isinstance(part, float) and not math.isfinite(part) else part

    return json.dumps(plain(value), allow_nan=False)
