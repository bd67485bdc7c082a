"""The ``xmsgl`` command: the methods of ``ds.msgl`` for files."""

from __future__ import annotations

import json
import logging
import traceback
import warnings
from typing import TYPE_CHECKING, Any

import click

from xmsgl.cli.arguments import (
    Names,
    complete_model,
    dataset_argument,
    device_option,
    folder_type,
    known_model,
    observed_until,
    open_place,
    open_prediction,
    output_option,
    path_type,
    paths_of,
    prediction_option,
    quantiles_option,
    save_state_option,
    scheduler_option,
    start_option,
)
from xmsgl.cli.as_json import json_option, prints_json, say, show
from xmsgl.cli.benchmark import benchmark
from xmsgl.cli.completion import completion
from xmsgl.cli.config import table_option
from xmsgl.cli.describe import describe
from xmsgl.cli.files import carry, explore, export, plot, read
from xmsgl.cli.large import in_pieces, naming_damage, show_plan, write_resumable
from xmsgl.cli.lists import ListsCommand
from xmsgl.cli.models import aligned, models
from xmsgl.cli.outputs import BASIN, PREDICTION, STATE, check_output, write_dataset, write_prediction
from xmsgl.cli.reproduce import reproduce
from xmsgl.cli.train import train
from xmsgl.datasets.open import DATASETS, open_data
from xmsgl.errors import InvalidDatasetError, XMSGLError, XMSGLWarning, did_you_mean
from xmsgl.util.address import without_secrets
from xmsgl.util.cluster import of_a_cluster
from xmsgl.util.options import set_options
from xmsgl.util.progress import dask_bar

if TYPE_CHECKING:
    from pathlib import Path

    import xarray as xr

    from xmsgl.util.remote import Location

# Exit codes: 0 success, 1 an error of xmsgl, 2 a wrong command line (from click), 3 an invalid dataset.
EXIT_ERROR, EXIT_FAULTS = 1, 3
# Modules that decode values; they raise errors of many kinds.
_DECODING = ("xarray.coding.", "xarray.backends.netCDF4_", "xarray.backends.zarr")


class _Group(click.Group):
    """Reports errors of the package in one line with an exit code, and each warning in one line."""

    command_class = ListsCommand

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        if self.get_command(ctx, args[0]) is None and not args[0].startswith("-"):
            ctx.fail(f"no such command {args[0]!r}{did_you_mean(args[0], self.commands)}")
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            with warnings.catch_warnings():
                warnings.showwarning = _print_warning  # type: ignore[assignment]
                return super().invoke(ctx)
        except InvalidDatasetError as error:
            if prints_json(ctx):
                say(json.dumps({"faults": error.faults}))
            say(f"error: {error}", err=True)
            ctx.exit(EXIT_FAULTS)
        except (XMSGLError, OSError) as error:
            say(f"error: {without_secrets(str(error))}", err=True)
            ctx.exit(EXIT_ERROR)
        except MemoryError as error:
            say(f"error: not enough memory; choose fewer days or a smaller model ({error})", err=True)
            ctx.exit(EXIT_ERROR)
        except Exception as error:
            if of_a_cluster(error):
                say(f"error: the cluster did not compute this: {_in_a_line(error)}", err=True)
                ctx.exit(EXIT_ERROR)
            if not _from_a_file(error):
                raise
            say(f"error: a file cannot be read ({_in_a_line(error)}); write it again", err=True)
            ctx.exit(EXIT_ERROR)


def _in_a_line(error: Exception) -> str:
    return without_secrets(f"{type(error).__name__}: {' '.join(str(error).split())}")


def _from_a_file(error: Exception) -> bool:
    """Whether an error is from values of a file that were decoded when they were computed."""
    modules = [str(frame.f_globals.get("__name__")) for frame, _ in traceback.walk_tb(error.__traceback__)]
    return any(name.startswith(_DECODING) for name in modules)


def _print_warning(message: Warning | str, category: type[Warning], *where: Any) -> None:
    """Print a warning of the package in one line, and any other as Python does."""
    if issubclass(category, XMSGLWarning):
        say(f"warning: {message}", err=True)
    else:
        say(warnings.formatwarning(message, category, *where[:2]), err=True, nl=False)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="xmsgl")
@click.option("--quiet", is_flag=True, help="Show no progress bars.")
@click.option("--verbose", is_flag=True, help="Log every epoch and download.")
def main(*, quiet: bool, verbose: bool) -> None:
    """Downscale daily stream temperature from coarse segments to fine reaches.

    DATASET is a netCDF file or a Zarr store that follows the dataset convention (dimensions time,
    coarse, fine; see the data model in the documentation), or a name such as simulated.

    \b
    Exit codes: 0 success, 1 an error, 2 a wrong command line, 3 an invalid dataset.

    \b
    Data folders:
      XMSGL_DATA_DIR     folder of downloads and built datasets
      XMSGL_DATA_MIRROR  a folder or URL to try before the original addresses
    """  # noqa: D301 - the backspace makes click keep the lines as they are
    set_options(progress=not quiet, process_tuning=True)
    logging.basicConfig(format="%(message)s")
    logging.getLogger("xmsgl").setLevel(logging.INFO if verbose else logging.WARNING)


