"""The command ``xmsgl benchmark``."""

from __future__ import annotations

import hashlib
import shlex
from typing import TYPE_CHECKING, Any

import click

from xmsgl.cli.arguments import Names, completing, device_option, folder_type
from xmsgl.cli.as_json import say
from xmsgl.cli.config import config_option, config_path, table_option
from xmsgl.cli.lists import ListsCommand
from xmsgl.errors import UnknownNameError
from xmsgl.util.spec import parse_draws, parse_seeds, parse_settings
from xmsgl.util.writing import write_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from xmsgl.benchmark import Run

__all__ = ["benchmark"]

_COMMAND = "xmsgl.command"


class _Remembering(ListsCommand):
    """Keeps the command line as typed, to show how to continue."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.meta[_COMMAND] = shlex.join(["xmsgl", "benchmark", *args])
        return super().parse_args(ctx, args)


def _known_source(ctx: click.Context, _: click.Parameter, value: str) -> str:
    """Refuse an unknown dataset; imported late, because the sources import dask and SciPy."""
    if ctx.resilient_parsing:  # completion only
        return value
    from xmsgl.benchmark.sources import SOURCES

    try:
        SOURCES[value]
    except UnknownNameError as error:
        raise click.BadParameter(str(error)) from error
    return value


def _sources() -> Iterable[str]:
    from xmsgl.benchmark.sources import SOURCES

    return SOURCES


@click.command(cls=_Remembering)
@click.argument("dataset", callback=_known_source, shell_complete=completing(_sources))
@config_option
@click.option(
    "--protocol",
    type=Names(
        ["temporal", "spatial", "kfold", "spatial-observed", "forecast", "gaps-30", "gaps-180"]
        + [f"sensors-{percent}" for percent in (5, 10, 20, 50)]
    ),
    default="temporal",
    show_default=True,
    help="Hold out whole water years, a fifth of the segments, or groups of neighbouring segments in five "
    "folds (draws 0 to 4; 5 to 9 divide again); always at both scales. Given sensors: segments while all "
    "others report, the days after an issue, gaps, or the gauges that do not report.",
)
@click.option(
    "--fractions",
    multiple=True,
    type=click.FloatRange(0, 1, min_open=True),
    help="Fractions of the fine labels to train on. Default: 0.001 0.01 0.1 1 (temporal), 1 (spatial).",
)
@click.option(
    "--methods",
    multiple=True,
    help="Networks and reference methods, optionally with settings: msgl:kernel=reference,hops=5. Default: "
    "climatology regression fine-only remap msgl async-msgl, and without --set stack.",
)
@click.option(
    "--seeds",
    multiple=True,
    default=["3"],
    show_default=True,
    help="How many, counted from 0; or which: 0 1 7, or 2-4.",
)
@click.option(
    "--draw",
    multiple=True,
    help="Seeds for drawing labels, segments and basins, each with all of --seeds: 0 1, or 0-14. Default: "
    "the seed of each run.",
)
@table_option("set", "Settings of all networks: epochs=40 hidden=32.", "settings")
@table_option("data", "Arguments of the dataset: region=02040104, n_coarse=20.")
@click.option(
    "--degrade",
    multiple=True,
    help="Degrade coarse labels or the process model, one set of runs each: none noise=1 noise=2,bias=1.",
)
@click.option("--out", type=folder_type, default="benchmark-output", show_default=True)
@click.option("--jobs", type=click.IntRange(1), default=1, show_default=True, help="Parallel processes.")
@click.option(
    "--scheduler",
    metavar="ADDRESS",
    help="Execute each run on a worker of this Dask scheduler: tcp://host:8786. All share the folder --out.",
)
@device_option
@click.option("--ensembles", is_flag=True, help="Also score the mean over seeds trained on the same labels.")
@click.option(
    "--blend",
    "blends",
    multiple=True,
    help="Also score the mean of several methods, by their names in the table: 'msgl + booster-coarse'.",
)
@click.option("--figures/--no-figures", default=True, show_default=True, help="Draw figures.")
@click.option(
    "--list", "only_list", is_flag=True, help="List the runs and whether they are finished, then stop."
)
@click.pass_context
def benchmark(
    ctx: click.Context,
    /,
    *,
    dataset: str,
    seeds: tuple[str, ...],
    settings: dict[str, Any],
    data: dict[str, Any],
    degrade: tuple[str, ...],
    only_list: bool,
    **options: Any,
) -> None:
    """Compare methods on DATASET.

    All methods have the same split, scores and seeds. DATASET is a name such as simulated; an unknown name
    lists all names. Finished runs are kept: the same command continues where it stopped, and another command
    with the same folder adds its runs. Options that take a list take all its values at once: --fractions
    0.01 1 --methods msgl fine-only.
    """
    from xmsgl.benchmark import make_plan, run

    arguments = {
        "protocol": options.pop("protocol"),
        "fractions": options.pop("fractions") or None,
        "methods": options.pop("methods") or None,
        "seeds": parse_seeds(seeds),
        "draw": parse_draws(options.pop("draw")) or None,
        "settings": settings,
        "data": data,
        "degrade": [{} if text == "none" else parse_settings(text) for text in degrade] or None,
    }
    if only_list:
        _list(make_plan(dataset, **arguments), options["out"])
        return
    _keep_config(ctx, options["out"])
    try:
        run(dataset, **arguments, **options, command=ctx.meta[_COMMAND])
    except KeyboardInterrupt:
        say(f"interrupted; to continue: {ctx.meta[_COMMAND]}", err=True)
        ctx.exit(1)
    say((options["out"] / "table.md").read_text(encoding="utf-8").rstrip())


def _keep_config(ctx: click.Context, out: Path) -> None:
    """Keep the configuration beside the results, because the command that made them names it."""
    from xmsgl.benchmark.store import Store

    if path := config_path(ctx):
        content = path.read_bytes()
        Store(out).make()
        write_bytes(out / f"config-{hashlib.sha256(content).hexdigest()[:8]}.toml", content)


def _list(plan: Sequence[Run], out: Path) -> None:
    from xmsgl.benchmark.store import Store

    store = Store(out)
    for run in plan:
        say(f"{'done' if store.is_finished(run.id) else 'todo'}  {run.id}")
    say(f"{len(plan)} runs, {len(store.missing(run.id for run in plan))} to do", err=True)
