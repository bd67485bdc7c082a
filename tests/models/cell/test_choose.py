"""Taking nodes is index_select, and so is its gradient."""

from __future__ import annotations

import pytest
import torch

from xmsgl.models.cell.choose import choose_nodes


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("nodes", [[], [3], [4, 0, 2]])
def test_it_is_index_select(dtype, nodes):
    torch.manual_seed(0)
    x = torch.randn(7, 5, 2, 3, dtype=dtype)
    chosen = torch.tensor(nodes, dtype=torch.int64)
    grad = torch.randn(7, len(nodes), 2, 3, dtype=dtype)
    results = []
    for take in (choose_nodes, lambda x, nodes: x.index_select(1, nodes)):
        leaf = x.clone().requires_grad_()
        output = take(leaf, chosen)
        output.backward(grad)
        results.append((output, leaf.grad))
    for got, expected in zip(*results, strict=True):
        assert got.dtype == expected.dtype
        assert torch.equal(got, expected)
