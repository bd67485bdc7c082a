"""Over-smoothing: what the hidden states of deep stacks of graph layers still tell apart.

    python -m benchmarks.smoothing --seeds 0 1      # train, measure, write the page
    python -m benchmarks.smoothing                    # write the page again from the stored rows

The backbone ``dynamic`` with 2 to 16 layers is trained as ``fine-only`` on five years of one region of the
Delaware, with the fixed graph (``mix=0``) or the renewed one, and with the hidden states taken from the last
layer or from all of them. Measured are the hidden states that the head reads, at all reaches on every tenth
day of the year after, before training and after it. A row that is stored is not run again.
"""

from __future__ import annotations

import argparse
import time
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch

import xmsgl
from benchmarks.rows import fill, read_rows, rounded, write_rows
from xmsgl import schema
from xmsgl.evaluate.table import markdown
from xmsgl.inputs.scales import ScaleInputs
from xmsgl.models.file.model import Model
from xmsgl.models.methods.registry import create_model
from xmsgl.plot.style import new_figure
from xmsgl.prediction.operators import Operators
from xmsgl.prediction.predictor import split_inputs

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import xarray as xr
    from numpy.typing import NDArray

__all__ = ["energy", "main", "mean_distance", "measure", "probe", "rank", "written"]

ROOT = Path(__file__).parents[1]
RESULTS, PAGE, PICTURE = (
    "docs/benchmarks/smoothing.json",
    "docs/benchmarks/smoothing.md",
    "docs/images/smoothing.png",
)
REGION, TRAINING, TEST = "02040101", ("2005-07-01", "2010-09-30"), ("2010-06-01", "2011-09-30")
DEPTHS = (2, 4, 8, 16)
GRAPHS, OUTPUTS = {"fixed": 0.0, "dynamic": 1.0}, {"last layer": False, "concatenated": True}
SETTINGS: dict[str, Any] = {
    "features": ["drivers", "air_temperature:30", "statics"],
    "window": 60,
    "warmup": 30,
    "validation": None,
    "keep": "last",
    "learning_rate": 0.01,
    "epochs": 8,
    "device": "cpu",
    "progress": False,
}
_FIGURES = {
    "energy": ("Dirichlet energy", ".2g"),
    "distance": ("mean distance", ".2g"),
    "rank": ("effective rank", ".2f"),
    "elevation": ("R² elevation", ".2f"),
    "segment": ("R² segment's temperature", ".2f"),
    "rmse": ("RMSE", ".3f"),
}


# ------------------------------------------------------------------ measures of (day, node, channel)


def energy(z: NDArray[np.float64], source: NDArray[np.int64], target: NDArray[np.int64]) -> float:
    """Mean squared difference along the edges over the mean squared norm; 0: all nodes are the same."""
    apart = np.square(z[:, source] - z[:, target]).sum(-1).mean()
    return float(apart / _norm(z))


def mean_distance(z: NDArray[np.float64]) -> float:
    """Mean distance of all pairs of nodes, divided by the root mean squared norm."""
    pairs = np.triu_indices(z.shape[1], 1)
    days = [np.sqrt(np.square(day[pairs[0]] - day[pairs[1]]).sum(-1)).mean() for day in z]
    return float(np.mean(days) / np.sqrt(_norm(z)))


def rank(z: NDArray[np.float64]) -> float:
    """Effective rank (Roy and Vetterli 2007), the mean of the days; 1: all nodes are multiples of one."""
    values = np.linalg.svd(z, compute_uv=False)
    share = np.maximum(values / np.maximum(values.sum(-1, keepdims=True), 1e-300), 1e-300)
    return float(np.exp(-(share * np.log(share)).sum(-1)).mean())


def probe(z: NDArray[np.float64], value: NDArray[np.float64], group: NDArray[np.int64]) -> float:
    """R2 of ridge regression on states (sample, channel), at segments whose reaches it has not seen."""
    from sklearn.linear_model import RidgeCV
    from sklearn.model_selection import GroupKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), RidgeCV(np.logspace(-3, 3, 7)))
    guess = cross_val_predict(model, z, value, groups=group, cv=GroupKFold(5))
    return float(1 - np.square(guess - value).sum() / np.square(value - value.mean()).sum())


def _norm(z: NDArray[np.float64]) -> float:
    return max(float(np.square(z).sum(-1).mean()), 1e-300)


# ------------------------------------------------------------------------------------- runs


def measure(model: Model, ds: xr.Dataset) -> dict[str, float]:
    """Measure the hidden states of a model of ``fine-only`` in the last year of a dataset."""
    spec, module = model.spec, model.module()
    drivers, fixed = split_inputs(ds, spec.features)
    inputs = ScaleInputs(drivers.compute(), spec.features, "fine", fixed)
    inputs.use(spec.scaling["fine"])
    operators = Operators.build(fixed, spec.graph, spec.segments, torch.device("cpu"))
    days = np.arange(ds.sizes["time"] - 365 - SETTINGS["warmup"], ds.sizes["time"])
    with torch.no_grad():
        states = module.hidden_states(operators.batch({"fine": inputs.gather(days[None])}), "fine")
        standardised = module.head(states)[-365:, :, 0].numpy()
    scaling = spec.scaling["fine"]
    predicted = np.maximum(standardised * scaling.label_deviation + scaling.label_mean, 0)
    observed = ds["water_temperature_fine"].values[-365:]
    z = states[-365::10, :, 0].double().numpy()
    segment = schema.segment_positions(ds)
    coarse = ds["water_temperature_coarse"].values[-365::10][:, segment]
    day, node = np.nonzero(np.isfinite(coarse))
    places = pd.Index(ds["fine"].values)
    below = places.get_indexer(ds["downstream_fine"].values)
    edges = np.flatnonzero(below >= 0), below[below >= 0]
    return {
        "energy": energy(z, *edges),
        "distance": mean_distance(z),
        "rank": rank(z),
        "elevation": probe(z.mean(0), ds["elevation_coarse"].values[segment], segment),
        "segment": probe(z[day, node], coarse[day, node].astype(float), segment[node]),
        "rmse": float(np.sqrt(np.nanmean(np.square(predicted - observed)))),
        "n": int(np.isfinite(observed).sum()),
    }


