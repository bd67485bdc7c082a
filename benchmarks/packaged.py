"""The models that the package ships: ``python -m benchmarks.packaged train FOLDER`` and ``... score NAME``.

``train`` trains ``delaware-gauged``, ``delaware-ungauged`` and ``delaware-sensors``, or those whose names
follow the folder, by the recipes of these names. Observations on the benchmark's test days are masked at both
scales. An interrupted training resumes from its checkpoint in the folder. ``errors FOLDER NAME`` fits the
covariance of the errors of a packaged model again, with its weights as they are. ``score`` scores a packaged
model on the test days and writes the figures and the card into ``docs/models``.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import card
from xmsgl.benchmark import make_plan
from xmsgl.benchmark.protocols import Split, make_split
from xmsgl.evaluate import score
from xmsgl.models.file.model import load_model
from xmsgl.reconstruct.fit import fit_errors

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["PERIODS", "main", "scores"]

#: Recipe of each model.
MODELS = {f"delaware-{recipe}": recipe for recipe in ("gauged", "ungauged", "sensors")}
#: Water years of the test that are scored apart.
PERIODS = {"2011-15": ("2010-10-01", "2015-09-30"), "2021": ("2020-10-01", "2021-09-30")}


def _split() -> Split:
    (run,) = make_plan("delaware", methods=["climatology"], fractions=[1], seeds=1)
    return make_split(run)


def train(folder: Path, names: Sequence[str] = tuple(MODELS)) -> None:
    """Train models and write their files into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    training = _split().training
    for name in names:
        recipe = MODELS[name]
        checkpoint = folder / f"{name}.ckpt"
        kept = {"validation": "2005-10-01/2010-09-30"} if recipe == "gauged" else {}
        model = training.msgl.train(
            recipe=recipe,
            **kept,
            checkpoint=checkpoint,
            resume=checkpoint if checkpoint.exists() else None,
        )
        sys.stdout.write(f"{model.save(folder / f'{name}.safetensors')}\n{model!r}\n")


def errors(folder: Path, name: str) -> None:
    """Fit the covariance of a packaged model's errors again, as its training did."""
    folder.mkdir(parents=True, exist_ok=True)
    model = load_model(name)
    fitted = fit_errors(_split().training.load(), model, len(model.parts), 0, "cpu")
    sys.stdout.write(f"{fitted.save(folder / f'{name}.safetensors')}\n")


def scores(name: str, periods: Sequence[str] = tuple(PERIODS)) -> list[dict[str, Any]]:
    """Score a packaged model on the observations of test days, by period."""
    split, model = _split(), load_model(name)
    rows = []
    for period in periods:
        first, last = PERIODS[period]
        observed = split.observed.sel(time=slice(first, last))
        # A year before, so that the first days are not those of the start of a record.
        days = slice(f"{int(first[:4]) - 1}{first[4:]}", last)
        quantiles = split.inputs.sel(time=days).msgl.downscale(model, quantiles=[0.05, 0.5, 0.95])
        mean = split.inputs.sel(time=days).msgl.downscale(model)
        where = {"fine": observed["fine"], "time": observed["time"]}
        found, spread = score(mean.sel(where), observed), score(quantiles.sel(where), observed)
        rows.append(
            {
                "water years": period,
                "RMSE [degC]": round(float(found["rmse"]), 3),
                "median reach [degC]": round(float(found["rmse_median"]), 3),
                "bias [degC]": round(float(found["bias"]), 3),
                "90 % interval covers [%]": round(100 * float(spread["coverage"].values.ravel()[0]), 1),
                "n": int(found["n"]),
            }
        )
    return rows


def main(arguments: list[str]) -> None:
    """Train or fit into a folder, or score packaged models."""
    command, *rest = arguments
    if command == "train":
        train(Path(rest[0]), rest[1:] or tuple(MODELS))
        return
    if command == "errors":
        errors(Path(rest[0]), rest[1])
        return
    for name in rest:
        path = card.PAGES / f"{name}.json"
        facts = json.loads(path.read_text(encoding="utf-8"))
        path.write_text(json.dumps({**facts, "scores": scores(name)}, indent=2) + "\n", encoding="utf-8")
        card.main([name])


if __name__ == "__main__":
    main(sys.argv[1:])
