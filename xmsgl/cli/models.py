"""The command ``xmsgl models``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from xmsgl.cli.arguments import complete_model, known_model
from xmsgl.cli.as_json import json_option, prints_json, say, show
from xmsgl.models.file.packaged import packaged_names

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["aligned", "models"]

_COLUMNS = ("method", "members", "trained on", "labels", "intervals", "parameters", "size")


@click.command()
@click.argument(
    "model", callback=known_model, shell_complete=complete_model, required=False, metavar="[NAME]"
)
@json_option
@click.pass_context
def models(ctx: click.Context, /, *, model: str | None) -> None:
    """List the packaged models, or describe one model in full.

    NAME is a packaged model or a .safetensors file; commands that take a model accept both.
    """
    from xmsgl.models.file.card import model_facts
    from xmsgl.models.file.model import load_model

    names = packaged_names() if model is None else (model,)
    facts = {name: model_facts(load_model(name)) for name in names}
    if model is not None:
        show(facts[model], aligned(list(facts[model].items())))
    elif facts or prints_json(ctx):
        rows = [[name, *(of[column] for column in _COLUMNS)] for name, of in facts.items()]
        show(facts, aligned([["name", *_COLUMNS], *rows]))
    else:
        say("no models are packaged with this version; train one with xmsgl train", err=True)


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Write rows of text in columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)
