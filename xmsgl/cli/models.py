"""The command ``xmsgl models``, and how the others take a model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

from xmsgl.models.file.packaged import packaged_names

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["aligned", "complete_model", "known_model", "models"]

_COLUMNS = ("method", "members", "trained on", "labels", "intervals", "parameters", "size")


def complete_model(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the name of a packaged model, or leave it to the shell to complete a file's."""
    named = [CompletionItem(name) for name in packaged_names() if name.startswith(incomplete)]
    return [*named, CompletionItem(incomplete, type="file")]


def known_model(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
    """Refuse, as a wrong command line, what is neither a file nor a packaged model."""
    if value is None or value in packaged_names() or Path(value).is_file():
        return value
    msg = (
        f"{value!r} is neither a file nor a packaged model; packaged: {', '.join(packaged_names()) or 'none'}"
    )
    raise click.BadParameter(msg)


@click.command()
@click.argument(
    "model", callback=known_model, shell_complete=complete_model, required=False, metavar="[NAME]"
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON, for scripts.")
def models(*, model: str | None, as_json: bool) -> None:
    """List the models that come with the package, or tell all about one.

    NAME is a packaged model, or a .safetensors file of your own. Whatever takes a model takes either.
    """
    from xmsgl.models.file.card import model_facts
    from xmsgl.models.file.model import load_model

    names = packaged_names() if model is None else (model,)
    facts = {name: model_facts(load_model(name)) for name in names}
    if as_json:
        click.echo(json.dumps(facts if model is None else facts[model]))
    elif model is not None:
        click.echo(aligned(list(facts[model].items())))
    elif facts:
        rows = [[name, *(of[column] for column in _COLUMNS)] for name, of in facts.items()]
        click.echo(aligned([["name", *_COLUMNS], *rows]))
    else:
        click.echo("no models are packaged with this version; train one: xmsgl train", err=True)


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Write rows of text in columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)
