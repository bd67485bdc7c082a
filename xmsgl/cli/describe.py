"""The command ``xmsgl describe``, for all kinds of files."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from xmsgl.cli.arguments import BY_NAME, complete_model, known
from xmsgl.cli.as_json import json_option, say, show
from xmsgl.cli.config import table_option, to_toml
from xmsgl.cli.lists import ListsCommand
from xmsgl.cli.models import aligned
from xmsgl.cli.train import train_config
from xmsgl.datasets.open import DATASETS, open_data
from xmsgl.errors import InvalidArgumentError
from xmsgl.models.file.packaged import packaged_names
from xmsgl.util.remote import Remote, located
from xmsgl.util.spec import label_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    import xarray as xr

__all__ = ["describe"]

_RUN = "run.json"


_known = known("a known dataset or packaged model", lambda: [*DATASETS, *packaged_names()], urls=True)


@click.command(cls=ListsCommand)
@click.argument("file", callback=_known, shell_complete=complete_model)
@table_option("data", f"Arguments of {BY_NAME}: n_coarse=20.")
@click.option("--graphs", is_flag=True, help="Describe the river graphs and the crosswalk of a dataset.")
@click.option("--toml", is_flag=True, help="Print the configuration that reproduces a model or a run.")
@json_option
def describe(*, file: str, data: dict[str, Any], graphs: bool, toml: bool) -> None:
    """Describe a dataset, prediction, model, checkpoint or run.

    FILE is a netCDF file or a Zarr store, the name of a dataset such as simulated, a model, the name of a
    packaged model, a training checkpoint, or the folder of a benchmark run. Labels are counted, but no other
    values are read; xmsgl validate reads them.
    """
    place = located(file)
    if isinstance(place, Remote) and place.suffix.lower() not in (".zarr", ".nc", ".nc4"):
        file = str(place.fetched())
    path = Path(file)
    stored = path / _RUN if (path / _RUN).is_file() else path
    if file in packaged_names() or (file not in DATASETS and _is_safetensors(path)):
        _refuse(file, "a dataset", graphs=graphs, data=bool(data))
        _describe_trained(file, toml=toml)
    elif file not in DATASETS and stored.name == _RUN:
        _refuse(file, "a dataset", graphs=graphs, data=bool(data))
        try:
            _describe_run(json.loads(stored.read_text(encoding="utf-8")), toml=toml)
        except (LookupError, TypeError, AttributeError, ValueError, RecursionError) as error:
            msg = f"{stored} is not the file of a benchmark run, or is damaged; run the benchmark again"
            raise InvalidArgumentError(msg) from error
    else:
        _refuse(file, "a model, a checkpoint or a run", toml=toml)
        _describe_dataset(open_data(file, **data), graphs=graphs)


def _refuse(file: str, kind: str, **options: bool) -> None:
    if asked := [f"--{name}" for name, given in options.items() if given]:
        msg = f"{file} is not {kind}; leave out {', '.join(asked)}"
        raise InvalidArgumentError(msg)


def _is_safetensors(path: Path) -> bool:
    """Check whether a file begins with the length of a JSON object and the object."""
    if not path.is_file():
        return False
    with path.open("rb") as stream:
        head = stream.read(9)
    return len(head) == 9 and head[8:] == b"{" and int.from_bytes(head[:8], "little") < path.stat().st_size


def _show(facts: Mapping[str, Any]) -> None:
    show(facts, aligned([(name, str(value)) for name, value in facts.items()]))


def _describe_trained(file: str, *, toml: bool) -> None:
    from xmsgl.models.file import storage
    from xmsgl.models.file.card import model_facts
    from xmsgl.models.file.model import load_model
    from xmsgl.training.checkpoint import damaged

    if file not in packaged_names():
        _, header = storage.from_bytes(storage.read(file), file)
        if "spec" not in header:
            try:
                _describe_checkpoint(file, header, toml=toml)
            except (AttributeError, LookupError, TypeError, ValueError) as error:
                raise damaged(file, error) from error
            return
    model = load_model(file)
    if toml:
        say(train_config(model.spec.training, file), nl=False)
    else:
        _show({"kind": "model", **model_facts(model)})


def _describe_checkpoint(file: str, header: Mapping[str, Any], *, toml: bool) -> None:
    if toml:
        say(train_config(header.get("training", {}), file), nl=False)
        return
    settings, best = header["settings"], header["best_score"]
    training = settings["training"]
    facts = {
        "kind": "training checkpoint",
        "method": settings["method"],
        "epoch": f"{header['epoch']} of {settings['loop']['epochs']}",
        "member": f"{len(header['finished']) + 1} of {settings.get('ensemble', 1)}",
        # Without validation days the score is not an error in degC.
        "best": f"{best:.3f} degC in epoch {header['best_epoch']}" if best and best > 0 else "none",
        "trained on": f"{training['start']} to {training['stop']}",
        "labels": ", ".join(f"{name.replace('_', ' ')} {n:,}" for name, n in training["labels"].items()),
        "dataset": training["dataset"] or "unnamed",
        "fingerprint": training["fingerprint"][:12],
        "seed": str(training["seed"]),
    }
    _show(facts)


def _describe_run(record: Mapping[str, Any], *, toml: bool) -> None:
    run = record["run"]
    if toml:
        say(_run_config(run), nl=False)
        return
    facts = {
        "kind": "benchmark run",
        **{name: run[name] for name in ("dataset", "protocol", "method", "fraction", "seed", "draw")},
        **{name: json.dumps(run[name]) for name in ("settings", "data", "degrade") if run[name]},
        "labels": ", ".join(f"{name} {count:,}" for name, count in record["labels"].items()),
        "scored": f"{record['n']:,} values",
        "took": f"{record['wall_s']:.1f} s",
        "finished": record["finished"],
        "versions": ", ".join(f"{name} {version}" for name, version in sorted(record["versions"].items())),
    }
    _show(facts)


def _run_config(run: Mapping[str, Any]) -> str:
    """Write the configuration of a benchmark with this run alone."""
    worse = ",".join(f"{name}={amount!r}" for name, amount in run["degrade"].items())
    values: dict[str, Any] = {
        "dataset": run["dataset"],
        "protocol": run["protocol"],
        **({} if run["fraction"] is None else {"fractions": [run["fraction"]]}),
        "methods": [label_of(run["method"], run["settings"])],
        "seeds": [f"{run['seed']}-{run['seed']}"],  # a single number would be a count
        "draw": run["draw"],
        **({"degrade": [worse]} if worse else {}),
        **({"data": run["data"]} if run["data"] else {}),
    }
    return to_toml(values, comment="xmsgl benchmark --config THIS --out FOLDER")


def _describe_dataset(ds: xr.Dataset, *, graphs: bool) -> None:
    from xmsgl import schema

    if graphs:
        found = ds.msgl.graph().describe()
        show(asdict(found), str(found))
        return
    if "water_temperature" in ds:
        _describe_prediction(ds["water_temperature"])
        return
    report = schema.validate(ds, values=False)
    report = replace(report, labels_coarse=_labels(ds, "coarse"), labels_fine=_labels(ds, "fine"))
    title = ds.attrs.get("title", "")
    facts = {"kind": "dataset", "title": title, **report.to_dict()}
    show(facts, f"{title or 'dataset without a title'}\n{report}")


def _labels(ds: xr.Dataset, scale: str) -> int:
    name = f"water_temperature_{scale}"
    return int(ds[name].count()) if name in ds else 0


def _describe_prediction(temperature: xr.DataArray) -> None:
    days, attrs = temperature["time"].to_index(), temperature.attrs
    facts = {
        "kind": "prediction",
        "what": attrs.get("long_name", "temperature"),
        "units": attrs.get("units", "unknown"),
        "sizes": ", ".join(f"{name} {size:,}" for name, size in temperature.sizes.items()),
        "days": f"{days[0].date()} to {days[-1].date()}",
        "method": attrs.get("method", "unknown"),
        "model": attrs.get("model_sha256", "unknown")[:12],
        "dataset": attrs.get("source") or "unnamed",
        **{f"step {k}": line for k, line in enumerate(attrs.get("history", "").splitlines(), 1)},
    }
    _show(facts)