def fresh(model: Model, seed: int) -> Model:
    """Return the model as it was before training."""
    spec = model.spec
    module = create_model(spec.method, n_features=len(spec.features), seed=seed, **spec.architecture)
    return Model(spec, module.state_dict())


def run(training: xr.Dataset, test: xr.Dataset, depth: int, graph: str, output: str, seed: int) -> list[Any]:
    """Train once; return a row before training and one after it."""
    options = {"name": "dynamic", "depth": depth, "mix": GRAPHS[graph], "concat": OUTPUTS[output]}
    began = time.process_time()
    model = training.msgl.train("fine-only", backbone=options, seed=seed, **SETTINGS)
    named = {"depth": depth, "graph": graph, "output": output, "seed": seed}
    cpu = round(time.process_time() - began)
    return [
        {**named, "trained": trained, "cpu_s": cpu if trained else 0, **measure(each, test)}
        for trained, each in ((False, fresh(model, seed)), (True, model))
    ]


# ------------------------------------------------------------------------------------- page


def table(rows: Sequence[Mapping[str, Any]], trained: bool) -> str:
    """Write a row for each depth, graph and output: the mean over the seeds."""
    frame = pd.DataFrame([row for row in rows if row["trained"] == trained])
    names = [name for name in _FIGURES if trained or name != "rmse"]
    lines = []
    for graph, output, depth in product(GRAPHS, OUTPUTS, DEPTHS):
        some = frame.query("graph == @graph and output == @output and depth == @depth")
        if len(some):
            cells = [f"{some[name].mean():{_FIGURES[name][1]}}" for name in names]
            lines.append([graph, output, str(depth), *cells, str(len(some))])
    return markdown(
        ["graph", "output", "depth", *(_FIGURES[name][0] for name in names), "seeds"], lines, (0, 1)
    )


def kept(rows: Sequence[Mapping[str, Any]]) -> str:
    """Write what the largest depth keeps of the energy and the rank of the smallest."""
    frame = pd.DataFrame(list(rows))
    lines = []
    for trained, graph, output in product((False, True), GRAPHS, OUTPUTS):
        some = frame.query("trained == @trained and graph == @graph and output == @output")
        mean = some.groupby("depth")[["energy", "rank"]].mean()
        mean["above"] = mean["rank"] - 1  # no rank is below 1
        if {DEPTHS[0], DEPTHS[-1]} <= set(mean.index):
            share = mean.loc[DEPTHS[-1]] / mean.loc[DEPTHS[0]]
            cells = [f"{share[name]:.0%}" for name in ("energy", "rank", "above")]
            lines.append(["after training" if trained else "before", graph, output, *cells])
    return markdown(["", "graph", "output", "energy", "rank", "rank above 1"], lines, (0, 1, 2))


def draw(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Draw energy, rank and error of the trained models against the depth."""
    frame = pd.DataFrame([row for row in rows if row["trained"]])
    figure = new_figure((9.0, 3.0))
    axes = figure.subplots(1, 3)
    for axis, name in zip(axes, ("energy", "rank", "rmse"), strict=True):
        for (graph, color), (output, style) in product(
            zip(GRAPHS, ("C0", "C1"), strict=True), zip(OUTPUTS, ("--", "-"), strict=True)
        ):
            some = frame.query("graph == @graph and output == @output").groupby("depth")[name]
            mean = some.mean()
            axis.plot(mean.index, mean, style, color=color, marker="o", ms=3, label=f"{graph}, {output}")
            axis.fill_between(mean.index, some.min(), some.max(), color=color, alpha=0.12, lw=0)
        axis.set_xscale("log", base=2)
        axis.set_xticks(DEPTHS, [str(depth) for depth in DEPTHS])
        axis.set_xlabel("graph layers")
        axis.set_ylabel(_FIGURES[name][0] + (" [°C]" if name == "rmse" else ""))
    axes[0].set_yscale("log")
    axes[0].legend(frameon=False, fontsize="small")
    figure.savefig(path, dpi=110)


def written(rows: Sequence[Mapping[str, Any]], text: str) -> str:
    """Return the page with the tables of the stored rows between its marks."""
    tables = {"kept": kept(rows), "trained": table(rows, True), "initial": table(rows, False)}
    return fill(text, tables, PAGE)


def main(arguments: Sequence[str] | None = None, root: Path = ROOT) -> None:
    """Run what is not stored, and write the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, nargs="*", default=[])
    given = parser.parse_args(arguments)
    path = root / RESULTS
    rows = read_rows(path)
    if given.seeds:
        ds = xmsgl.datasets.delaware(region=REGION, forcing="stations")
        training, test = (ds.sel(time=slice(*days)).load() for days in (TRAINING, TEST))
    keys = ("depth", "graph", "output", "seed")
    for seed, depth, graph, output in product(given.seeds, DEPTHS, GRAPHS, OUTPUTS):
        if not any(tuple(row[key] for key in keys) == (depth, graph, output, seed) for row in rows):
            rows += rounded(run(training, test, depth, graph, output, seed))
            write_rows(path, rows)
    draw(rows, root / PICTURE)
    (root / PAGE).write_text(written(rows, (root / PAGE).read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
