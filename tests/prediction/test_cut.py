"""A basin predicted in pieces, against the same in one."""

from __future__ import annotations

import logging
from itertools import pairwise

import dask
import networkx as nx
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import xmsgl
from tests.small import TWO_FEATURES
from xmsgl.network.parts import Part, closure, pieces
from xmsgl.prediction import operators
from xmsgl.prediction.downscale import downscale_and_state
from xmsgl.util.options import set_options

pytestmark = pytest.mark.filterwarnings("ignore::xmsgl.errors.ExtrapolationWarning")


@st.composite
def trees(draw):
    """Segments below each segment, in any order, and the segment of each reach."""
    n = draw(st.integers(1, 30))
    below = [draw(st.integers(-1, k - 1)) for k in range(n)]
    order = draw(st.permutations(range(n)))
    down = np.full(n, -1)
    for k, lower in enumerate(below):
        down[order[k]] = order[lower] if lower >= 0 else -1
    owner = draw(st.lists(st.integers(0, n - 1), min_size=1, max_size=80))
    return down, np.array(owner)


@settings(max_examples=200, deadline=None)
@given(trees(), st.integers(1, 40))
def test_each_segment_is_in_one_piece_with_its_reaches(tree, largest):
    down, owner = tree
    part = Part(np.arange(down.size), np.arange(owner.size))
    found = pieces(down, owner, part, largest=largest)
    assert sorted(np.concatenate([piece.coarse for piece in found])) == list(range(down.size))
    assert sorted(np.concatenate([piece.fine for piece in found])) == list(range(owner.size))
    for piece in found:
        assert np.isin(owner[piece.fine], piece.coarse).all()
        assert piece.fine.size <= largest or len({*owner[piece.fine]}) == 1
    two = [a.fine.size + b.fine.size for a, b in pairwise(found)]
    assert all(size > largest for size in two[:-1])  # no piece more than needed


def test_pieces_of_a_chain_are_stretches():
    down = np.arange(-1, 99)
    found = pieces(down, np.arange(100), Part(np.arange(100), np.arange(100)), largest=30)
    assert [piece.coarse.tolist() for piece in found] == [
        list(range(k, min(k + 30, 100))) for k in range(0, 100, 30)
    ]


def test_nodes_within_steps_are_those_of_a_search():
    n, m = 60, 20
    rng = np.random.default_rng(3)
    a_fine, a_coarse = (np.triu(rng.random((k, k)) < 2 / k, 1).astype(float) for k in (n, m))
    across = np.zeros((n, m))
    across[np.arange(n), np.arange(n) % m] = 1
    for steps in range(4):
        found = closure(a_coarse, a_fine, across, across, coarse_nodes=[3], fine_nodes=[0, 7], steps=steps)

        def within(matrix, sources, most=steps):
            graph = nx.from_numpy_array(matrix, create_using=nx.DiGraph)
            near = [nx.single_source_shortest_path_length(graph, k, cutoff=most) for k in sources]
            return sorted(set().union(*near))

        fine = within(a_fine, [0, 7])
        assert found.fine.tolist() == fine
        assert found.coarse.tolist() == within(a_coarse, {3, *(k % m for k in fine)})


@pytest.fixture(scope="module")
def basin():
    return xmsgl.datasets.simulated(n_coarse=60, reaches_per_segment=4, years=1, seed=2)


def lazily(ds):
    chunks = {"time": 100, "coarse": 13, "fine": 50}
    daily = {str(name): each for name, each in ds.data_vars.items() if "time" in each.dims}
    return ds.assign(
        {name: each.chunk({str(dim): chunks[str(dim)] for dim in each.dims}) for name, each in daily.items()}
    )


@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("msgl", {}),
        ("fine-only", {}),
        ("remap", {}),
        ("dynamic-msgl", {}),
        ("msgl", {"backbone": "stgcn"}),
        ("msgl", {"backbone": "gat-lstm"}),
        ("msgl", {"ensemble": 2}),
    ],
)
@pytest.mark.parametrize("carry", [False, True])
def test_pieces_are_one_basin(basin, method, options, carry, caplog):
    model = basin.msgl.train(method, validation=None, **{**TWO_FEATURES, **options})
    whole = basin.msgl.downscale(model, carry=carry)
    set_options(largest_basin=60)
    with caplog.at_level(logging.INFO, "xmsgl"):
        lazy = lazily(basin).msgl.downscale(model, carry=carry)
    assert "a basin of 240 reaches is predicted in 5 pieces" in caplog.text
    found = lazy.compute()
    assert float(abs(found - whole).max()) <= 1e-4
    assert found.attrs["model_sha256"] == whole.attrs["model_sha256"]


def test_a_halo_of_the_whole_basin_is_exact_and_none_is_not(basin, monkeypatch):
    model = basin.msgl.train("msgl", validation=None, **TWO_FEATURES)
    whole = basin.msgl.downscale(model)
    set_options(largest_basin=60)
    error = {}
    for steps in (0, 1000):
        monkeypatch.setattr(operators, "_HALO", steps)
        error[steps] = float(abs(lazily(basin).msgl.downscale(model) - whole).max())
    assert error[1000] <= 1e-5
    assert error[0] > 0.01


def test_a_state_of_pieces_is_that_of_the_basin(basin):
    model = basin.msgl.train("msgl", validation=None, **TWO_FEATURES)
    first, second = (basin.isel(time=some) for some in (slice(0, 150), slice(150, None)))
    whole = basin.msgl.downscale(model, carry=True)
    set_options(largest_basin=60)
    early, state = dask.compute(*downscale_and_state(lazily(first), model))
    late = downscale_and_state(lazily(second), model, start=state)[0].compute()
    found = xr.concat([early, late], "time")
    assert float(abs(found - whole).max()) <= 1e-4


def test_embeddings_of_pieces(basin):
    model = basin.msgl.train("msgl", validation=None, **TWO_FEATURES)
    whole = basin.msgl.embed(model)
    set_options(largest_basin=60)
    assert float(abs(lazily(basin).msgl.embed(model) - whole).max()) <= 1e-4
