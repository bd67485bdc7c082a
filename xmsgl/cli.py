"""The ``xmsgl`` command: the verbs of ``ds.msgl`` for files and shells."""

from __future__ import annotations

import json
import logging
import math
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import click

from xmsgl.cli_benchmark import benchmark
from xmsgl.cli_lists import ListsCommand
from xmsgl.cli_models import known_model, models
from xmsgl.errors import InvalidArgumentError, InvalidDatasetError, XMSGLError, shorten
from xmsgl.options import set_options

if TYPE_CHECKING:
    import xarray as xr

# Exit codes: 0 done, 1 an error of xmsgl, 2 a wrong command line (click's own), 3 a dataset with faults.
EXIT_ERROR, EXIT_FAULTS = 1, 3

_AS_JSON = "xmsgl.as_json"
Command = TypeVar("Command", bound=Callable[..., Any])


class _Group(click.Group):
    """Turns the package's errors into one line and an exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except InvalidDatasetError as error:
            if ctx.meta.get(_AS_JSON):
                click.echo(json.dumps({"faults": error.faults}))
            click.echo(f"error: {error}", err=True)
            ctx.exit(EXIT_FAULTS)
        except (XMSGLError, OSError) as error:
            click.echo(f"error: {error}", err=True)
            ctx.exit(EXIT_ERROR)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="xmsgl")
@click.option("--quiet", is_flag=True, help="No progress bars.")
@click.option("--verbose", is_flag=True, help="Log every epoch and download.")
def main(*, quiet: bool, verbose: bool) -> None:
    """Downscale daily stream temperature from coarse segments to fine reaches.

    FILE is a netCDF file or a Zarr store that follows the dataset convention (dimensions time,
    coarse, fine; see the data model in the documentation).

    \b
    Exit codes: 0 done, 1 an error, 2 a wrong command line, 3 a dataset with faults.

    \b
    Data folders:
      XMSGL_DATA_DIR     where downloads and built datasets are kept
      XMSGL_DATA_MIRROR  a folder or URL tried before the real addresses
    """  # noqa: D301 - click reads the backspace, which keeps the lines as they are
    set_options(progress=not quiet)
    logging.basicConfig(format="%(message)s")
    logging.getLogger("xmsgl").setLevel(logging.INFO if verbose else logging.WARNING)


def _json_option(command: Command) -> Command:
    def remember(ctx: click.Context, _: click.Parameter, value: bool) -> bool:
        ctx.meta[_AS_JSON] = value  # shared with the group, which reports the errors
        return value

    return click.option(
        "--json", "as_json", is_flag=True, callback=remember, help="Print the result as JSON, for scripts."
    )(command)


def _strict_json(value: Any) -> str:
    """Write JSON that every reader takes: what is not finite becomes null."""

    def plain(part: Any) -> Any:
        if isinstance(part, dict):
            return {name: plain(inner) for name, inner in part.items()}
        if isinstance(part, list):
            return [plain(inner) for inner in part]
        return None if isinstance(part, float) and not math.isfinite(part) else part

    return json.dumps(plain(value), allow_nan=False)


def _file_argument(command: Command) -> Command:
    return click.argument("file", type=click.Path(exists=True, path_type=Path))(command)


def _open(path: Path) -> xr.Dataset:
    import xarray as xr

    if path.is_dir():  # a local store is read as fast without consolidated metadata
        return xr.open_dataset(path, engine="zarr", chunks={}, consolidated=False)
    return xr.open_dataset(path, engine="netcdf4", chunks={})


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
    from xmsgl.demo import run_demo

    run_demo(data, out, epochs=epochs, seed=seed, say=click.echo)


@main.command()
@click.argument("dataset", type=click.Choice(["delaware", "simulated"]))
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), default=None, help="Also write it here, as netCDF."
)
@click.option("--forcing", type=click.Choice(["era5", "observed"]), default="era5", show_default=True)
@click.option("--fine", type=click.Choice(["mainstem", "all"]), default="mainstem", show_default=True)
@click.option("--region", default=None, help="A HUC8, a HUC12 or the id of an outlet segment.")
@_json_option
def fetch(
    *,
    dataset: str,
    output: Path | None,
    forcing: Literal["observed", "era5"],
    fine: Literal["mainstem", "all"],
    region: str | None,
    as_json: bool,
) -> None:
    """Download and build a DATASET into the cache, and say what it holds."""
    from xmsgl import datasets, schema

    if dataset == "simulated":
        ds = datasets.simulated()
    else:
        ds = datasets.delaware(forcing=forcing, fine=fine, region=region)
    if output is not None:
        ds.to_netcdf(output)
    _report(schema.validate(ds, values=False), as_json=as_json)


@main.command()
@_file_argument
@_json_option
def validate(*, file: Path, as_json: bool) -> None:
    """Check FILE against the dataset convention; list every fault (exit code 3)."""
    from xmsgl import schema

    _report(schema.validate(_open(file)), as_json=as_json)


def _report(report: Any, *, as_json: bool) -> None:
    click.echo(json.dumps(report.to_dict()) if as_json else str(report))


@main.command(cls=ListsCommand)
@_file_argument
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), required=True, help="The model, a .safetensors file."
)
@click.option(
    "--method",
    default="msgl",
    show_default=True,
    help="A name in the registry of methods, for example msgl, async-msgl, fine-only.",
)
@click.option("--recipe", default=None, help="Settings by name: published. Default: the package's own.")
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
    help="Other settings of training: backbone=lstm hidden=32 jitter=0.2 start=remap.safetensors.",
)
@click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda.")
@click.option(
    "--validation",
    type=float,
    default=0.15,
    show_default=True,
    help="Share of windows kept to choose the best epoch and to calibrate intervals.",
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
@_json_option
@click.pass_context
def train(
    ctx: click.Context,
    /,
    *,
    file: Path,
    output: Path,
    others: tuple[str, ...],
    as_json: bool,
    **settings: Any,
) -> None:
    """Train a model on the labels in FILE. Labels set to NaN are held out.

    --set takes any setting that training in Python does, several at once; values are JSON where they
    parse as such, else text.
    """
    given = {name: value for name, value in settings.items() if value is not None}
    model = _open(file).msgl.train(**given, **_other_settings(ctx, others))
    model.save(output)
    facts = {"model": str(output), "sha256": model.sha256, "history": model.history}
    click.echo(_strict_json(facts) if as_json else f"{model!r}\nwritten to {output}")


def _other_settings(ctx: click.Context, words: tuple[str, ...]) -> dict[str, Any]:
    """Read the settings of ``--set``, none of which has an option of its own."""
    if not words:
        return {}
    from xmsgl.benchmark.plan import parse_settings

    found = parse_settings(",".join(words))
    known = {parameter.name: parameter for parameter in ctx.command.params}
    for name in found:
        if name in known:
            msg = f"{name} has an option of its own, {known[name].opts[-1]}"
            raise click.BadParameter(msg, ctx)
    return found


@main.command(cls=ListsCommand)
@_file_argument
@click.option(
    "-m",
    "--model",
    callback=known_model,
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
def downscale(
    *,
    file: Path,
    model: str | None,
    output: Path,
    warmup: int | None,
    quantiles: tuple[float, ...],
    device: str,
) -> None:
    """Write the daily temperature of every fine reach of FILE, or quantiles of it."""
    temperature = _open(file).msgl.downscale(
        model, warmup=warmup, device=device, quantiles=list(quantiles) or None
    )
    if output.suffix == ".zarr":
        with warnings.catch_warnings():
            # Metadata in one piece is no part of Zarr 3, but xarray looks for it when it opens the store.
            warnings.filterwarnings("ignore", message="Consolidated metadata is currently not part")
            temperature.to_dataset().to_zarr(output, mode="w")
    else:
        temperature.to_netcdf(output, encoding={temperature.name: {"zlib": True, "complevel": 1}})
    sizes = f"{temperature.sizes['fine']:,} reaches x {temperature.sizes['time']:,} days"
    click.echo(f"{f'{len(quantiles)} quantiles x ' if quantiles else ''}{sizes} written to {output}")


@main.command()
@_file_argument
@click.option(
    "-p",
    "--prediction",
    type=click.Path(exists=True, path_type=Path),
    required=True,
    help="What downscale wrote.",
)
@click.option("--by", default=None, help="month, season, year, water_year, reach, segment or stream_order.")
@_json_option
def evaluate(*, file: Path, prediction: Path, by: str | None, as_json: bool) -> None:
    """Score a prediction against the observations in FILE, with n."""
    ds, predicted = _open(file), _open(prediction)
    for path, there, name in (
        (file, ds, "water_temperature_fine"),
        (prediction, predicted, "water_temperature"),
    ):
        if name not in there:
            msg = f"{path} has no variable {name}; it has {shorten(there.data_vars)}"
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
        click.echo(_strict_json(values) if as_json else "\n".join(lines))
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


main.add_command(benchmark)
main.add_command(models)
