"""Transfer between basins: train on one or two, score ungauged reaches of the third.

    python -m benchmarks.three_basins RESULTS.jsonl                       # an hour on 2 cores
    python -m benchmarks.three_basins RESULTS.jsonl --methods regression trees
    python -m benchmarks.three_basins RESULTS.jsonl --methods default --kept 0 20 --draws 0
    python -m benchmarks.three_basins RESULTS.jsonl --table               # only print what is there

The basins are the Delaware, the Willamette and the Yakima on the same four water years (the Yakima's years
are moved by twelve, which keeps each day of the year), with the features that all of them have: daily mean
air temperature and static attributes. A third of the target's gauged segments, drawn at random, is scored on
all days. Of the other gauged segments 0, 1, 5 or 20 keep their observations, at both scales, for training.
"""

from __future__ import annotations

import argparse
import json
import time
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr

from xmsgl import datasets
from xmsgl.evaluate import air_temperature_regression, mask_labels, score
from xmsgl.evaluate.references.boosting import gradient_boosting

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

OPEN = {
    "delaware": lambda: datasets.delaware(forcing="stations"),
    "willamette": datasets.willamette,
    "yakima": datasets.yakima,
}
DAYS = slice("2016-10-01", "2020-09-30")
MOVED = {"yakima": 12}  # years
STATICS = ("slope", "elevation", "drainage_area", "length")
KEPT = (0, 1, 5, 20)
LEAST_DAYS = 30  # observed days of a gauged segment
LEAST_SCORED = 100  # a gauge is scored by itself from this number of days
COARSE, FINE = "water_temperature_coarse", "water_temperature_fine"
NETWORK = {
    "features": ["default", "season"],
    "average": 0.98,
    "window": 120,
    "validation": "2019-10-01/2020-09-30",
}
METHODS = ("regression", "trees", "trees, neighbours", "remap", "msgl", "default")


def open_basin(name: str) -> xr.Dataset:
    """Open a basin, reduced to the common days and variables, in memory."""
    ds = OPEN[name]()
    ds = ds.assign_coords(time=ds.indexes["time"] + pd.DateOffset(years=MOVED.get(name, 0)))
    statics = [f"{base}_{scale}" for base, scale in product(STATICS, ("coarse", "fine"))]
    names = ["downstream_coarse", "downstream_fine", "coarse_segment", "air_temperature_coarse", COARSE, FINE]
    small = ds[[*names, *(static for static in statics if static in ds)]].sel(time=DAYS)
    small = small.drop_vars(set(small.coords) - {"time", "coarse", "fine"}).compute()
    for base in STATICS:  # where a basin has them by segment only
        if f"{base}_fine" not in small:
            of_segment = small[f"{base}_coarse"].sel(coarse=small["coarse_segment"])
            small[f"{base}_fine"] = of_segment.drop_vars("coarse")
    return small


def join(basins: list[xr.Dataset]) -> xr.Dataset:
    """Put basins side by side; their networks stay apart."""
    parts = []
    for scale, other in (("coarse", "fine"), ("fine", "coarse")):
        each = [ds[[name for name in ds if scale in ds[name].dims]] for ds in basins]
        each = [ds.drop_dims(other, errors="ignore") for ds in each]
        parts.append(xr.concat(each, scale, combine_attrs="drop_conflicts"))
    return xr.merge(parts)


