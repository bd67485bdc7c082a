"""Where, when and how much heat: a network against rules and the process model, and disturbed records.

    python -m benchmarks.events --seeds 0 1 2  # train, locate, write the page
    python -m benchmarks.events                # write the page again from the stored rows

Events are simulated on two river networks with sensors on 5 and 20 % of the reaches. All methods locate the
same 200 events; networks learn from 100 to 3,000 others, which are the same for every seed of the training. A
row that is stored is not run again.
"""

from __future__ import annotations

import argparse
import time
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

import xmsgl
from benchmarks.rows import fill, read_rows, rounded, write_rows
from xmsgl.evaluate.table import markdown
from xmsgl.events import felt, locate, perturb, score, sensor_weights, simulate, train

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import xarray as xr

    from xmsgl.events import Localizer

__all__ = ["attention", "main", "written"]

ROOT = Path(__file__).parents[1]
RESULTS, PAGE = "docs/benchmarks/events.json", "docs/benchmarks/events.md"
NETWORKS: dict[str, Callable[[], xr.Dataset]] = {
    "simulated": lambda: xmsgl.datasets.simulated(n_coarse=40, years=4, seed=5),
    "Upper Delaware": lambda: (
        xmsgl.datasets.delaware(region="02040101", forcing="stations")
        .sel(time=slice("2008-10-01", "2013-09-30"))
        .load()
    ),
}
SENSORS, SIZES, TEST, EPOCHS = (0.05, 0.2), (100, 300, 1000, 3000), 200, 40
RULES = ("largest", "travel-time", "likelihood")
DISTURBED: dict[str, dict[str, Any]] = {
    "periods of 3 to 10 days": {"band": (3, 10)},
    "periods of 10 to 30 days": {"band": (10, 30)},
    "a day late": {"shift": 1},
    "three days late": {"shift": 3},
    "30 % of the sensors lost": {"lost": 0.3},
    "noise of 0.5 degC": {"noise": 0.5},
    "one sensor 1 degC too warm": {"bias": 1.0},
}
_KEYS = ("network", "sensors", "method", "size", "seed", "disturbed")


def attention(events: xr.Dataset, ds: xr.Dataset, localizer: Localizer) -> dict[str, float]:
    """Compare the weights of the sensors with what they feel, and remove those with the largest weights."""
    heated = events.isel(event=np.flatnonzero(events["kind"].values != "sensor_in_air"))
    weights, truth = sensor_weights(heated, ds, localizer), felt(heated, ds)
    ranks = [pd.Series(a).corr(pd.Series(b), method="spearman") for a, b in zip(weights, truth, strict=True)]
    # Sensors that feel nothing are tied; the best that any weights without ties can reach is this.
    most = [each.rank().corr(each.rank(method="first")) for each in map(pd.Series, truth.values)]
    few = max(1, round(0.2 * events.sizes["sensor"]))
    top = np.argsort(-weights.values, axis=1)[:, :few]
    rng = np.random.default_rng(0)
    some = np.argsort(rng.random(weights.shape), axis=1)[:, :few]
    errors = {"none": np.empty((len(top), 0), int), "top": top, "random": some}
    found = {}
    for name, removed in errors.items():
        residual = heated["residual"].transpose("event", "day", "sensor").values.copy()
        for k, sensors in enumerate(removed):
            residual[k][:, sensors] = 0.0
        silent = heated.assign(residual=(("event", "day", "sensor"), residual, heated["residual"].attrs))
        scores = score(locate(silent, ds, localizer), heated, ds)
        found[f"{name}_distance"] = float(scores["distance"])
        found[f"{name}_magnitude"] = float(scores["magnitude_rmse"])
    middle = {"spearman": float(np.nanmedian(ranks)), "spearman_most": float(np.nanmedian(most))}
    return {**middle, "reached": float((truth.values > 0).mean()), **found}


def row(found: xr.Dataset, events: xr.Dataset, ds: xr.Dataset) -> dict[str, float]:
    """Score estimates; the largest tenth and the middle fifth of the magnitudes, too."""
    scores = {name: float(value) for name, value in score(found, events, ds).items()}
    error = np.square((found["magnitude"] - events["magnitude"]).values)
    size = pd.Series(events["magnitude"].values).rank(pct=True).to_numpy()
    parts = {"large": size > 0.9, "middle": np.abs(size - 0.5) <= 0.1}
    scores |= {f"magnitude_{name}": float(np.sqrt(np.nanmean(error[part]))) for name, part in parts.items()}
    return {**scores, "kind": float((found["kind"] == events["kind"]).mean())}


def cases(seeds: Sequence[int]) -> Iterator[tuple[str, float, str, int, int]]:
    """List all trainings and rules."""
    for name, sensors in product(NETWORKS, SENSORS):
        yield from ((name, sensors, rule, 0, 0) for rule in RULES)
    for seed, name, sensors, size in product(seeds, NETWORKS, SENSORS, SIZES):
        yield name, sensors, "network", size, seed


