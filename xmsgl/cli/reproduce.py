"""The command ``xmsgl reproduce``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from xmsgl.cli.arguments import complete_model, dataset_argument, device_option, known_model
from xmsgl.cli.as_json import json_option, show
from xmsgl.cli.lists import ListsCommand
from xmsgl.cli.models import aligned
from xmsgl.cli.train import check_fingerprint, settings_of
from xmsgl.datasets.open import open_data
from xmsgl.util.options import set_options

if TYPE_CHECKING:
    from xmsgl.models.file.model import Model

__all__ = ["reproduce"]


@click.command(cls=ListsCommand)
@dataset_argument
@click.option(
    "-m",
    "--model",
    callback=known_model,
    shell_complete=complete_model,
    required=True,
    help="Packaged model (see xmsgl models) or .safetensors file.",
)
@click.option("--start", type=click.Path(exists=True), help="Model that the training started from.")
@device_option
@json_option
@click.pass_context
def reproduce(
    ctx: click.Context, /, *, dataset: str, data: dict[str, Any], model: str, start: str | None, device: str
) -> None:
    """Train a model again on DATASET, with its own settings, and compare.

    DATASET must have the network, days and labels that the model was trained on. The exit code is 0 if all
    weights are equal bit for bit, as they are on CPU with the same versions and, unless trained with
    --deterministic, the same number of threads, and otherwise 1.
    """
    from xmsgl.models.file.model import load_model

    first = load_model(model)
    settings = settings_of(first.spec.training, model)
    ds = open_data(dataset, **data)
    check_fingerprint(ds, first.spec.training["fingerprint"])
    with set_options(deterministic=bool(first.spec.training.get("deterministic"))):
        again = ds.msgl.train(**settings, start=start, device=device)
    facts = _compared(first, again)
    change = ds.msgl.downscale(again) - ds.msgl.downscale(first)
    facts["largest change of a prediction [degC]"] = float(abs(change).max())
    show(facts, aligned([(name, str(value)) for name, value in facts.items()]))
    ctx.exit(0 if facts["equal weights"] == facts["weights"] else 1)


def _compared(first: Model, again: Model) -> dict[str, Any]:
    """Compare the weights of two models by name, and say with which versions each was trained."""
    shared = [name for name, each in first.weights.items() if name in again.weights]
    equal = sum(first.weights[name].equal(again.weights[name]) for name in shared)
    versions = [
        ", ".join(f"{name} {number}" for name, number in sorted(each.spec.training["versions"].items()))
        for each in (first, again)
    ]
    return {
        "weights": len(first.weights.keys() | again.weights.keys()),
        "equal weights": equal,
        "trained with": versions[0],
        "now": versions[1],
    }
