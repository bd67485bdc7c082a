"""What commands read: datasets by path or name, and validation days."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

from xmsgl.datasets.open import DATASETS

__all__ = ["BY_NAME", "dataset_argument", "known_days", "parse_validation", "paths_of"]

Command = TypeVar("Command", bound=Callable[..., Any])

#: Datasets that go by a name, as a text says it.
BY_NAME = " or ".join(DATASETS)


def _known_dataset(_: click.Context, __: click.Parameter, value: str) -> str:
    if value in DATASETS or Path(value).exists():
        return value
    msg = f"{value!r} is neither a file nor a dataset of the package, {BY_NAME}"
    raise click.BadParameter(msg)


def _complete_dataset(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
    named = [CompletionItem(name) for name in DATASETS if name.startswith(incomplete)]
    return [*named, CompletionItem(incomplete, type="file")]


def dataset_argument(command: Command) -> Command:
    """Give a command its dataset, and the arguments of one that goes by a name."""
    argument = click.argument("dataset", callback=_known_dataset, shell_complete=_complete_dataset)
    data = click.option(
        "--data",
        multiple=True,
        help=f"Arguments of {BY_NAME}: region=02040104, n_coarse=20.",
    )
    return argument(data(command))


def paths_of(*words: object) -> list[Path]:
    """Return those of what a command was given that are files or folders, and not names or None."""
    paths = [Path(word) for word in words if isinstance(word, str | Path) and word not in DATASETS]
    return [path for path in paths if path.exists()]


def known_days(_: click.Context, __: click.Parameter, value: str) -> str:
    """Refuse, as a wrong command line, what can not be kept for validation."""
    try:
        parse_validation(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error
    return value


def parse_validation(text: str) -> float | str | None:
    """Read what is kept for validation: a fraction, date ranges, or none."""
    from xmsgl.inputs.validation import read_validation

    try:
        kept: float | str | None = float(text)
    except ValueError:
        kept = None if text == "none" else text
    read_validation(kept)
    return kept