def draw_gauges(ds: xr.Dataset, draw: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Draw the scored third of the gauged segments; return it and the others in random order."""
    days = ds[COARSE].notnull().sum("time").values
    gauged = np.sort(ds["coarse"].values[days >= LEAST_DAYS])
    order = np.random.default_rng(draw).permutation(gauged)
    return order[: len(order) // 3], order[len(order) // 3 :]


def predict(method: str, ds: xr.Dataset, seed: int) -> xr.DataArray:
    """Learn from the observations in a dataset and predict all reaches."""
    if method == "regression":
        return air_temperature_regression(ds)
    if method.startswith("trees"):
        lengths = [40_000.0, 80_000.0] if "neighbours" in method else []
        return gradient_boosting(ds, labels="coarse", neighbours=lengths, seed=seed)
    given = {} if method == "default" else {"method": method, **NETWORK}
    return ds.msgl.downscale(ds.msgl.train(seed=seed, progress=False, **given))


def run(
    basins: Mapping[str, xr.Dataset], *, target: str, sources: list[str], kept: int, draw: int, method: str
) -> dict[str, float]:
    """Score one method on the scored gauges of the target."""
    start = time.perf_counter()
    ds = basins[target]
    scored, others = draw_gauges(ds, draw)
    hidden = np.setdiff1d(ds["coarse"].values, others[:kept])
    everything = join([mask_labels(ds, segments=hidden), *(basins[name] for name in sources)])
    reaches = ds["fine"].values[np.isin(ds["coarse_segment"].values, scored)]
    prediction = predict(method, everything, draw).sel(fine=reaches)
    observed = ds[FINE].sel(fine=reaches)
    result, by_gauge = score(prediction, observed), score(prediction, observed, by="reach")
    return {
        "rmse": float(result["rmse"]),
        "bias": float(result["bias"]),
        "median": float(by_gauge["rmse"].where(by_gauge["n"] >= LEAST_SCORED).median()),
        "gauges": int((by_gauge["n"] >= LEAST_SCORED).sum()),
        "n": int(result["n"]),
        "taught": min(kept, len(others)),
        "seconds": round(time.perf_counter() - start, 1),
    }


def cases(methods: list[str], draws: list[int]) -> list[dict[str, Any]]:
    """List the runs: with the target's gauges both sources or none, without them each source, too."""
    found = []
    for draw, method, target, kept in product(draws, methods, OPEN, KEPT):
        both = [name for name in OPEN if name != target]
        alone = [] if method in ("remap", "msgl") else [[]]
        for sources in [both, *(alone if kept else [[name] for name in both])]:
            case = {"target": target, "sources": sources, "kept": kept, "draw": draw}
            found.append({**case, "method": method})
    return found


def table(lines: list[dict[str, Any]]) -> str:
    """Write the mean over draws of the pooled RMSE and of the median gauge's, in Markdown."""
    rows = pd.DataFrame([{**line["case"], **line["score"]} for line in lines])
    rows["sources"] = rows["sources"].map(lambda names: " + ".join(names) or "none")
    rows["method"] = pd.Categorical(rows["method"], METHODS)
    by = rows.groupby(["target", "sources", "method", "kept"], observed=True)
    mean = by[["rmse", "median"]].mean().map("{:.2f}".format)
    cells = mean["rmse"] + " / " + mean["median"] + by.size().map(" ({})".format)
    return cells.unstack("kept").fillna("").reset_index().to_markdown(index=False)


def main() -> None:
    """Run what is not in the results yet, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=METHODS)
    parser.add_argument("--draws", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--kept", nargs="+", type=int, default=list(KEPT), choices=KEPT)
    parser.add_argument("--table", action="store_true")
    given = parser.parse_args()
    text = given.results.read_text() if given.results.exists() else ""
    lines = [json.loads(line) for line in text.splitlines()]
    done = [line["case"] for line in lines]
    wanted = [case for case in cases(given.methods, given.draws) if case["kept"] in given.kept]
    todo = [] if given.table else [case for case in wanted if case not in done]
    basins = {name: open_basin(name) for name in OPEN} if todo else {}
    for case in todo:
        lines.append({"case": case, "score": run(basins, **case)})
        with given.results.open("a") as file:
            file.write(json.dumps(lines[-1]) + "\n")
        print(json.dumps(lines[-1]), flush=True)
    print(table(lines))


if __name__ == "__main__":
    main()
