"""Configurations: TOML files whose keys are the options of a command."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable
from datetime import date, time
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from xmsgl.errors import InvalidArgumentError, shorten
from xmsgl.util.spec import check_finite, parse_settings, read_word

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Command", "config_option", "config_path", "table_option", "to_toml"]

Command = TypeVar("Command", bound=Callable[..., Any])

_TABLES = ("set", "data")  # of a configuration: options that take settings by name
_FILE, _SETTINGS = "xmsgl.config", "xmsgl.config.tables"


def config_path(ctx: click.Context) -> Path | None:
    """Return the path of the configuration given to a command."""
    found: Path | None = ctx.meta.get(_FILE)
    return found


def table_option(table: str, text: str, name: str | None = None) -> Callable[[Command], Command]:
    """Make an option for settings by name, which take precedence over that table of the configuration."""

    def join(ctx: click.Context, _: click.Parameter, words: Sequence[str]) -> dict[str, Any]:
        return {**ctx.meta.get(_SETTINGS, {}).get(table, {}), **parse_settings(",".join(words))}

    return click.option(f"--{table}", name or table, multiple=True, callback=join, help=text)


def _load(ctx: click.Context, parameter: click.Parameter, path: Path | None) -> None:
    """Make the configuration the defaults of a command."""
    if path is None:
        return
    try:
        ctx.default_map, ctx.meta[_SETTINGS] = _read(path, ctx.command)
    except InvalidArgumentError as error:
        msg = f"{path}: {error}"
        raise click.BadParameter(msg, ctx, parameter) from error
    ctx.meta[_FILE] = path


config_option = click.option(
    "--config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    is_eager=True,
    expose_value=False,
    callback=_load,
    help="TOML file with these options by their long names, and tables [set] and [data].",
)


def _read(path: Path, command: click.Command) -> tuple[dict[str, Any], dict[str, Any]]:
    """Read options, by the names of their parameters, and tables."""
    try:
        options = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        msg = f"not valid TOML: {error}"
        raise InvalidArgumentError(msg) from error
    known = _keys(command)
    if strange := [name for name in options if name not in known]:
        msg = f"unknown options: {shorten(strange)}; known: {', '.join(sorted(known))}"
        raise InvalidArgumentError(msg)
    tables = {name: options.pop(name) for name in _TABLES if name in options}
    for name, table in tables.items():
        if not isinstance(table, dict):
            msg = f"{name} must be a table, [{name}], not {table!r}"
            raise InvalidArgumentError(msg)
        tables[name] = {key: check_finite(key, value) for key, value in _plain(table).items()}
    return {str(known[name].name): _fitting(known[name], value) for name, value in options.items()}, tables


def _keys(command: click.Command) -> dict[str, click.Parameter]:
    """Find the parameters that a configuration may set: arguments, and options by their long names."""
    keys: dict[str, click.Parameter] = {}
    for parameter in command.params:
        if isinstance(parameter, click.Argument):
            keys[str(parameter.name)] = parameter
        elif parameter.expose_value:
            name = next(name for name in parameter.opts if name.startswith("--"))
            keys[name.removeprefix("--")] = parameter
    return keys


def _fitting(parameter: click.Parameter, value: Any) -> Any:
    """Return what the command line would give: text, or a list for an option that takes several values."""
    several = parameter.nargs != 1 or (isinstance(parameter, click.Option) and parameter.multiple)
    given = value if several and isinstance(value, list) else [value]
    flag = isinstance(parameter.type, click.types.BoolParamType)
    kinds = (list, dict, time) if flag else (list, dict, time, bool)
    if strange := [each for each in given if isinstance(each, kinds) or "\0" in str(each)]:
        msg = f"{parameter.name} must be a single value, not {strange[0]!r:.60}"
        raise InvalidArgumentError(msg)
    # As text, because click would round 1.5 to a whole number.
    words = [each if getattr(parameter, "is_flag", False) else str(_plain(each)) for each in given]
    return words if several else words[0]


def _plain(value: Any) -> Any:
    """Convert a value to what it is on the command line: days as text, and the words of tables as values."""
    if isinstance(value, dict):
        words = {name: read_word(each) if isinstance(each, str) else each for name, each in value.items()}
        return {name: _plain(each) for name, each in words.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return value.isoformat() if isinstance(value, date) else value


_BARE = re.compile(r"[A-Za-z0-9_-]+")


def to_toml(values: Mapping[str, Any], *, comment: str = "") -> str:
    """Write a TOML document."""
    lines = [f"# {line}".rstrip() for line in comment.splitlines()]
    tables = {name: value for name, value in values.items() if isinstance(value, dict)}
    lines += _pairs({name: value for name, value in values.items() if name not in tables})
    for name, table in tables.items():
        lines += ["", f"[{_key(name)}]", *_pairs(table)]
    return "\n".join([*lines, ""])


def _pairs(values: Mapping[str, Any]) -> list[str]:
    return [f"{_key(name)} = {_value(value)}" for name, value in values.items()]


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else _value(name)


def _value(value: Any) -> str:
    if value is None:
        return '"none"'
    if isinstance(value, float):
        return repr(value)  # TOML has inf and nan, too
    if isinstance(value, int | str):
        # As JSON, except for one control character.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(_pairs(value))}}}"
    msg = f"{value!r} cannot be written as TOML, because it is a {type(value).__name__}"
    raise InvalidArgumentError(msg)
