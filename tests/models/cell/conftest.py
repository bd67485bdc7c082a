"""Fixtures for the tests of the cell."""

from __future__ import annotations

import pytest
import scipy.sparse as sparse
import torch

from xmsgl.models.parts.operator import GraphOperator


@pytest.fixture
def ragged_operator(rng_state):
    """Make operators with rows of 0 to many weights: a third of the nodes read nothing, one reads all."""

    def make(nodes, dtype=torch.float32, device="cpu"):
        matrix = sparse.random_array((nodes, nodes), density=min(0.5, 6 / nodes), rng=rng_state).tolil()
        matrix[::3] = 0
        matrix[nodes // 2, :] = rng_state.uniform(size=nodes)
        return GraphOperator(matrix, dtype=dtype, device=device)

    return make
