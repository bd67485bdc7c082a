"""The command ``xmsgl train``, and the configuration that makes a model again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from xmsgl.cli.arguments import dataset_argument, known_days, parse_validation, paths_of
from xmsgl.cli.as_json import json_option, strict_json
from xmsgl.cli.config import config_option, config_path, settings_of_table, to_toml
from xmsgl.cli.lists import ListsCommand
from xmsgl.cli.outputs import check_model
from xmsgl.datasets.open import open_data
from xmsgl.errors import InvalidArgumentError, OutputError
from xmsgl.training.recipes import RECIPES

if TYPE_CHECKING:
    from collections.abc import Mapping

    import xarray as xr

    from xmsgl.training.watch.standing import Observer

__all__ = ["train", "train_config"]

# Settings of training that have an option of their own.
_OPTIONS = ("method", "recipe", "epochs", "seed", "ensemble", "validation")


def _recipes(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
    return [CompletionItem(name) for name in RECIPES if name.startswith(incomplete)]


@click.command(cls=ListsCommand)
@dataset_argument
@config_option
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), required=True, help="The model, a .safetensors file."
)
@click.option(
    "--method",
    default="msgl",
    show_default=True,
    help="A name in the registry of methods, for example msgl, async-msgl, fine-only.",
)
@click.option(
    "--recipe",
    default=None,
    shell_complete=_recipes,
    help="Settings by name: published. Default: the package's own.",
)
@click.option("--epochs", type=click.IntRange(1), default=None, help="Default: the recipe's, else 60.")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option(
    "--ensemble",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Members to train; the mean of their predictions is the model's.",
)
@click.option(
    "--set",
    "others",
    multiple=True,
    help="Other settings of training: backbone=lstm hidden=32 average=0.98 start=remap.safetensors.",
)
@click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda.")
@click.option(
    "--validation",
    callback=known_days,
    default="0.15",
    show_default=True,
    help="Kept to choose the best epoch and to calibrate intervals: a share of windows, days "
    "(2011-10-01/2012-09-30, several with commas), or none.",
)
@click.option(
    "--fingerprint", default=None, help="Stop unless network, days and labels have this digest (describe)."
)
@click.option(
    "--checkpoint", type=click.Path(path_type=Path), default=None, help="Rewritten after every epoch."
)
@click.option(
    "--resume", type=click.Path(exists=True, path_type=Path), default=None, help="A checkpoint to go on from."
)
@click.option(
    "--tensorboard",
    type=click.Path(path_type=Path, file_okay=False),
    default=None,
    help="A folder to log every epoch to, for TensorBoard.",
)
@json_option
@click.pass_context
def train(
    ctx: click.Context,
    /,
    *,
    dataset: str,
    data: tuple[str, ...],
    output: Path,
    others: tuple[str, ...],
    validation: str,
    device: str,
    fingerprint: str | None,
    checkpoint: Path | None,
    resume: Path | None,
    tensorboard: Path | None,
    as_json: bool,
    **settings: Any,
) -> None:
    """Train a model on the labels in DATASET. Labels set to NaN are held out.

    DATASET is a netCDF file, a Zarr store, or goes by a name, such as simulated. --set takes any setting that
    training in Python does, several at once; values are JSON, or True, False and None, where they parse as
    such, else text.
    """
    others_given = settings_of_table(ctx, "set", others)
    for name in others_given:
        _refuse_own_option(ctx, name)
    start = others_given.pop("start", None)
    kept = parse_validation(validation)
    chosen = {name: value for name, value in settings.items() if value is not None}
    _check_settings({**chosen, **others_given, "validation": kept})  # before any data are opened
    reads = paths_of(dataset, config_path(ctx), start)
    check_model(output, [*reads, *paths_of(resume)])
    if checkpoint is not None:
        _check_checkpoint(checkpoint, output, reads)
    ds = open_data(dataset, **settings_of_table(ctx, "data", data))
    _check_fingerprint(ds, fingerprint)
    files = {"checkpoint": checkpoint, "resume": resume, "start": start, "device": device}
    model = ds.msgl.train(
        **chosen, **others_given, **files, validation=kept, observers=_observers(tensorboard)
    )
    model.save(output)
    facts = {"model": str(output), "sha256": model.sha256, "history": model.history}
    click.echo(strict_json(facts) if as_json else f"{model!r}\nwritten to {output}")


def _check_checkpoint(checkpoint: Path, output: Path, reads: list[Path]) -> None:
    """Check where a training leaves what it goes on from; it may be what it goes on from itself."""
    check_model(checkpoint, reads)
    if checkpoint.resolve() == output.resolve():
        msg = f"cannot write {output}: it is the checkpoint, too; choose another name for one of them"
        raise OutputError(msg)


def _check_settings(settings: Mapping[str, Any]) -> None:
    from xmsgl.training.settings import TrainSettings

    TrainSettings.of(**settings)


def _check_fingerprint(ds: xr.Dataset, expected: str | None) -> None:
    """Refuse a dataset that is not the one that was asked for."""
    from xmsgl.training.provenance import fingerprint

    if expected is not None and (found := fingerprint(ds)) != expected:
        msg = (
            f"the fingerprint of network, days and labels is {found[:12]}, not {expected[:12]} as expected: "
            "this is another dataset, or other labels are masked; leave fingerprint out to train on it all "
            "the same"
        )
        raise InvalidArgumentError(msg)


def _observers(tensorboard: Path | None) -> list[Observer]:
    if tensorboard is None:
        return []
    from xmsgl.training.watch.tensorboard import TensorBoardLog

    return [TensorBoardLog(tensorboard)]


def _refuse_own_option(ctx: click.Context, name: str) -> None:
    for parameter in ctx.command.params:
        if parameter.name == name:
            msg = f"{name} has an option of its own, {parameter.opts[-1]}"
            raise click.BadParameter(msg, ctx)


def train_config(training: Mapping[str, Any], origin: str) -> str:
    """Write the configuration that trains a model again."""
    if "settings" not in training:
        msg = (
            f"{origin} does not tell the settings it was trained with: it is one member of an ensemble, or "
            "older than xmsgl 0.2"
        )
        raise InvalidArgumentError(msg)
    settings, data = _beside_recipe(training), dict(training["data"])
    own = {name: settings.pop(name) for name in _OPTIONS if name in settings}
    named = {"dataset": data.pop("dataset")} if data else {}
    values = {**named, **own, "fingerprint": training["fingerprint"]}
    tables = {name: table for name, table in (("data", data), ("set", settings)) if table}
    return to_toml({**values, **tables}, comment="\n".join(_remarks(training, known=bool(named))))


def _beside_recipe(training: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a model, those that its recipe sets by the recipe's name."""
    from xmsgl.training.settings import TrainSettings

    settings = dict(training["settings"])
    if (recipe := training.get("recipe")) is None:
        return settings
    return {"recipe": recipe, **TrainSettings.of(**settings).differing(recipe)}


def _remarks(training: Mapping[str, Any], *, known: bool) -> list[str]:
    place = "" if known else "DATASET "
    versions = ", ".join(f"{name} {version}" for name, version in sorted(training["versions"].items()))
    lines = [f"xmsgl train {place}--config THIS -o MODEL", f"with {versions}"]
    if not known:
        lines.append(f"dataset: {training['dataset'] or 'without a title'}; give its file")
    if begun := training.get("begun_with"):
        lines.append(f"began with the model {begun}; add --set start=FILE")
    return lines
