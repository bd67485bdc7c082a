"""The benchmark of renewed edges: their weights against a plain loop, and against fixed edges."""

from __future__ import annotations

import json
from itertools import product

import numpy as np
import pytest
import torch

import xmsgl
from benchmarks import event_variance as benchmark
from xmsgl.events import locate, simulate
from xmsgl.events.localizer import fit
from xmsgl.events.network import EventNetwork


def test_the_best_edges_of_each_reach_are_kept():
    torch.manual_seed(0)
    reach = torch.tensor([0, 2, 0, 1, 1, 1, 2, 0, 0, 0, 0, 0, 0, 1])
    known, renew = torch.randn(3, reach.size(0), 5), benchmark.Renewed()
    found = renew(known, reach)[:, :, 0]
    keys = torch.nn.functional.normalize(renew.key(known), dim=2)
    scores = renew.score(known)[:, :, 0]
    for event in range(3):
        for place in range(3):
            edges = torch.nonzero(reach == place)[:, 0]
            around = torch.nn.functional.normalize(keys[event, edges].sum(0), dim=0)
            own = scores[event, edges] + keys[event, edges] @ around
            kept = own.argsort(descending=True)[: benchmark.KEPT]
            wanted = torch.zeros(len(edges))
            wanted[kept] = torch.softmax(own[kept], 0) * len(kept)
            torch.testing.assert_close(found[event, edges], wanted, atol=1e-5, rtol=1e-5)


def test_gradients_of_the_weights():
    torch.manual_seed(0)
    renew, reach = benchmark.Renewed(4).double(), torch.tensor([0, 0, 1, 1, 1, 1, 1, 1, 1, 1])
    renew(torch.randn(1, 10, 3, dtype=torch.float64), reach)
    known = torch.randn(2, 10, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: renew(x, reach), known)


class Even(torch.nn.Module):
    def forward(self, known, reach):
        return torch.ones_like(known[:, :, :1])


def test_even_weights_are_fixed_edges():
    basin = xmsgl.datasets.simulated(n_coarse=6, years=2, seed=4)
    events = simulate(basin, n=40, sensors=0.3, seed=2)
    found = []
    for make in (EventNetwork, lambda kinds: EventNetwork(kinds, renew=Even())):
        localizer = fit(make, events, basin, noise=0.1, epochs=2, seed=0)
        found.append(locate(events, basin, localizer))
    np.testing.assert_allclose(found[0].magnitude, found[1].magnitude, atol=1e-5)
    np.testing.assert_array_equal(found[0].source, found[1].source)


@pytest.mark.parametrize("model", benchmark.MODELS)
def test_the_fold_is_held_out(model, monkeypatch):
    basin = xmsgl.datasets.simulated(n_coarse=8, years=2, seed=4)
    events = simulate(basin, n=120, sensors=0.3, seed=2)
    monkeypatch.setattr(benchmark, "EPOCHS", 1)
    learned, tested = [], []
    monkeypatch.setattr(
        benchmark, "fit", lambda make, seen, *a, **k: learned.append(seen) or fit(make, seen, *a, **k)
    )
    monkeypatch.setattr(benchmark, "locate", lambda seen, *a: tested.append(seen) or locate(seen, *a))
    found = benchmark.run(basin, events, model, size=40, draw=6, seed=0)
    assert found["n"] == tested[0].sizes["event"] > 5
    assert learned[0].sizes["event"] == 40
    assert not set(learned[0].source.values) & set(tested[0].source.values)


def test_the_page_has_the_stored_rows():
    rows = json.loads((benchmark.ROOT / benchmark.RESULTS).read_text(encoding="utf-8"))
    page = (benchmark.ROOT / benchmark.PAGE).read_text(encoding="utf-8")
    assert benchmark.written(rows, page) == page
    for model, size in product(benchmark.MODELS, {row["learned"] for row in rows}):
        mean = np.mean([row["rmse"] for row in rows if (row["model"], row["learned"]) == (model, size)])
        assert f"| log10 W, {size:,} events | `{model}` | {mean:.3f} |" in page
