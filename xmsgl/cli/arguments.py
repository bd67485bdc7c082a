"""Arguments that several commands share, and their completion."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeAlias

import click
from click.shell_completion import CompletionItem

from xmsgl.cli.config import Command, table_option
from xmsgl.datasets.open import DATASETS
from xmsgl.models.file.packaged import packaged_names

__all__ = [
    "BY_NAME",
    "complete_model",
    "completing",
    "dataset_argument",
    "device_option",
    "folder_type",
    "known_model",
    "path_type",
    "paths_of",
]

Completion: TypeAlias = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]

#: The datasets of the package, for help texts and messages.
BY_NAME = " or ".join(DATASETS)


def completing(names: Callable[[], Iterable[str]], *, files: bool = False) -> Completion:
    """Make a completion of some names and, if wanted, of files."""

    def complete(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
        found = [CompletionItem(name) for name in names() if name.startswith(incomplete)]
        return [*found, CompletionItem(incomplete, type="file")] if files else found

    return complete


complete_model = completing(packaged_names, files=True)

path_type = click.Path(path_type=Path)
folder_type = click.Path(path_type=Path, file_okay=False)
device_option = click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda.")


def _known_dataset(_: click.Context, __: click.Parameter, value: str) -> str:
    if value in DATASETS or Path(value).exists():
        return value
    msg = f"{value!r} is not a known dataset ({', '.join(DATASETS)}) or an existing file"
    raise click.BadParameter(msg)


def dataset_argument(command: Command) -> Command:
    """Add the argument DATASET, and ``--data`` for the arguments of a dataset of the package."""
    complete = completing(lambda: DATASETS, files=True)
    argument = click.argument("dataset", callback=_known_dataset, shell_complete=complete)
    return argument(table_option("data", f"Arguments of {BY_NAME}: region=02040104, n_coarse=20.")(command))


def known_model(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
    """Refuse, as a wrong command line, what is neither a packaged model nor a file."""
    if value is None or value in packaged_names() or Path(value).is_file():
        return value
    names = ", ".join(packaged_names()) or "none"
    msg = f"{value!r} is not a packaged model ({names}) or an existing file"
    raise click.BadParameter(msg)


def paths_of(*words: object) -> list[Path]:
    """Select the existing files and folders among arguments that may also be names or None."""
    paths = [Path(word) for word in words if isinstance(word, str | Path) and word not in DATASETS]
    return [path for path in paths if path.exists()]
