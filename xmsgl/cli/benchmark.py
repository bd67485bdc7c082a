"""The command ``xmsgl benchmark``."""

from __future__ import annotations

import hashlib
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from xmsgl.cli.config import config_option, config_path, settings_of_table
from xmsgl.cli.lists import ListsCommand
from xmsgl.errors import UnknownNameError
from xmsgl.util.spec import parse_seeds, parse_settings
from xmsgl.util.writing import write_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from xmsgl.benchmark import Run

__all__ = ["benchmark"]

_COMMAND = "xmsgl.command"


class _Remembering(ListsCommand):
    """Keeps the command line as it was typed, to say how to go on."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.meta[_COMMAND] = shlex.join(["xmsgl", "benchmark", *args])
        return super().parse_args(ctx, args)


def _known_source(ctx: click.Context, _: click.Parameter, value: str) -> str:
    """Refuse what is no source of the benchmark, imported late, for they bring dask and SciPy along."""
    if ctx.resilient_parsing:  # only completing
        return value
    from xmsgl.benchmark.sources import source_of

    try:
        source_of(value)
    except UnknownNameError as error:
        raise click.BadParameter(str(error)) from error
    return value


def _complete_source(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
    from xmsgl.benchmark.sources import SOURCES

    return [CompletionItem(name) for name in SOURCES if name.startswith(incomplete)]


@click.command(cls=_Remembering)
@click.argument("dataset", callback=_known_source, shell_complete=_complete_source)
@config_option
@click.option(
    "--protocol",
    type=click.Choice(["temporal", "spatial"]),
    default="temporal",
    show_default=True,
    help="Hold out whole water years, or a fifth of the segments; always at both scales.",
)
@click.option(
    "--fractions",
    multiple=True,
    type=click.FloatRange(0, 1, min_open=True),
    help="Parts of the fine labels to learn from. Default: 0.001 0.01 0.1 1 (temporal), 1 (spatial).",
)
@click.option(
    "--methods",
    multiple=True,
    help="Networks and references, with settings where wanted: msgl:kernel=reference,hops=5.",
)
@click.option(
    "--seeds",
    multiple=True,
    default=["3"],
    show_default=True,
    help="How many, from 0 on; or which: 0 1 7, or 2-4.",
)
@click.option(
    "--draw",
    type=click.IntRange(0),
    default=None,
    help="Seed of labels, segments and basins in all runs. Default: each run's own seed.",
)
@click.option("--set", "settings", multiple=True, help="Settings of all networks: epochs=40 hidden=32.")
@click.option("--data", multiple=True, help="Arguments of the dataset: region=02040104, n_coarse=20.")
@click.option(
    "--degrade",
    multiple=True,
    help="Make coarse labels or process model worse, one set of runs each: none noise=1 noise=2,bias=1.",
)
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), default="benchmark-output", show_default=True
)
@click.option("--jobs", type=click.IntRange(1), default=1, show_default=True, help="Processes side by side.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda.")
@click.option(
    "--ensembles", is_flag=True, help="Also score the mean of seeds that learned from equal labels."
)
@click.option(
    "--blend",
    "blends",
    multiple=True,
    help="Also score the mean of several methods, named as in the table: 'msgl + booster-coarse'.",
)
@click.option("--figures/--no-figures", default=True, show_default=True, help="Draw figures.")
@click.option("--list", "only_list", is_flag=True, help="List the runs, say which are finished, and stop.")
@click.pass_context
def benchmark(
    ctx: click.Context,
    /,
    *,
    dataset: str,
    seeds: tuple[str, ...],
    settings: tuple[str, ...],
    data: tuple[str, ...],
    degrade: tuple[str, ...],
    only_list: bool,
    **options: Any,
) -> None:
    """Compare methods on a DATASET: the same split, the same scores, several seeds.

    DATASET goes by a name, such as simulated; for an unknown one, all names are listed.
    Finished runs are kept: the same command goes on where it stopped, and another one with the same folder
    adds to it. Options that take a list take it at once: --fractions 0.01 1 --methods msgl fine-only.
    """
    from xmsgl.benchmark import make_plan, run

    arguments = {
        "protocol": options.pop("protocol"),
        "fractions": options.pop("fractions") or None,
        "methods": options.pop("methods") or None,
        "seeds": parse_seeds(seeds),
        "draw": options.pop("draw"),
        "settings": settings_of_table(ctx, "set", settings),
        "data": settings_of_table(ctx, "data", data),
        "degrade": [{} if text == "none" else parse_settings(text) for text in degrade] or None,
    }
    if only_list:
        _list(make_plan(dataset, **arguments), options["out"])
        return
    _keep_config(ctx, options["out"])
    try:
        run(dataset, **arguments, **options, command=ctx.meta[_COMMAND])
    except KeyboardInterrupt:
        click.echo(f"interrupted; to go on: {ctx.meta[_COMMAND]}", err=True)
        ctx.exit(1)
    click.echo((options["out"] / "table.md").read_text(encoding="utf-8").rstrip())


def _keep_config(ctx: click.Context, out: Path) -> None:
    """Keep the configuration beside the results, for the command that made them names it."""
    from xmsgl.benchmark.store import Store

    if path := config_path(ctx):
        content = path.read_bytes()
        Store(out).make()
        write_bytes(out / f"config-{hashlib.sha256(content).hexdigest()[:8]}.toml", content)


def _list(plan: Sequence[Run], out: Path) -> None:
    from xmsgl.benchmark.store import Store

    store = Store(out)
    for run in plan:
        click.echo(f"{'done' if store.is_finished(run.id) else 'todo'}  {run.id}")
    click.echo(f"{len(plan)} runs, {len(store.missing(run.id for run in plan))} to do", err=True)
