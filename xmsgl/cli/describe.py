"""The command ``xmsgl describe``: what a file is, whatever it is."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from xmsgl.cli.arguments import BY_NAME
from xmsgl.cli.as_json import json_option, strict_json
from xmsgl.cli.config import settings_of_table, to_toml
from xmsgl.cli.lists import ListsCommand
from xmsgl.cli.models import aligned, complete_model
from xmsgl.cli.train import train_config
from xmsgl.datasets.open import DATASETS, open_data
from xmsgl.errors import InvalidArgumentError
from xmsgl.models.file.packaged import packaged_names
from xmsgl.util.spec import label_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    import xarray as xr

__all__ = ["describe"]

_RUN = "run.json"


@click.command(cls=ListsCommand)
@click.argument("file", shell_complete=complete_model)
@click.option("--data", multiple=True, help=f"Arguments of {BY_NAME}: n_coarse=20.")
@click.option("--graphs", is_flag=True, help="Of a dataset: its river graphs and crosswalk.")
@click.option("--toml", is_flag=True, help="Print the configuration that makes it again: train, benchmark.")
@json_option
@click.pass_context
def describe(
    ctx: click.Context,
    /,
    *,
    file: str,
    data: tuple[str, ...],
    graphs: bool,
    toml: bool,
    as_json: bool,
) -> None:
    """Tell what FILE is: a dataset, a prediction, a model, a checkpoint of training, a run of a benchmark.

    Datasets and predictions are netCDF files or Zarr stores, or go by a name, such as simulated; a model may
    be a packaged one; a run of a benchmark is its folder. Graphs are not stored: --graphs builds those of a
    dataset. Values are not read but to count labels; xmsgl validate reads them.
    """
    path = Path(file)
    if file not in (*DATASETS, *packaged_names()) and not path.exists():
        msg = f"{file!r} is no file, and no dataset or model of the package; see xmsgl models"
        raise click.BadParameter(msg, ctx)
    stored = path / _RUN if (path / _RUN).is_file() else path
    if file in packaged_names() or (file not in DATASETS and _is_safetensors(path)):
        _refuse(file, "a dataset", graphs=graphs, data=bool(data))
        _describe_trained(file, toml=toml, as_json=as_json)
    elif file not in DATASETS and stored.name == _RUN:
        _refuse(file, "a dataset", graphs=graphs, data=bool(data))
        _describe_run(json.loads(stored.read_text(encoding="utf-8")), toml=toml, as_json=as_json)
    else:
        _refuse(file, "a model, a checkpoint or a run", toml=toml)
        ds = open_data(file, **settings_of_table(ctx, "data", data))
        _describe_dataset(ds, graphs=graphs, as_json=as_json)


def _refuse(file: str, kind: str, **options: bool) -> None:
    if asked := [f"--{name}" for name, given in options.items() if given]:
        msg = f"{file} is not {kind}, which {', '.join(asked)} asks for"
        raise InvalidArgumentError(msg)


def _is_safetensors(path: Path) -> bool:
    """Tell by the head of a file: the length of a JSON object, then the object."""
    if not path.is_file():
        return False
    with path.open("rb") as stream:
        head = stream.read(9)
    return len(head) == 9 and head[8:] == b"{" and int.from_bytes(head[:8], "little") < path.stat().st_size


def _echo(facts: Mapping[str, Any], *, as_json: bool) -> None:
    if as_json:
        click.echo(strict_json(facts))
    else:
        click.echo(aligned([(name, str(value)) for name, value in facts.items()]))


# ------------------------------------------------------------- what was trained


def _describe_trained(file: str, *, toml: bool, as_json: bool) -> None:
    from xmsgl.models.file import storage
    from xmsgl.models.file.card import model_facts
    from xmsgl.models.file.model import load_model

    if file not in packaged_names():
        _, header = storage.from_bytes(storage.read(file), file)
        if "spec" not in header:
            _describe_checkpoint(file, header, toml=toml, as_json=as_json)
            return
    model = load_model(file)
    if toml:
        click.echo(train_config(model.spec.training, file), nl=False)
    else:
        _echo({"kind": "model", **model_facts(model)}, as_json=as_json)


def _describe_checkpoint(file: str, header: Mapping[str, Any], *, toml: bool, as_json: bool) -> None:
    if toml:
        click.echo(train_config(header.get("training", {}), file), nl=False)
        return
    settings = header["settings"]
    training, loop = settings["training"], settings["loop"]
    best = header["best_score"]
    facts = {
        "kind": "checkpoint of a training",
        "method": settings["method"],
        "epoch": f"{header['epoch']} of {loop['epochs']}",
        "member": f"{len(header['finished']) + 1} of {settings.get('ensemble', 1)}",
        # Without validation a score is only a number that falls.
        "best": f"{best:.3f} degC in epoch {header['best_epoch']}" if best and best > 0 else "none",
        "trained on": f"{training['start']} to {training['stop']}",
        "labels": ", ".join(f"{name.replace('_', ' ')} {n:,}" for name, n in training["labels"].items()),
        "dataset": training["dataset"] or "not named",
        "fingerprint": training["fingerprint"][:12],
        "seed": str(training["seed"]),
    }
    _echo(facts, as_json=as_json)


def _describe_run(record: Mapping[str, Any], *, toml: bool, as_json: bool) -> None:
    run = record["run"]
    if toml:
        click.echo(_run_config(run), nl=False)
        return
    facts = {
        "kind": "run of a benchmark",
        **{name: run[name] for name in ("dataset", "protocol", "method", "fraction", "seed", "draw")},
        **{name: json.dumps(run[name]) for name in ("settings", "data", "degrade") if run[name]},
        "labels": ", ".join(f"{name} {count:,}" for name, count in record["labels"].items()),
        "scored": f"{record['n']:,} values",
        "took": f"{record['wall_s']:.1f} s",
        "finished": record["finished"],
        "versions": ", ".join(f"{name} {version}" for name, version in sorted(record["versions"].items())),
    }
    _echo(facts, as_json=as_json)


def _run_config(run: Mapping[str, Any]) -> str:
    """Write the configuration of a benchmark that is this run."""
    fractions = {} if run["fraction"] is None else {"fractions": [run["fraction"]]}
    worse = ",".join(f"{name}={amount!r}" for name, amount in run["degrade"].items())
    values: dict[str, Any] = {
        "dataset": run["dataset"],
        "protocol": run["protocol"],
        **fractions,
        "methods": [label_of(run["method"], run["settings"])],
        "seeds": [f"{run['seed']}-{run['seed']}"],  # a number alone would be how many
        "draw": run["draw"],
        **({"degrade": [worse]} if worse else {}),
        **({"data": run["data"]} if run["data"] else {}),
    }
    return to_toml(values, comment="xmsgl benchmark --config THIS --out FOLDER")


# ---------------------------------------------------------------- what is labelled


def _describe_dataset(ds: xr.Dataset, *, graphs: bool, as_json: bool) -> None:
    from xmsgl import schema

    if "water_temperature" in ds and not graphs:
        _describe_prediction(ds["water_temperature"], as_json=as_json)
        return
    if graphs:
        _describe_graphs(ds, as_json=as_json)
        return
    report = schema.validate(ds, values=False)
    report = replace(report, labels_coarse=_labels(ds, "coarse"), labels_fine=_labels(ds, "fine"))
    if as_json:
        click.echo(strict_json({"kind": "dataset", "title": ds.attrs.get("title", ""), **report.to_dict()}))
    else:
        click.echo(f"{ds.attrs.get('title') or 'a dataset without a title'}\n{report}")


def _labels(ds: xr.Dataset, scale: str) -> int:
    name = f"water_temperature_{scale}"
    return int(ds[name].count()) if name in ds else 0


def _describe_graphs(ds: xr.Dataset, *, as_json: bool) -> None:
    found = ds.msgl.graph().describe()
    click.echo(strict_json(asdict(found)) if as_json else str(found))


def _describe_prediction(temperature: xr.DataArray, *, as_json: bool) -> None:
    days = temperature.indexes["time"]
    facts = {
        "kind": "prediction",
        "what": temperature.attrs.get("long_name", "temperature"),
        "units": temperature.attrs.get("units", "not told"),
        "sizes": ", ".join(f"{name} {size:,}" for name, size in temperature.sizes.items()),
        "days": f"{days[0].date()} to {days[-1].date()}",
        "method": temperature.attrs.get("method", "not told"),
        "model": temperature.attrs.get("model_sha256", "not told")[:12],
        "dataset": temperature.attrs.get("source") or "not named",
        **{f"step {k}": line for k, line in enumerate(temperature.attrs.get("history", "").splitlines(), 1)},
    }
    _echo(facts, as_json=as_json)
