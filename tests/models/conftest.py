"""Fixtures for the model tests."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sparse
import torch

from xmsgl.models.backbones import base, dynamic
from xmsgl.models.parts.batch import Batch
from xmsgl.models.parts.operator import GraphOperator


@pytest.fixture
def rng_state():
    return np.random.default_rng(20250701)


@pytest.fixture
def make_batch():
    """Make a small two-scale batch with labels on some nodes; 5 segments, 12 reaches."""

    def make(days=20, windows=2, features=3, dtype=torch.float32, seed=1, **changes):
        rng = np.random.default_rng(seed)

        def operator(rows, columns):
            matrix = rng.uniform(size=(rows, columns)) * (rng.uniform(size=(rows, columns)) < 0.5) + np.eye(
                rows, columns
            )
            matrix[:, 0] += 0.1
            return GraphOperator(sparse.csr_array(matrix / matrix.sum(1, keepdims=True)), dtype=dtype)

        remap = np.zeros((12, 5))
        remap[np.arange(12), np.sort(rng.integers(0, 5, 12))] = 1
        parts = {
            "x_coarse": torch.tensor(rng.normal(size=(days, 5, windows, features)), dtype=dtype),
            "x_fine": torch.tensor(rng.normal(size=(days, 12, windows, features)), dtype=dtype),
            "coarse_graph": operator(5, 5),
            "fine_graph": operator(12, 12),
            "interpolation": operator(12, 5),
            "remap": GraphOperator(sparse.csr_array(remap), dtype=dtype),
            "coarse_nodes": torch.tensor([0, 3]),
            "fine_nodes": torch.tensor([2, 5, 11]),
        }
        return Batch(**{**parts, **changes})

    return make


@pytest.fixture
def in_pieces(monkeypatch):
    """Let every window be worked off in pieces of so many days."""

    def cut(days):
        monkeypatch.setattr(base, "_NUMBERS", 1)
        monkeypatch.setattr(base, "_DAYS", days)
        monkeypatch.setattr(dynamic, "_KEPT", 0)

    return cut
