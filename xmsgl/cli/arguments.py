"""Arguments that several commands share, and their completion."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import click
import numpy as np
import pandas as pd
from click.shell_completion import CompletionItem

from xmsgl.cli.config import Command, table_option
from xmsgl.datasets.open import DATASETS, open_file, open_url
from xmsgl.errors import InvalidArgumentError, did_you_mean, shorten
from xmsgl.models.file.packaged import packaged_names
from xmsgl.util.address import is_url
from xmsgl.util.cluster import connected
from xmsgl.util.dates import one_day
from xmsgl.util.remote import Remote, located

if TYPE_CHECKING:
    import xarray as xr

    from xmsgl.util.remote import Location

__all__ = [
    "BY_NAME",
    "Names",
    "complete_dataset",
    "complete_model",
    "completing",
    "dataset_argument",
    "device_option",
    "existing_type",
    "folder_type",
    "known",
    "known_dataset",
    "known_model",
    "observed_until",
    "open_place",
    "open_prediction",
    "output_option",
    "path_type",
    "paths_of",
    "prediction_option",
    "quantiles_option",
    "save_state_option",
    "scheduler_option",
    "start_option",
    "temperature_in",
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


class Names(click.Choice):  # type: ignore[type-arg]  # click 8.1 has no type arguments
    """A choice that suggests the most similar name."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the name, or refuse it."""
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter as error:
            msg = error.message.rstrip(".") + did_you_mean(value, self.choices)
            raise click.BadParameter(msg, ctx, param) from error


complete_dataset = completing(lambda: DATASETS, files=True)
complete_model = completing(packaged_names, files=True)


class FileOrUrl(click.Path):
    """A file or folder on this machine, or a URL of fsspec."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return a path, or the place of a URL."""
        place = located(value) if isinstance(value, str) else value
        return place if isinstance(place, Remote) else super().convert(str(place), param, ctx)


path_type = FileOrUrl(path_type=Path)
existing_type = FileOrUrl(exists=True, path_type=Path)
folder_type = click.Path(path_type=Path, file_okay=False)
device_option = click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda.")


def output_option(text: str) -> Callable[[Command], Command]:
    """Make the option ``-o`` of a command that writes one file."""
    return click.option("-o", "--output", type=path_type, required=True, help=text)


def prediction_option(*, required: bool = True) -> Callable[[Command], Command]:
    """Make the option ``-p``."""
    return click.option(
        "-p", "--prediction", type=existing_type, required=required, help="Output of downscale."
    )


def open_prediction(path: Location) -> xr.DataArray:
    """Open the temperature in the output of downscale, lazily."""
    from xmsgl.schema.names import LABEL  # loads dask, which help does not need

    return temperature_in(open_place(path), path, LABEL)


def open_place(path: Location) -> xr.Dataset:
    """Open a file or store, also at a URL, lazily."""
    return open_url(path.url) if isinstance(path, Remote) else open_file(path)


def temperature_in(ds: xr.Dataset, origin: object, *names: str) -> xr.DataArray:
    """Return the first of some variables that a file has."""
    if name := next((name for name in names if name in ds), ""):
        return ds[name]
    msg = f"{origin} has no variable {' or '.join(names)}, only {shorten(ds.data_vars)}"
    raise InvalidArgumentError(f"{msg}; give a file written by xmsgl downscale")


def known(what: str, names: Callable[[], Iterable[str]], *, urls: bool = False) -> Callable[..., str | None]:
    """Make a check that refuses, as a wrong command line, what is neither a name nor a file."""

    def check(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
        if value is None or value in names() or Path(value).exists() or (urls and is_url(value)):
            return value
        msg = f"{value!r} is not {what} ({', '.join(names()) or 'none'}) or an existing file"
        raise click.BadParameter(msg + did_you_mean(value, names()))

    return check


known_dataset = known("a known dataset", lambda: DATASETS, urls=True)
known_model = known("a packaged model", packaged_names, urls=True)


def dataset_argument(command: Command) -> Command:
    """Add the argument DATASET, and ``--data`` for the arguments of a dataset of the package."""
    argument = click.argument("dataset", callback=known_dataset, shell_complete=complete_dataset)
    return argument(table_option("data", f"Arguments of {BY_NAME}: region=02040104, n_coarse=20.")(command))


def paths_of(*words: object) -> list[Location]:
    """Select URLs and the existing files and folders among arguments that may also be names or None."""
    given = [word for word in words if isinstance(word, str | Path | Remote) and word not in DATASETS]
    return [each for each in map(located, given) if isinstance(each, Remote) or each.exists()]


quantiles_option = click.option(
    "--quantiles",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    multiple=True,
    help="Write these quantiles instead, for example 0.05 0.5 0.95.",
)


start_option = click.option("--start", type=existing_type, help="State of an earlier run.")
save_state_option = click.option(
    "--save-state", type=path_type, help="Write the state of the last day used, .nc or .zarr."
)


def _connect(ctx: click.Context, _: click.Parameter, address: str | None) -> None:
    """Connect to a cluster until the command ends."""
    if address is not None and not ctx.resilient_parsing:
        ctx.with_resource(connected(address))


scheduler_option = click.option(
    "--scheduler",
    metavar="ADDRESS",
    callback=_connect,
    expose_value=False,
    help="Compute on the workers of this Dask scheduler: tcp://host:8786.",
)


def observed_until(ds: xr.Dataset, issue: str | None, mode: str) -> xr.Dataset | None:
    """Return the observations up to the day of issue of a forecast; None: all of the dataset."""
    if issue is None:
        return None
    if mode != "forecast":
        msg = f"--issue is for --mode forecast, not {mode}; leave it out"
        raise InvalidArgumentError(msg)
    day = one_day(issue, "--issue")
    names = [str(name) for name in ds.data_vars if str(name).startswith("water_temperature")]
    if not names or not (days := ds.indexes["time"]).min() <= pd.Timestamp(day) <= days.max():
        ends = f"{ds.indexes['time'][0].date()} to {ds.indexes['time'][-1].date()}"
        msg = f"there is no observation up to --issue {issue}; the dataset has days from {ends}"
        raise InvalidArgumentError(msg)
    known = ds[names].drop_vars([name for name in ds.coords if name not in {"time", "coarse", "fine"}])
    return known.isel(time=np.flatnonzero(days <= pd.Timestamp(day)))