@main.command()
@click.option(
    "--data",
    type=Names(["auto", "delaware", "simulated"]),
    default="auto",
    show_default=True,
    help="auto is the Delaware if its files are available, otherwise the simulated basin.",
)
@click.option("--out", type=folder_type, default="demo-output", show_default=True)
@click.option("--seed", type=int, default=0, show_default=True)
def demo(*, data: str, out: Path, seed: int) -> None:
    """Run the whole workflow, from the dataset to a skill table.

    It builds the graphs, trains, downscales, scores and draws.
    """
    from xmsgl.cli.demo import run_demo

    run_demo(data, out, seed=seed, say=say)


@main.command()
@click.argument("dataset", type=Names(DATASETS))
@click.option("-o", "--output", type=path_type, help="Also write the dataset, as netCDF.")
@click.option(
    "--forcing",
    type=Names(["stations", "era5", "observed"]),
    help="For delaware: source of the weather. Default: stations.",
)
@click.option("--fine", type=Names(["mainstem", "all"]), help="For delaware: reaches. Default: mainstem.")
@click.option("--region", help="For delaware: a HUC8 or HUC12. Segment ids: --data region=1437.")
@table_option("data", "Other arguments of the dataset: n_coarse=20, start=2010-10-01.")
@json_option
@click.pass_context
def fetch(
    ctx: click.Context, /, *, dataset: str, output: Location | None, data: dict[str, Any], **named: str | None
) -> None:
    """Download and build DATASET, and summarise it."""
    from xmsgl import schema

    given = {name: value for name, value in named.items() if value is not None}
    if twice := sorted(given.keys() & data):
        msg = f"{', '.join(twice)} given both as an option and in --data; give it once"
        raise click.UsageError(msg, ctx)
    if output is not None:
        check_output(output, BASIN)
    ds = open_data(dataset, **{**given, **data})
    if output is not None:
        write_dataset(ds, output)
    report = schema.validate(ds, values=False)
    show(report.to_dict(), str(report))


@main.command()
@dataset_argument
@click.option("--no-labels", is_flag=True, help="Require no labels, for a DATASET used in prediction only.")
@scheduler_option
@json_option
def validate(*, dataset: str, data: dict[str, Any], no_labels: bool) -> None:
    """List all faults of DATASET (exit code 3 if any).

    A fault is a departure from the dataset convention.
    """
    from xmsgl import schema

    report = schema.validate(open_data(dataset, **data), labels=not no_labels)
    show(report.to_dict(), str(report))


@main.command()
@dataset_argument
@click.option(
    "-m",
    "--model",
    callback=known_model,
    shell_complete=complete_model,
    help="Packaged model (see xmsgl models) or .safetensors file. Default: delaware-gauged, and elsewhere "
    "delaware-ungauged.",
)
@output_option("netCDF file (.nc) or Zarr store (.zarr).")
@click.option("--warmup", type=click.IntRange(0), help="Days before each window. Default: as in training.")
@click.option(
    "--resume",
    is_flag=True,
    help="Write a Zarr store in pieces. The same command continues one that was stopped, and adds days that "
    "DATASET has gained.",
)
@start_option
@save_state_option
@click.option("--plan", is_flag=True, help="Say what would be computed, read and written, and stop.")
@quantiles_option
@device_option
@scheduler_option
@json_option
def downscale(
    *,
    dataset: str,
    data: dict[str, Any],
    model: str | None,
    output: Location,
    warmup: int | None,
    resume: bool,
    start: Location | None,
    save_state: Location | None,
    plan: bool,
    quantiles: tuple[float, ...],
    device: str,
) -> None:
    """Write the daily temperature of all fine reaches of DATASET.

    The output is written completely or not at all. It may replace an earlier prediction, but no other file.
    With --resume it grows in a folder OUTPUT.unfinished, and gets its name when all of it is there. With
    --start and --save-state, a record of several years is computed year by year, as if in one run.
    """
    if resume and (start or save_state):
        msg = "--resume predicts the whole record; leave out --start and --save-state"
        raise click.UsageError(msg)
    reads = paths_of(dataset, model, start)
    check_output(output, PREDICTION, reads)
    _check_state(save_state, output, reads)
    ds, before = open_data(dataset, **data), None if start is None else open_place(start)
    settings = {"warmup": warmup, "quantiles": list(quantiles) or None}
    if resume or plan:
        with naming_damage(dataset, ds):
            ds = in_pieces(ds)
    given = {"device": device, "start": before, **settings}
    if save_state is not None and not plan:
        from dask.base import compute

        both = ds.msgl.downscale(model, return_state=True, **given)
        with dask_bar("downscale"), naming_damage(dataset, ds, both[0]):
            temperature, after = compute(*both)
        write_prediction(temperature, output)
        _say_sizes(temperature, output)
        _write_state(after, save_state)
        return
    temperature = ds.msgl.downscale(model, **given)
    if plan:
        from xmsgl.prediction.downscale import chosen_model

        show_plan(temperature, ds, chosen_model(ds, model), warmup)
        return
    if resume:
        write_resumable(temperature, ds, output, settings)
        return
    with dask_bar("downscale"), naming_damage(dataset, ds, temperature):
        write_prediction(temperature, output)
    _say_sizes(temperature, output)


