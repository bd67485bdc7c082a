"""Do edges that are renewed for each event lower the variance of the error due to the events learned from?

    python -m benchmarks.event_variance --divisions 0 --seeds 0 1     # train, locate, write the table
    python -m benchmarks.event_variance                               # write the table again from the rows

The reaches of a simulated river are divided into five folds of neighbours. Networks learn from 300 or 1,000
events whose sources lie outside a fold, and locate those of the fold. The network of `xmsgl.events` sums
messages over fixed edges. The other one has more candidates for each reach, and keeps as many edges as the
first: those with the best scores, which depend on geometry and on how alike the records of the candidates
are.
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
from torch import Tensor, nn

from benchmarks.events import NETWORKS
from benchmarks.rows import fill, read_rows, rounded, write_rows
from benchmarks.variance import components
from xmsgl.benchmark.protocols import FOLDS
from xmsgl.events import locate, score, simulate
from xmsgl.events.localizer import fit
from xmsgl.events.network import EventNetwork
from xmsgl.inputs.held_segments import draw_blocks
from xmsgl.schema.rivers import topology

if TYPE_CHECKING:
    from collections.abc import Sequence

    import xarray as xr
    from numpy.typing import NDArray

__all__ = ["Renewed", "main", "written"]

ROOT = Path(__file__).parents[1]
RESULTS, PAGE = "docs/benchmarks/event-variance.json", "docs/benchmarks/variance.md"
NETWORK, SENSORS, DRAWN, TESTED, EPOCHS = "simulated", 0.05, 1600, 300, 40
SIZES = (300, 1000)  # events learned from
KEPT, CANDIDATES = 6, 8  # edges of a reach; sensors downstream and beside that may be among them
_RUN = ("model", "learned", "draw", "seed")  # a draw is a fold of a division


class Renewed(nn.Module):
    """Weights of the edges of each event: a softmax over the best of each reach, times their number."""

    def __init__(self, hidden: int = 32) -> None:
        super().__init__()
        self.score = nn.Sequential(nn.LazyLinear(hidden), nn.SiLU(), nn.Linear(hidden, 1))
        self.key = nn.LazyLinear(hidden)

    def forward(self, known: Tensor, reach: Tensor) -> Tensor:
        """Weigh edges by what is known of them (event, edge, feature); `reach` is that of each edge."""
        table = slots(reach)
        keys = nn.functional.normalize(self.key(known), dim=2)
        around = keys[:, table.clamp(min=0)] * (table >= 0).unsqueeze(2)  # (event, reach, slot, key)
        alike = (keys * nn.functional.normalize(around.sum(2), dim=2)[:, reach]).sum(2)
        scores = self.score(known)[:, :, 0] + alike
        padded = scores[:, table.clamp(min=0)].masked_fill(table < 0, -torch.inf)  # (event, reach, slot)
        most = padded.topk(min(KEPT, padded.shape[2]), dim=2)
        share = torch.softmax(most.values, dim=2) * most.values.isfinite().sum(2, keepdim=True)
        placed = torch.zeros_like(padded).scatter(2, most.indices, share)
        weight = scores.new_zeros(scores.shape)
        weight[:, table[table >= 0]] = placed[:, table >= 0]
        return weight.unsqueeze(2)


def slots(reach: Tensor) -> Tensor:
    """Return the edges of each reach, (reach, slot), -1 where it has fewer."""
    order = torch.argsort(reach, stable=True)
    count = torch.bincount(reach)
    first = torch.cumsum(count, 0) - count
    table = torch.full((len(count), int(count.max())), -1)
    table[reach[order], torch.arange(len(reach)) - first[reach[order]]] = order
    return table


def renewed(kinds: int) -> EventNetwork:
    """Make a network whose edges are chosen for each event."""
    return EventNetwork(kinds, renew=Renewed(), count=CANDIDATES)


MODELS = {"fixed": EventNetwork, "renewed": renewed}


def folds(ds: xr.Dataset, events: xr.Dataset, division: int) -> NDArray[np.int64]:
    """Return the fold that the source of each event lies in."""
    ids, downstream, _ = topology(ds, "fine")
    fold = draw_blocks(downstream, np.ones(ids.size, dtype=bool), FOLDS, division)
    return fold[pd.Index(ids).get_indexer(events["source"].values)]


def run(ds: xr.Dataset, events: xr.Dataset, model: str, size: int, draw: int, seed: int) -> dict[str, Any]:
    """Train one network, and locate the events of the fold."""
    division, fold = divmod(draw, FOLDS)
    held = folds(ds, events, division) == fold
    learned = np.random.default_rng(draw).permutation(np.flatnonzero(~held))[:size]
    tested = events.isel(event=np.flatnonzero(held)[:TESTED])
    began, noise = time.process_time(), float(events["residual"].attrs["noise"])
    localizer = fit(MODELS[model], events.isel(event=learned), ds, noise=noise, epochs=EPOCHS, seed=seed)
    found = score(locate(tested, ds, localizer), tested, ds)
    return {
        **dict(zip(_RUN, (model, size, draw, seed), strict=True)),
        "rmse": float(found["magnitude_rmse"]),
        "spacings": float(found["distance"] / found["spacing"]),
        "validation": [round(each, 2) for each in localizer.history["validation"][9::10]],
        "n": tested.sizes["event"],
        "cpu_s": round(time.process_time() - began),
    }


def written(rows: list[dict[str, Any]], text: str) -> str:
    """Return the page with the tables of the stored rows between their marks."""
    groups = []
    for size in sorted({row["learned"] for row in rows}):
        some = [row for row in rows if row["learned"] == size]
        source = [{**row, "rmse": row["spacings"]} for row in some]
        groups += [(f"log10 W, {size:,} events", some), (f"source in spacings, {size:,} events", source)]
    return fill(text, {"events": components(groups, "error of", "fixed")}, PAGE)


def main(arguments: Sequence[str] | None = None, root: Path = ROOT) -> None:
    """Run what is not stored, and write the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--divisions", type=int, nargs="*", default=[])
    parser.add_argument("--seeds", type=int, nargs="*", default=[0])
    parser.add_argument("--sizes", type=int, nargs="*", default=list(SIZES))
    given = parser.parse_args(arguments)
    path = root / RESULTS
    rows = read_rows(path)
    stored = {tuple(each[key] for key in _RUN) for each in rows}
    draws = [FOLDS * division + fold for division in given.divisions for fold in range(FOLDS)]
    cases = [
        (model, size, draw, seed)
        for size, draw, seed, model in product(given.sizes, draws, given.seeds, MODELS)
    ]
    wanted = [case for case in cases if case not in stored]
    if wanted:
        ds = NETWORKS[NETWORK]()
        events = simulate(ds, n=DRAWN, sensors=SENSORS, seed=3000)
    for case in wanted:
        rows += rounded([run(ds, events, *case)])
        write_rows(path, rows)
    (root / PAGE).write_text(written(rows, (root / PAGE).read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
