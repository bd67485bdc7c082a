"""The operators of a basin: against its graphs."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from xmsgl.errors import UnknownNameError
from xmsgl.graphs import build_graph
from xmsgl.operators import Operators


def test_operators_are_those_of_the_graphs(river):
    operators = Operators.build(river, {"hops": 2}, (105, 101, 999), torch.device("cpu"))
    graphs = build_graph(river, hops=2)
    for ours, theirs in [
        (operators.coarse, graphs.coarse.operator),
        (operators.fine, graphs.fine.operator),
        (operators.interpolation, graphs.interpolation),
        (operators.remap, graphs.remap),
    ]:
        x = torch.randn(theirs.shape[1], 3)
        np.testing.assert_allclose(ours.matmul(x), theirs @ x.numpy(), rtol=1e-5, atol=1e-6)


def test_segments_find_their_row_by_id(river):
    operators = Operators.build(river, {}, (105, 101, 999), torch.device("cpu"))
    assert operators.coarse_segments.tolist() == [1, -1, -1, -1, 0]
    assert operators.fine_segments.tolist() == [1, 1] + [-1] * 7 + [0] * 3
    nobody = Operators.build(river, {}, (), torch.device("cpu"))
    assert set(nobody.coarse_segments.tolist()) == {-1}


def test_an_unknown_kernel_is_named(river):
    with pytest.raises(UnknownNameError, match="'flat'"):
        Operators.build(river, {"kernel": "flat"}, (), torch.device("cpu"))
