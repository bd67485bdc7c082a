"""The main job, end to end: what ``make demo`` and ``xmsgl demo`` run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

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

    from xmsgl.models.file.model import Model

Say = Callable[[str], None]

# Short windows make more steps of an epoch, which counts where the hours do.
SETTINGS = {"window": 90, "warmup": 30}

# The prediction is written first: by it the others are known.
_RESULTS = ("temperature.nc", "model.safetensors", "skill.md", "overview.png")


@dataclass(frozen=True)
class Plan:
    """What a demo runs on, sized for two cores.

    Attributes
    ----------
    dataset
        ``"delaware"`` or ``"simulated"``.
    why
        One sentence that says how it was chosen.
    period
        First and last day, or None for all.
    test
        First of the held-out days; all later ones are held out too.
    epochs
        Passes of training, for every method.
    identity
        Learned numbers a segment: worth having where nearly all segments have labels.
    """

    dataset: str
    why: str
    period: tuple[str, str] | None
    test: str | None
    epochs: int
    identity: int


def choose(data: str, found: Availability) -> Plan:
    """Decide what to run on; nothing is fetched."""
    if data == "delaware" or (data == "auto" and found):
        why = f"the real Delaware River Basin: {found.reason}"
        return Plan("delaware", why, ("2007-10-01", "2020-09-30"), "2017-10-01", 40, 0)
    why = "the simulated basin: it was asked for"
    if data == "auto":
        why = f"the simulated basin, because the Delaware files can not be had: {found.reason}"
    return Plan("simulated", why, None, None, 60, 8)


def run_demo(data: str, out: Path, *, epochs: int | None, seed: int, say: Say) -> SkillTable:
    """Run the main job and write its results."""
    out.mkdir(parents=True, exist_ok=True)
    _check_folder(out)
    plan = choose(data, availability("delaware"))
    say(f"dataset   {plan.why}")
    ds = _load(plan)
    say(f"validate  {validate(ds)}")
    say(f"graphs    {build_graph(ds).describe()}")
    test, held_coarse, held_fine = _hold_out(ds, plan, seed)
    training = mask_labels(mask_labels(ds, days=test), segments=held_coarse)
    passes = epochs or plan.epochs
    say(f"train     without the days from {_first(test)} on and without {int(held_coarse.sum())} segments")
    models = {
        name: training.msgl.train(name, epochs=passes, seed=seed, identity=plan.identity, **SETTINGS)
        for name in ("msgl", "remap")
    }
    say("downscale every reach on every day")
    temperature = _compute(ds.msgl.downscale(models["msgl"]))
    say("score     MSGL, remap, air-temperature regression, climatology")
    table = _score(ds, training, temperature, models["remap"], test, held_fine)
    _write(out, ds, temperature, models["msgl"], table, test)
    say(f"\n{table}\n")
    say(f"written   {', '.join(sorted(path.name for path in out.iterdir()))} in {out}/")
    return table


def _check_folder(out: Path) -> None:
    """Replace the results of an earlier demo, which are known by the prediction, and nothing else."""
    for name in _RESULTS:
        check_target(out / name)
    found = [name for name in _RESULTS if (out / name).exists()]
    if found and not is_prediction(out / _RESULTS[0]):
        msg = f"cannot write into {out}: {', '.join(found)} there is not of a demo; choose another folder"
        raise OutputError(msg)


def _load(plan: Plan) -> xr.Dataset:
    if plan.dataset == "simulated":
        return datasets.simulated()
    start, stop = plan.period or (None, None)
    return datasets.delaware(start=start, end=stop, forcing="era5")


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


def _first(test: xr.DataArray) -> str:
    return str(pd.Timestamp(test["time"].values[np.argmax(test.values)]).date())


def _score(
    ds: xr.Dataset,
    training: xr.Dataset,
    temperature: xr.DataArray,
    remap: Model,
    test: xr.DataArray,
    held_fine: xr.DataArray,
) -> SkillTable:
    predictions = {
        "MSGL": temperature,
        "remap": _compute(ds.msgl.downscale(remap)),
        "air-temperature regression": air_temperature_regression(training),
        "climatology": climatology(training),
    }
    groups = {"held-out days": test & ~held_fine, "held-out reaches": held_fine & ~test}
    return skill_table(predictions, ds["water_temperature_fine"].compute(), groups=groups)


def _write(
    out: Path,
    ds: xr.Dataset,
    temperature: xr.DataArray,
    model: Model,
    table: SkillTable,
    test: xr.DataArray,
) -> None:
    from xmsgl.plot import overview

    prediction, weights, skill, picture = (out / name for name in _RESULTS)
    write_prediction(temperature, prediction)
    model.save(weights)
    write_bytes(skill, f"{table.to_markdown()}\n".encode())
    figure = overview(temperature.sel(time=test), ds.sel(time=test))
    with whole(picture) as part:
        figure.savefig(part, dpi=150)
