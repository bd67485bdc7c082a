"""The whole workflow, which ``make demo`` and ``xmsgl demo`` run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr

from xmsgl import datasets
from xmsgl.cli.outputs import is_prediction, write_prediction
from xmsgl.datasets.download import Availability, availability
from xmsgl.errors import OutputError
from xmsgl.evaluate import (
    SkillTable,
    air_temperature_regression,
    climatology,
    hold_out_segments,
    mask_labels,
    skill_table,
)
from xmsgl.schema.graphs import build_graph
from xmsgl.schema.validate import validate
from xmsgl.util.progress import dask_bar
from xmsgl.util.writing import check_target, whole, write_bytes

if TYPE_CHECKING:
    from pathlib import Path

Say = Callable[[str], None]


# The prediction comes first, because it identifies the results of a demo.
_RESULTS = ("temperature.nc", "model.safetensors", "skill.md", "overview.png")


_REFERENCES: dict[str, Callable[[xr.Dataset], xr.DataArray]] = {
    "air-temperature regression": air_temperature_regression,
    "climatology": climatology,
}


@dataclass(frozen=True)
class Plan:
    """Dataset and settings of a demo, sized for two cores."""

    dataset: str
    why: str  # the dataset was chosen
    test: str | None  # first of the held-out days; default: the last quarter
    name: str  # of the model in the table
    settings: Mapping[str, Any]  # of its training


def choose(data: str, found: Availability) -> Plan:
    """Choose the dataset; nothing is fetched."""
    if data == "delaware" or (data == "auto" and found):
        why = f"the real Delaware River Basin: {found.reason}"
        return Plan("delaware", why, "2017-10-01", "MSGL and trees", {"recipe": "ungauged"})
    why = "the simulated basin, as requested"
    if data == "auto":
        why = f"the simulated basin, because the Delaware files are not available: {found.reason}"
    # Three years are too short for a recipe. Nearly all segments have labels, so identities are useful.
    return Plan("simulated", why, None, "MSGL", {"method": "msgl", "epochs": 60, "identity": 8})


def run_demo(data: str, out: Path, *, seed: int, say: Say) -> SkillTable:
    """Run the workflow and write its results."""
    from xmsgl.plot import overview

    out.mkdir(parents=True, exist_ok=True)
    _check_folder(out)
    plan = choose(data, availability("delaware"))
    say(f"dataset   {plan.why}")
    ds = _load(plan)
    say(f"validate  {validate(ds)}")
    say(f"graphs    {build_graph(ds).describe()}")
    test, held_coarse, held_fine = _hold_out(ds, plan, seed)
    training = mask_labels(mask_labels(ds, days=test), segments=held_coarse)
    first = str(pd.Timestamp(test["time"].values[np.argmax(test.values)]).date())
    say(f"train     without the days from {first} and without {int(held_coarse.sum())} segments")
    # Short windows give more steps per epoch, so that training takes less time.
    model = training.msgl.train(**plan.settings, seed=seed, window=90)
    say("downscale every reach on every day")
    temperature = _compute(ds.msgl.downscale(model))
    others = {f"{part.method} alone": part for part in model.parts if model.spec.parts}
    say(f"score     {', '.join([plan.name, *others, *_REFERENCES])}")
    predictions = {plan.name: temperature} | {
        name: _compute(ds.msgl.downscale(part)) for name, part in others.items()
    }
    predictions |= {name: reference(training) for name, reference in _REFERENCES.items()}
    groups = {"held-out days": test & ~held_fine, "held-out reaches": held_fine & ~test}
    table = skill_table(predictions, ds["water_temperature_fine"].compute(), groups=groups)
    prediction, weights, skill, picture = (out / name for name in _RESULTS)
    write_prediction(temperature, prediction)
    model.save(weights)
    write_bytes(skill, f"{table.to_markdown()}\n".encode())
    figure = overview(temperature.sel(time=test), ds.sel(time=test))
    with whole(picture) as part:
        figure.savefig(part, dpi=150)
    say(f"\n{table}\n")
    say(f"written   {', '.join(sorted(path.name for path in out.iterdir()))} in {out}/")
    return table


def _check_folder(out: Path) -> None:
    """Refuse to replace anything but the results of an earlier demo, which include a prediction."""
    for name in _RESULTS:
        check_target(out / name)
    found = [name for name in _RESULTS if (out / name).exists()]
    if found and not is_prediction(out / _RESULTS[0]):
        msg = f"cannot write into {out}: its {', '.join(found)} is not from a demo; choose another folder"
        raise OutputError(msg)


def _load(plan: Plan) -> xr.Dataset:
    if plan.dataset == "simulated":
        return datasets.simulated()
    return datasets.delaware(start="2007-10-01", end="2020-09-30")


def _hold_out(ds: xr.Dataset, plan: Plan, seed: int) -> tuple[xr.DataArray, xr.DataArray, xr.DataArray]:
    """Hold out the last days and a fifth of the segments that have fine labels, at both scales."""
    time = ds.indexes["time"]
    first = pd.Timestamp(plan.test) if plan.test else time[int(0.75 * len(time))]
    test = xr.DataArray(np.asarray(time >= first), dims="time", coords={"time": ds["time"]})
    observed = ds["water_temperature_fine"].notnull().any("time").compute()
    segments = np.unique(ds["coarse_segment"].values[observed.values])
    held_coarse, held_fine = hold_out_segments(ds, 0.2, seed, candidates=segments.tolist())
    return test, held_coarse, held_fine


def _compute(lazy: xr.DataArray) -> xr.DataArray:
    with dask_bar("downscale"):
        return lazy.compute()