def run(name: str, sensors: float, method: str, size: int, seed: int) -> Iterator[dict[str, Any]]:
    """Locate the events of the test with one method; networks also in disturbed records."""
    ds = NETWORKS[name]()
    test = simulate(ds, n=TEST, sensors=sensors, seed=1000)
    began, by = time.process_time(), method
    if method == "network":
        # The same sensors, other events.
        drawn = simulate(ds, n=TEST + size, sensors=sensors, seed=1000).isel(event=slice(TEST, None))
        by = train(drawn, ds, epochs=EPOCHS, seed=seed)
    known = {"network": name, "sensors": sensors, "method": method, "size": size, "seed": seed}
    found = row(locate(test, ds, by), test, ds)
    yield {**known, "disturbed": "", **found, "cpu_s": round(time.process_time() - began)}
    if size != 1000 and method != "likelihood":
        return
    for what, how in DISTURBED.items():
        changed = perturb(test, **how)
        yield {**known, "disturbed": what, **row(locate(changed, ds, by), changed, ds)}
    if method == "network":
        yield {**known, "disturbed": "weights", **attention(test, ds, by)}


# ------------------------------------------------------------------------------------- page


def accuracy(rows: Sequence[Mapping[str, Any]]) -> str:
    """Write the learning curve and the rules, the mean over the seeds."""
    frame = pd.DataFrame([each for each in rows if not each["disturbed"]])
    lines = []
    for keys, some in frame.groupby(["network", "sensors", "method", "size"], sort=False):
        network, sensors, method, size = keys
        mean = some.mean(numeric_only=True)
        name = f"network, {size:,} events" if size else method
        cells = [f"{mean.distance / 1000:.2f}", f"{mean.distance / mean.spacing:.2f}", f"{mean.within:.0%}"]
        cells += [f"{mean.magnitude_rmse:.3f}", f"{mean.magnitude_large / mean.magnitude_middle:.1f}"]
        cells += [
            f"{mean.onset_error:.1f}",
            f"{mean.kind:.0%}" if method in ("network", "likelihood") else "",
        ]
        lines.append([str(network), f"{sensors:.0%}", name, *cells, str(len(some)), f"{mean.cpu_s:.0f}"])
    lines.sort(key=lambda line: (line[0] != "simulated", float(line[1].rstrip("%"))))
    header = ["river", "sensors", "method", "source [km]", "in spacings", "within one", "log10 W"]
    header += ["largest tenth", "first day [d]", "kind", "seeds", "CPU [s]"]
    return markdown(header, lines, (0, 1, 2))


def disturbed(rows: Sequence[Mapping[str, Any]]) -> str:
    """Write the errors in disturbed records and their ratio to those in clean ones."""
    frame = pd.DataFrame([each for each in rows if each["disturbed"] != "weights"])
    frame = frame[(frame["size"] == 1000) | (frame["method"] == "likelihood")]
    lines = []
    for keys, some in frame.groupby(["network", "sensors", "method"], sort=False):
        clean = some[some.disturbed == ""].mean(numeric_only=True)
        for what in DISTURBED:
            mean = some[some.disturbed == what].mean(numeric_only=True)
            cells = [f"{mean.distance / 1000:.2f}", f"{mean.magnitude_rmse:.3f}"]
            cells += [f"{mean.magnitude_rmse / clean.magnitude_rmse:.2f}", f"{mean.within:.0%}"]
            lines.append([str(keys[0]), f"{keys[1]:.0%}", str(keys[2]), what, *cells])
    header = ["river", "sensors", "method", "records", "source [km]", "log10 W", "over clean", "within one"]
    return markdown(header, lines, (0, 1, 2, 3))


def weights(rows: Sequence[Mapping[str, Any]]) -> str:
    """Write how the weights of the sensors compare with what they feel."""
    frame = pd.DataFrame([each for each in rows if each["disturbed"] == "weights"])
    lines = []
    for keys, some in frame.groupby(["network", "sensors"], sort=False):
        mean = some.mean(numeric_only=True)
        cells = [f"{mean[f'{name}_distance'] / 1000:.2f}" for name in ("none", "random", "top")]
        cells += [f"{mean[f'{name}_magnitude']:.3f}" for name in ("none", "random", "top")]
        ranks = [f"{mean.reached:.0%}", f"{mean.spearman:.2f}", f"{mean.spearman_most:.2f}"]
        lines.append([str(keys[0]), f"{keys[1]:.0%}", *ranks, *cells])
    header = [
        "river",
        "sensors",
        "reached",
        "Spearman",
        "at most",
        "source [km]",
        "20 % at random",
        "20 % by weight",
    ]
    return markdown([*header, "log10 W", "20 % at random ", "20 % by weight "], lines, (0, 1))


def written(rows: Sequence[Mapping[str, Any]], text: str) -> str:
    """Return the page with the tables of the stored rows between its marks."""
    tables = {"accuracy": accuracy(rows), "disturbed": disturbed(rows), "weights": weights(rows)}
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
    stored = {tuple(each[key] for key in _KEYS) for each in rows}
    for case in cases(given.seeds) if given.seeds else ():
        if (*case, "") not in stored:
            rows += rounded(run(*case))
            write_rows(path, rows)
    (root / PAGE).write_text(written(rows, (root / PAGE).read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