@main.command()
@dataset_argument
@click.option(
    "-m",
    "--model",
    callback=known_model,
    shell_complete=complete_model,
    help="Trained with --recipe sensors or --validation folds. Default: delaware-sensors, in its basin.",
)
@output_option("netCDF file (.nc) or Zarr store (.zarr).")
@click.option(
    "--mode",
    type=click.Choice(["smooth", "filter", "forecast"]),
    default="smooth",
    show_default=True,
    help="Given the observations before and after a day, before it, or before the day of issue.",
)
@click.option("--issue", help="Use observations up to this day. Default: the last with an observation.")
@click.option("--lead", type=click.IntRange(1), help="Days to forecast. Default: all with drivers.")
@start_option
@save_state_option
@quantiles_option
@device_option
@scheduler_option
def reconstruct(
    *,
    dataset: str,
    data: dict[str, Any],
    model: Path | str | None,
    output: Location,
    mode: str,
    issue: str | None,
    lead: int | None,
    start: Location | None,
    save_state: Location | None,
    quantiles: tuple[float, ...],
    device: str,
) -> None:
    """Write the daily temperature of all fine reaches of DATASET given its sensors.

    --issue and --lead are for forecasts. With --start, DATASET may begin late: only the days after the state
    are written, and they are those of a run on the whole record.
    """
    reads = paths_of(dataset, model, start)
    check_output(output, PREDICTION, reads)
    _check_state(save_state, output, reads)
    ds, before = open_data(dataset, **data), None if start is None else open_place(start)
    known = {"observed": observed_until(ds, issue, mode), "start": before, "device": device}
    temperature = ds.msgl.reconstruct(model, mode=mode, lead=lead, quantiles=list(quantiles) or None, **known)
    with dask_bar("reconstruct"), naming_damage(dataset, ds, temperature):
        write_prediction(temperature, output)
    _say_sizes(temperature, output)
    if save_state is not None:
        _write_state(ds.msgl.state(model, **known), save_state)


def _check_state(path: Location | None, output: Location, reads: Any) -> None:
    """Refuse a name for a state that is read, or that the output has."""
    if path is not None:
        check_output(path, STATE, reads)
        if path == output:
            msg = "--output and --save-state name the same file; give two"
            raise click.UsageError(msg)


def _write_state(state: Any, path: Location) -> None:
    """Write the state after a run."""
    write_dataset(state, path)
    click.echo(f"state of {state.indexes['time'][-1].date()} written to {path}")


def _say_sizes(temperature: xr.DataArray, output: Location) -> None:
    """Say how much was written."""
    words = {"quantile": "quantiles", "fine": "reaches", "time": "days", "lead": "days"}
    counts = [f"{temperature.sizes[dim]:,} {word}" for dim, word in words.items() if dim in temperature.dims]
    say(f"{' x '.join(counts)} written to {output}")


@main.command()
@dataset_argument
@prediction_option()
@click.option("--by", help="month, season, year, water_year, reach, segment or stream_order.")
@scheduler_option
@json_option
def evaluate(*, dataset: str, data: dict[str, Any], prediction: Location, by: str | None) -> None:
    """Score a prediction against the observations in DATASET.

    Each score comes with n, the number of observed reach-days.
    """
    ds, predicted = open_data(dataset, **data), open_prediction(prediction)
    scores = _flat(ds.msgl.evaluate(predicted, by=by).compute())
    if scores.sizes:
        frame = scores.to_dataframe()
        records = json.loads(frame.reset_index().to_json(orient="records"))
        show(records, frame.round(3).to_string())
        return
    values = {str(name): score.item() for name, score in scores.items()}
    rows = [(name, f"{value:>10.4g}", scores[name].attrs.get("units", "")) for name, value in values.items()]
    show(values, aligned(rows))


def _flat(scores: xr.Dataset) -> xr.Dataset:
    """Make each score of a quantile or an interval a variable: ``coverage_0.9``."""
    flat = scores.drop_dims(["quantile", "interval"], errors="ignore")
    for name, values in scores.data_vars.items():
        for dim in {"quantile", "interval"} & set(values.dims):
            for number, probability in enumerate(scores[dim].values):
                flat[f"{name}_{probability:g}"] = values.isel({dim: number}, drop=True)
    return flat


for command in (
    benchmark,
    carry,
    completion,
    describe,
    explore,
    export,
    models,
    plot,
    read,
    reproduce,
    train,
):
    main.add_command(command)
