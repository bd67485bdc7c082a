"""Random rivers for Hypothesis, and networkx's view of a river."""

from __future__ import annotations

from typing import TYPE_CHECKING

import networkx as nx
import numpy as np
import pytest
from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Callable


@st.composite
def draw_forest(draw: st.DrawFn, largest: int = 22) -> tuple[np.ndarray, np.ndarray]:
    """Positions and lengths of a random forest of reaches in no special order; equal lengths are likely."""
    n = draw(st.integers(1, largest))
    below = [draw(st.integers(-1, i - 1)) for i in range(n)]
    place = draw(st.permutations(range(n)))
    downstream = np.full(n, -1, np.int64)
    for i, j in enumerate(below):
        downstream[place[i]] = -1 if j < 0 else place[j]
    length = np.array(draw(st.lists(st.integers(1, 9), min_size=n, max_size=n)), float) * 250.0
    return downstream, length


@pytest.fixture(scope="session")
def forests() -> st.SearchStrategy[tuple[np.ndarray, np.ndarray]]:
    """Strategy of (downstream positions, lengths in m)."""
    return draw_forest()


@pytest.fixture(scope="session")
def as_networkx() -> Callable[..., nx.DiGraph]:
    """Turn positions and lengths into a graph whose edges weigh the length of the reach entered."""

    def convert(downstream: np.ndarray, length: np.ndarray | None = None) -> nx.DiGraph:
        graph = nx.DiGraph()
        graph.add_nodes_from(range(len(downstream)))
        for i, j in enumerate(downstream):
            if j >= 0:
                graph.add_edge(i, int(j), weight=1.0 if length is None else float(length[j]))
        return graph

    return convert


@pytest.fixture
def five() -> tuple[np.ndarray, np.ndarray]:
    """Reaches 0 and 1 join in 2, then 3, then 4; of 1, 2, 3, 4 and 5 km."""
    return np.array([2, 2, 3, 4, -1]), np.array([1e3, 2e3, 3e3, 4e3, 5e3])
