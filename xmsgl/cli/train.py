"""The command ``xmsgl train``, and the configuration that reproduces a model."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from xmsgl.cli.arguments import (
    completing,
    dataset_argument,
    device_option,
    existing_type,
    folder_type,
    path_type,
    paths_of,
    scheduler_option,
)
from xmsgl.cli.as_json import json_option, show
from xmsgl.cli.config import config_option, config_path, table_option, to_toml
from xmsgl.cli.lists import ListsCommand
from xmsgl.cli.outputs import MODEL, check_output
from xmsgl.datasets.open import open_data
from xmsgl.errors import InvalidArgumentError, OutputError
from xmsgl.training.recipes import RECIPES
from xmsgl.util.options import set_options
from xmsgl.util.remote import Remote, address_of
from xmsgl.util.writing import check_target

if TYPE_CHECKING:
    from collections.abc import Mapping

    import xarray as xr

    from xmsgl.training.watch.standing import Observer
    from xmsgl.util.remote import Location

__all__ = ["check_fingerprint", "settings_of", "train", "train_config"]

# Settings of training with their own option.
_OPTIONS = ("method", "recipe", "epochs", "seed", "ensemble", "validation", "frozen")


def _validation_days(_: click.Context, __: click.Parameter, text: str) -> float | str | None:
    """Read a fraction, date ranges or none; anything else is a wrong command line."""
    from xmsgl.inputs.validation import read_validation

    try:
        kept: float | str | None = float(text)
    except ValueError:
        kept = None if text == "none" else text
    try:
        read_validation(None if kept == "default" else kept)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error
    return kept


@click.command(cls=ListsCommand)
@dataset_argument
@config_option
@click.option("-o", "--output", type=path_type, required=True, help="Model file to write (.safetensors).")
@click.option(
    "--method", help="For example msgl, remap, trees. Default: from the recipe, or a stack of msgl and trees."
)
@click.option(
    "--recipe",
    shell_complete=completing(lambda: RECIPES),
    help="A set of settings: gauged, ungauged, sensors, quick or published. Default: those of the package.",
)
@click.option(
    "--epochs",
    type=click.IntRange(1),
    help="Of a network. Default: 30, and more below 1000 steps, or from the recipe.",
)
@click.option("--seed", type=int, default=0, show_default=True)
@click.option(
    "--ensemble",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Members to train; the model predicts their mean.",
)
@table_option(
    "set",
    "Other settings of training: backbone=lstm hidden=32 average=0.98 start=remap.safetensors.",
    "others",
)
@click.option(
    "--frozen",
    multiple=True,
    help="Parts that keep the weights of the model to start with (--set start=FILE): cell coarse_head.",
)
@device_option
@scheduler_option
@click.option(
    "--validation",
    callback=_validation_days,
    default="default",
    help="Data kept to choose the best epoch and to calibrate intervals: a fraction of the windows, date "
    "ranges (2011-10-01/2012-09-30), segments (15 % of the gauged ones) or segments:0.2, both as "
    "days:0.15,segments:0.2, or none. Default: from the recipe, or 0.15.",
)
@click.option(
    "--deterministic", is_flag=True, help="Train in one thread: the same weights on any number of cores."
)
@click.option(
    "--fingerprint", help="Stop unless network, days and labels have this digest (describe --toml prints it)."
)
@click.option("--checkpoint", type=path_type, help="Checkpoint to write after every epoch.")
@click.option("--resume", type=existing_type, help="Checkpoint to continue from.")
@click.option("--tensorboard", type=folder_type, help="Folder for TensorBoard logs of every epoch.")
@json_option
@click.pass_context
def train(
    ctx: click.Context,
    /,
    *,
    dataset: str,
    data: dict[str, Any],
    output: Location,
    others: dict[str, Any],
    device: str,
    deterministic: bool,
    fingerprint: str | None,
    checkpoint: Location | None,
    resume: Location | None,
    tensorboard: Path | None,
    **settings: Any,
) -> None:
    """Train a model on the labels in DATASET. Labels set to NaN are held out.

    DATASET is a netCDF file, a Zarr store or a name such as simulated. --set takes any setting of training in
    Python, several at once. Values are read as JSON or as True, False or None if possible, and otherwise as
    text.
    """
    from xmsgl.training.team import joined

    own = {str(parameter.name): parameter.opts[-1] for parameter in ctx.command.params}
    if repeated := sorted(own.keys() & others):
        known = {name: others[name] for name in repeated if name in _OPTIONS}
        _check_settings(known if "recipe" in known else {"method": "msgl", **known})
        msg = f"--set cannot take {repeated[0]}, which has its own option; use {own[repeated[0]]}"
        raise click.BadParameter(msg, ctx)
    start = others.pop("start", None)
    chosen = {name: value for name, value in settings.items() if value not in (None, ())}
    chosen["validation"] = settings["validation"]
    if chosen["validation"] == "default":
        del chosen["validation"]
    if isinstance(start, str) and not chosen.keys() & {"method", "recipe"}:
        from xmsgl.training.start import Start

        chosen["method"] = Start(start).method
    _check_settings({**chosen, **others})  # before any data are opened
    reads = paths_of(dataset, config_path(ctx), start)
    check_output(output, MODEL, [*reads, *paths_of(resume)])
    if checkpoint is not None:
        _check_checkpoint(checkpoint, output, reads)
    if tensorboard is not None and tensorboard.is_dir():
        local = [each for each in reads if isinstance(each, Path)]
        check_target(tensorboard / "events", reads=local)
    ds = open_data(dataset, **data)
    check_fingerprint(ds, fingerprint)
    files = {
        "checkpoint": address_of(checkpoint),
        "resume": address_of(resume),
        "start": start,
        "device": device,
    }
    if deterministic:
        set_options(deterministic=True)
    with joined() as team:
        if not team.leads:
            logging.getLogger("xmsgl").setLevel(logging.ERROR)  # one report is enough
        watching = _observers(tensorboard) if team.leads else []
        model = ds.msgl.train(**chosen, **others, **files, observers=watching)
    if not team.leads:
        return
    model.save(address_of(output))
    facts = {"model": str(output), "sha256": model.sha256, "history": model.history}
    show(facts, f"{model!r}\nwritten to {output}")


def _check_checkpoint(checkpoint: Location, output: Location, reads: list[Location]) -> None:
    """Check that a checkpoint can be written; it may be the one that training continues from."""
    check_output(checkpoint, MODEL, reads)
    if _same(checkpoint, output):
        msg = f"cannot write {output}: it is also the checkpoint; choose another name for one of them"
        raise OutputError(msg)


def _same(one: Location, other: Location) -> bool:
    if isinstance(one, Path) and isinstance(other, Path):
        return one.resolve() == other.resolve()
    return isinstance(one, Remote) and isinstance(other, Remote) and one.same_as(other)


def _check_settings(settings: Mapping[str, Any]) -> None:
    from xmsgl.training.settings import TrainSettings

    TrainSettings.of(**settings)


def check_fingerprint(ds: xr.Dataset, expected: str | None) -> None:
    """Refuse a dataset with another fingerprint than the expected one."""
    from xmsgl.training.provenance import fingerprint

    if expected is not None and (found := fingerprint(ds)) != expected:
        msg = (
            f"the fingerprint of network, days and labels is {found[:12]}, expected {expected[:12]}: "
            "this is another dataset, or other labels are masked; leave out fingerprint to train on it anyway"
        )
        raise InvalidArgumentError(msg)


def _observers(tensorboard: Path | None) -> list[Observer]:
    if tensorboard is None:
        return []
    from xmsgl.training.watch.tensorboard import TensorBoardLog

    return [TensorBoardLog(tensorboard)]


def settings_of(training: Mapping[str, Any], origin: str) -> dict[str, Any]:
    """Return the arguments of the training of a model, other than the dataset and files."""
    if "settings" not in training:
        msg = (
            f"{origin} does not store the settings it was trained with, because it is one member of an "
            "ensemble or older than xmsgl 0.2"
        )
        raise InvalidArgumentError(msg)
    from xmsgl.training.settings import TrainSettings

    settings = dict(training["settings"])
    if (recipe := training.get("recipe")) is None:
        return settings
    return {"recipe": recipe, **TrainSettings.of(**settings).differing(recipe)}


def train_config(training: Mapping[str, Any], origin: str) -> str:
    """Write the configuration that trains a model again."""
    settings, data = settings_of(training, origin), dict(training["data"])
    own = {name: settings.pop(name) for name in _OPTIONS if name in settings}
    named = {"dataset": data.pop("dataset")} if data else {}
    own |= {"deterministic": True} if training.get("deterministic") else {}
    values = {**named, **own, "fingerprint": training["fingerprint"]}
    tables = {name: table for name, table in (("data", data), ("set", settings)) if table}
    return to_toml({**values, **tables}, comment="\n".join(_remarks(training, known=bool(named))))


def _remarks(training: Mapping[str, Any], *, known: bool) -> list[str]:
    """Explain how to use a configuration, whose dataset is known or not."""
    place = "" if known else "DATASET "
    versions = ", ".join(f"{name} {version}" for name, version in sorted(training["versions"].items()))
    lines = [f"xmsgl train {place}--config THIS -o MODEL", f"with {versions}"]
    if not known:
        lines.append(f"dataset: {training['dataset'] or 'without a title'}; give its file")
    if begun := training.get("begun_with"):
        lines.append(f"started from the model {begun}; add --set start=FILE")
    return lines
