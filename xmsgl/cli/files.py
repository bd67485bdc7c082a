"""The commands that convert one file into another: read, carry, export, plot and explore."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from xmsgl.cli import arguments, outputs
from xmsgl.cli.as_json import say
from xmsgl.cli.config import table_option
from xmsgl.cli.lists import ListsCommand
from xmsgl.datasets.open import open_data
from xmsgl.errors import InvalidArgumentError, UnknownNameError
from xmsgl.util.address import without_secrets
from xmsgl.util.history import stamp
from xmsgl.util.progress import dask_bar
from xmsgl.util.remote import address_of, whole_file
from xmsgl.util.spec import bind

if TYPE_CHECKING:
    import xarray as xr

    from xmsgl.util.remote import Location

__all__ = ["carry", "explore", "export", "plot", "read"]

days_option = click.option("--days", help="Only these days: 2019-07-21, 2019-07 or 2019-01-01/2019-03-31.")


def _period(text: str) -> slice:
    """Read a day, a month, a year, or ``START/STOP`` with an open end as ``..``."""
    start, slash, stop = text.partition("/")
    return slice(*(None if day == ".." else day for day in (start, stop if slash else start)))


def _on(da: xr.DataArray, days: str | None) -> xr.DataArray:
    """Select the days of ``--days``; without it, all."""
    if "lead" in da.dims and "time" in da.coords and da["time"].dims == ("lead",):
        da = da.swap_dims(lead="time")  # a forecast
    try:
        chosen = da if days is None else da.sel(time=_period(days))
    except (KeyError, TypeError, ValueError):
        chosen = da.isel(time=[])
    if not chosen.sizes["time"]:
        first, last = da.indexes["time"][[0, -1]]
        msg = f"no days in --days {days}; give some of {first.date()} to {last.date()}, as START/STOP"
        raise InvalidArgumentError(msg)
    return chosen


def _readers() -> tuple[str, ...]:
    """List the readers; imported here, because they load dask and SciPy."""
    from xmsgl import readers

    return readers.names()


@click.command(cls=ListsCommand)
@click.argument("reader", shell_complete=arguments.completing(_readers))
@click.argument("files", nargs=-1, required=True)
@arguments.output_option("Dataset to write: netCDF file (.nc) or Zarr store (.zarr).")
@table_option("set", "Options of the reader: scale=coarse missing=neighbour.", "options")
def read(*, reader: str, files: tuple[str, ...], output: Location, options: dict[str, Any]) -> None:
    """Convert the FILES of another project to the dataset convention.

    The files are the arguments of the READER in their order; an unknown READER lists all. Commas join files:
    xmsgl read csv-basin segments.csv,weather.csv reaches.csv,labels.csv -o basin.nc
    """
    from xmsgl import readers

    sources = [word if "," not in word or Path(word).exists() else tuple(word.split(",")) for word in files]
    bind(f"reader {reader!r}", readers.get(reader), *sources, **options)
    outputs.check_output(output, outputs.DATASET, arguments.paths_of(*files, *",".join(files).split(",")))
    ds = stamp(
        readers.read(reader, *sources, **options), f"read({reader!r}, {without_secrets(', '.join(files))})"
    )
    with dask_bar("read"):
        outputs.write_dataset(ds.drop_encoding(), output)
    say(f"{', '.join(f'{name} {size:,}' for name, size in ds.sizes.items())} written to {output}")


@click.command(cls=ListsCommand)
@click.argument("coarse", callback=arguments.known_dataset, shell_complete=arguments.complete_dataset)
@arguments.dataset_argument
@arguments.output_option("netCDF file (.nc) or Zarr store (.zarr).")
def carry(*, coarse: str, dataset: str, data: dict[str, Any], output: Location) -> None:
    """Give each fine reach of DATASET the temperature of its segment.

    COARSE is a file with water_temperature over (time, coarse), such as the output of another model, or a
    dataset, whose observations on segments are used. The output is a prediction, as of downscale.
    """
    from xmsgl.schema.inherit import carry as carry_to_reaches
    from xmsgl.schema.names import LABEL

    outputs.check_output(output, outputs.PREDICTION, arguments.paths_of(coarse, dataset))
    ds = open_data(dataset, **data)
    source = ds if coarse == dataset else open_data(coarse)
    temperature = carry_to_reaches(arguments.temperature_in(source, coarse, LABEL, f"{LABEL}_coarse"), ds)
    with dask_bar("carry"):
        outputs.write_prediction(temperature, output)
    say(f"{temperature.sizes['fine']:,} reaches written to {output}")


@click.command(cls=ListsCommand)
@arguments.dataset_argument
@arguments.prediction_option()
@arguments.output_option("netCDF file (.nc), GeoPackage (.gpkg), GeoParquet file (.parquet) or table (.csv).")
@click.option("--convention", type=arguments.Names(["cf", "ugrid"]), help="Of netCDF. Default: cf.")
@days_option
def export(
    *, dataset: str, data: dict[str, Any], prediction: Location, output: Location, **chosen: Any
) -> None:
    """Write a prediction for DATASET, with its reaches and their attributes, for other tools.

    The ending of the output is its format: a netCDF file of CF time series or of a UGRID network, or one row
    for each reach and one column for each day.
    """
    from xmsgl.export import to_geodataframe

    outputs.check_output(output, outputs.EXPORT, arguments.paths_of(dataset, prediction))
    convention, netcdf = chosen["convention"], output.suffix.lower() == ".nc"
    if convention and not netcdf:
        msg = f"--convention is for netCDF, and {output} does not end in .nc; leave one of them out"
        raise InvalidArgumentError(msg)
    ds, temperature = open_data(dataset, **data), _on(arguments.open_prediction(prediction), chosen["days"])
    with dask_bar("export"):
        if netcdf:
            outputs.write_dataset(ds.msgl.export(temperature, convention=convention or "cf"), output)
        else:
            outputs.write_table(to_geodataframe(temperature, ds), output)
    say(f"written to {output}")


# The arguments of each method of ds.msgl.plot that a command line can give.
_PLOTS = {
    "network": ("var", "time", "limits", "center", "mark", "cmap"),
    "series": ("reach", "period"),
    "skill": ("by", "metric"),
    "graph": ("which", "reach"),
}


@click.command(cls=ListsCommand)
@click.argument("kind", type=arguments.Names(list(_PLOTS)))
@arguments.dataset_argument
@arguments.prediction_option(required=False)
@arguments.output_option("Picture to write (.png, .pdf or .svg).")
@table_option("set", "Arguments of the plot: time=2019-07-21 reach=12 by=season.", "given")
def plot(*, kind: str, dataset: str, data: dict[str, Any], output: Location, **chosen: Any) -> None:
    """Draw DATASET, or a prediction for it.

    \b
    network  the rivers coloured by the prediction or a variable. --set var, time (a day,
             a month or START/STOP), limits, center, mark, cmap
    series   the temperature of one reach. --set reach, period (START/STOP)
    skill    predicted against observed temperature, or a score by group. --set by, metric
    graph    which reaches inform each other. --set which (coarse or fine), reach
    """  # noqa: D301 - the backspace makes click keep the lines as they are
    given, prediction = chosen["given"], chosen["prediction"]
    _check_plot(kind, given, predicted=prediction is not None)
    outputs.check_output(output, outputs.PICTURE, arguments.paths_of(dataset, prediction))
    ds = open_data(dataset, **data)
    if prediction is not None:
        given["var" if kind == "network" else "prediction"] = arguments.open_prediction(prediction)
    given |= {name: _period(str(given[name])) for name in {"time", "period"} & given.keys()}
    axes = getattr(ds.msgl.plot, kind)(**given)
    maker = {"Software" if output.suffix.lower() == ".png" else "Creator": "xmsgl"}
    with whole_file(output) as part:
        axes.figure.savefig(part, dpi=150, metadata=maker)
    say(f"written to {output}")


def _check_plot(kind: str, given: dict[str, Any], *, predicted: bool) -> None:
    """Refuse arguments that a plot does not take, and missing ones."""
    for name in given:
        if name not in _PLOTS[kind]:
            raise UnknownNameError(f"argument of plot {kind}", name, _PLOTS[kind])
    if predicted and (kind == "graph" or "var" in given):
        msg = f"plot {kind} draws {'var' if 'var' in given else 'the dataset'} alone; leave out -p"
    elif kind in ("network", "skill") and not (predicted or "var" in given):
        other = ", or a variable: --set var=elevation_fine" if kind == "network" else ""
        msg = f"plot {kind} needs a prediction: -p FILE{other}"
    elif kind == "series" and "reach" not in given:
        msg = "plot series needs the id of a reach: --set reach=ID"
    else:
        return
    raise InvalidArgumentError(msg)


@click.command(cls=ListsCommand)
@arguments.dataset_argument
@arguments.prediction_option()
@arguments.output_option("Page to write (.html).")
@days_option
def explore(
    *, dataset: str, data: dict[str, Any], prediction: Location, output: Location, days: str | None
) -> None:
    """Write a page for a browser that shows a prediction for DATASET.

    It has a map to play through the days and the series of any reach, and opens without a network.
    """
    outputs.check_output(output, outputs.PAGE, arguments.paths_of(dataset, prediction))
    temperature = _on(arguments.open_prediction(prediction), days)
    open_data(dataset, **data).msgl.explore(address_of(output), prediction=temperature)
    say(f"written to {output}")
