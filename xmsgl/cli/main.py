"""The ``xmsgl`` command: the verbs of ``ds.msgl`` for files and shells."""

from __future__ import annotations

import json
import logging
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from xmsgl.cli.arguments import dataset_argument, paths_of
from xmsgl.cli.as_json import AS_JSON, json_option, strict_json
from xmsgl.cli.benchmark import benchmark
from xmsgl.cli.completion import completion
from xmsgl.cli.config import settings_of_table
from xmsgl.cli.describe import describe
from xmsgl.cli.lists import ListsCommand
from xmsgl.cli.models import complete_model, known_model, models
from xmsgl.cli.outputs import check_dataset, check_prediction, write_dataset, write_prediction
from xmsgl.cli.train import train
from xmsgl.datasets.open import DATASETS, open_data, open_file
from xmsgl.errors import InvalidArgumentError, InvalidDatasetError, XMSGLError, XMSGLWarning, shorten
from xmsgl.util.options import set_options
from xmsgl.util.progress import dask_bar

if TYPE_CHECKING:
    import xarray as xr

# Exit codes: 0 done, 1 an error of xmsgl, 2 a wrong command line (click's own), 3 a dataset with faults.
EXIT_ERROR, EXIT_FAULTS = 1, 3


class _Group(click.Group):
    """Turns the package's errors into one line and an exit code, and its warnings into a line each."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            with warnings.catch_warnings():
                warnings.showwarning = _show  # type: ignore[assignment]
                return super().invoke(ctx)
        except InvalidDatasetError as error:
            if ctx.meta.get(AS_JSON):
                click.echo(json.dumps({"faults": error.faults}))
            click.echo(f"error: {error}", err=True)
            ctx.exit(EXIT_FAULTS)
        except (XMSGLError, OSError) as error:
            click.echo(f"error: {error}", err=True)
            ctx.exit(EXIT_ERROR)


def _show(message: Warning | str, category: type[Warning], *where: Any) -> None:
    """Print a warning of the package as one line, and any other where Python would."""
    if issubclass(category, XMSGLWarning):
        click.echo(f"warning: {message}", err=True)
    else:
        click.echo(warnings.formatwarning(message, category, *where[:2]), err=True, nl=False)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="xmsgl")
@click.option("--quiet", is_flag=True, help="No progress bars.")
@click.option("--verbose", is_flag=True, help="Log every epoch and download.")
def main(*, quiet: bool, verbose: bool) -> None:
    """Downscale daily stream temperature from coarse segments to fine reaches.

    DATASET is a netCDF file or a Zarr store that follows the dataset convention (dimensions time,
    coarse, fine; see the data model in the documentation), or goes by a name, such as simulated.

    \b
    Exit codes: 0 done, 1 an error, 2 a wrong command line, 3 a dataset with faults.

    \b
    Data folders:
      XMSGL_DATA_DIR     where downloads and built datasets are kept
      XMSGL_DATA_MIRROR  a folder or URL tried before the real addresses
    """  # noqa: D301 - click reads the backspace, which keeps the lines as they are
    set_options(progress=not quiet, process_tuning=True)
    logging.basicConfig(format="%(message)s")
    logging.getLogger("xmsgl").setLevel(logging.INFO if verbose else logging.WARNING)


@main.command()
@click.option(
    "--data",
    type=click.Choice(["auto", "delaware", "simulated"]),
    default="auto",
    show_default=True,
    help="auto takes the Delaware where its files can be had, else the simulated basin.",
)
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), default="demo-output", show_default=True
)
@click.option("--epochs", type=click.IntRange(1), default=None, help="Default: what fits the demo's time.")
@click.option("--seed", type=int, default=0, show_default=True)
def demo(*, data: str, out: Path, epochs: int | None, seed: int) -> None:
    """Run the main job end to end: dataset, graphs, training, downscaling, picture, skill table."""
    from xmsgl.cli.demo import run_demo

    run_demo(data, out, epochs=epochs, seed=seed, say=click.echo)


#: What is fetched unless another is asked for: the long period, which the packaged model learned from.
_FETCHED = {"delaware": {"forcing": "era5"}}


@main.command(cls=ListsCommand)
@click.argument("dataset", type=click.Choice(DATASETS))
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), default=None, help="Also write it here, as netCDF."
)
@click.option("--forcing", type=click.Choice(["era5", "observed"]), help="Of the delaware; default: era5.")
@click.option("--fine", type=click.Choice(["mainstem", "all"]), help="Of the delaware; default: mainstem.")
@click.option("--region", help="Of the delaware: a HUC8, a HUC12 or the id of an outlet segment.")
@click.option("--data", multiple=True, help="Other arguments of it: n_coarse=20, start=2010-10-01.")
@json_option
@click.pass_context
def fetch(
    ctx: click.Context,
    /,
    *,
    dataset: str,
    output: Path | None,
    data: tuple[str, ...],
    as_json: bool,
    **named: str | None,
) -> None:
    """Download and build a DATASET into the cache, and say what it holds."""
    from xmsgl import schema

    others = settings_of_table(ctx, "data", data)
    given = {name: value for name, value in named.items() if value is not None}
    if twice := sorted(given.keys() & others):
        msg = f"{', '.join(twice)} given as an option and in --data; give it once"
        raise click.UsageError(msg, ctx)
    if output is not None:
        check_dataset(output)
    ds = open_data(dataset, **{**_FETCHED.get(dataset, {}), **given, **others})
    if output is not None:
        write_dataset(ds, output)
    _report(schema.validate(ds, values=False), as_json=as_json)


@main.command(cls=ListsCommand)
@dataset_argument
@click.option("--no-labels", is_flag=True, help="Ask for no labels: DATASET is only predicted on.")
@json_option
@click.pass_context
def validate(
    ctx: click.Context, /, *, dataset: str, data: tuple[str, ...], no_labels: bool, as_json: bool
) -> None:
    """Check DATASET against the dataset convention; list every fault (exit code 3)."""
    from xmsgl import schema

    ds = open_data(dataset, **settings_of_table(ctx, "data", data))
    _report(schema.validate(ds, labels=not no_labels), as_json=as_json)


def _report(report: Any, *, as_json: bool) -> None:
    click.echo(json.dumps(report.to_dict()) if as_json else str(report))


@main.command(cls=ListsCommand)
@dataset_argument
@click.option(
    "-m",
    "--model",
    callback=known_model,
    shell_complete=complete_model,
    default=None,
    help="A packaged model (see xmsgl models) or a .safetensors file. Default: delaware-async-msgl.",
)
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), required=True, help="A .nc file or a .zarr store."
)
@click.option(
    "--warmup", type=click.IntRange(0), default=None, help="Days before each window; default: as trained."
)
@click.option(
    "--quantiles",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    multiple=True,
    help="Write these quantiles of the temperature instead, for example 0.05 0.5 0.95.",
)
@click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda.")
@click.pass_context
def downscale(
    ctx: click.Context,
    /,
    *,
    dataset: str,
    data: tuple[str, ...],
    model: str | None,
    output: Path,
    warmup: int | None,
    quantiles: tuple[float, ...],
    device: str,
) -> None:
    """Write the daily temperature of every fine reach of DATASET, or quantiles of it.

    The output is complete or not there at all. An earlier prediction of that name is replaced, nothing else.
    """
    check_prediction(output, paths_of(dataset, model))
    ds = open_data(dataset, **settings_of_table(ctx, "data", data))
    temperature = ds.msgl.downscale(model, warmup=warmup, device=device, quantiles=list(quantiles) or None)
    with dask_bar("downscale"):
        write_prediction(temperature, output)
    sizes = f"{temperature.sizes['fine']:,} reaches x {temperature.sizes['time']:,} days"
    click.echo(f"{f'{len(quantiles)} quantiles x ' if quantiles else ''}{sizes} written to {output}")


@main.command(cls=ListsCommand)
@dataset_argument
@click.option(
    "-p",
    "--prediction",
    type=click.Path(exists=True, path_type=Path),
    required=True,
    help="What downscale wrote.",
)
@click.option("--by", default=None, help="month, season, year, water_year, reach, segment or stream_order.")
@json_option
@click.pass_context
def evaluate(
    ctx: click.Context,
    /,
    *,
    dataset: str,
    data: tuple[str, ...],
    prediction: Path,
    by: str | None,
    as_json: bool,
) -> None:
    """Score a prediction against the observations in DATASET, with n."""
    ds, predicted = open_data(dataset, **settings_of_table(ctx, "data", data)), open_file(prediction)
    if "water_temperature" not in predicted:
        msg = f"{prediction} has no variable water_temperature; it has {shorten(predicted.data_vars)}"
        raise InvalidArgumentError(msg)
    scores = _one_number_each(ds.msgl.evaluate(predicted["water_temperature"], by=by).compute())
    frame = scores.to_dataframe() if scores.sizes else None
    if frame is None:
        values = {str(name): scores[name].item() for name in scores.data_vars}
        width = max(map(len, values))
        lines = [
            f"{name:<{width}} {value:>10.4g} {scores[name].attrs.get('units', '')}"
            for name, value in values.items()
        ]
        click.echo(strict_json(values) if as_json else "\n".join(lines))
    else:
        click.echo(frame.reset_index().to_json(orient="records") if as_json else frame.round(3).to_string())


def _one_number_each(scores: xr.Dataset) -> xr.Dataset:
    """Give the scores of each quantile and interval names of their own: ``coverage_0.9``."""
    flat = scores.drop_dims(["quantile", "interval"], errors="ignore")
    for name, values in scores.data_vars.items():
        for dim in {"quantile", "interval"} & set(values.dims):
            for number, probability in enumerate(scores[dim].values):
                flat[f"{name}_{probability:g}"] = values.isel({dim: number}, drop=True)
    return flat


for command in (benchmark, completion, describe, models, train):
    main.add_command(command)
