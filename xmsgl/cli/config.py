"""The configuration of a run: a TOML file whose keys are the options of its command."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from xmsgl.errors import InvalidArgumentError, shorten
from xmsgl.util.spec import check_finite, parse_settings, read_word

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["TABLES", "config_option", "config_path", "settings_of_table", "to_toml"]

Command = TypeVar("Command", bound=Callable[..., Any])

#: Tables of a configuration: options that take settings by name.
TABLES = ("set", "data")

_FILE, _SETTINGS = "xmsgl.config", "xmsgl.config.tables"


def config_option(command: Command) -> Command:
    """Let a command take its options from a file; those on the command line win."""
    return click.option(
        "--config",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        is_eager=True,
        expose_value=False,
        callback=_load,
        help="A TOML file with these options by their long names, and tables [set] and [data].",
    )(command)


def config_path(ctx: click.Context) -> Path | None:
    """Return the configuration that a command was given."""
    found: Path | None = ctx.meta.get(_FILE)
    return found


def settings_of_table(ctx: click.Context, table: str, words: Sequence[str]) -> dict[str, Any]:
    """Join what a table of the configuration says and what the option of its name does, which wins."""
    said: Mapping[str, Any] = ctx.meta.get(_SETTINGS, {}).get(table, {})
    return {**said, **parse_settings(",".join(words))}


def _load(ctx: click.Context, parameter: click.Parameter, path: Path | None) -> None:
    if path is None:
        return
    try:
        said = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        msg = f"{path} is not valid TOML: {error}"
        raise click.BadParameter(msg, ctx, parameter) from error
    known = _keys(ctx.command)
    if strange := [name for name in said if name not in known]:
        msg = f"{path} has no such options as {shorten(strange)}; known: {', '.join(sorted(known))}"
        raise click.BadParameter(msg, ctx, parameter)
    tables = {name: said.pop(name) for name in TABLES if name in said}
    for name, table in tables.items():
        if not isinstance(table, dict):
            msg = f"{path}: {name} must be a table, [{name}], not {table!r}"
            raise click.BadParameter(msg, ctx, parameter)
    ctx.meta[_FILE] = path
    try:
        ctx.meta[_SETTINGS] = {
            kind: {name: check_finite(name, value) for name, value in _plain(table).items()}
            for kind, table in tables.items()
        }
    except InvalidArgumentError as error:
        msg = f"{path}: {error}"
        raise click.BadParameter(msg, ctx, parameter) from error
    ctx.default_map = {known[name].name: _fitting(known[name], value) for name, value in said.items()}


def _keys(command: click.Command) -> dict[str, click.Parameter]:
    """Name what a configuration may hold: arguments, and options by their long names."""
    keys: dict[str, click.Parameter] = {}
    for parameter in command.params:
        if isinstance(parameter, click.Argument):
            keys[str(parameter.name)] = parameter
        elif parameter.expose_value and parameter.name != "as_json":
            name = next(name for name in parameter.opts if name.startswith("--"))
            keys[name.removeprefix("--")] = parameter
    return keys


def _fitting(parameter: click.Parameter, value: Any) -> Any:
    """Give an option that takes several values a list, and the others what they read as text."""
    if isinstance(parameter, click.Option) and parameter.multiple:
        return [_plain(each) for each in (value if isinstance(value, list) else [value])]
    return _plain(value)


def _plain(value: Any) -> Any:
    """Return what the value would be on the command line: days as text, and in tables words as values."""
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
