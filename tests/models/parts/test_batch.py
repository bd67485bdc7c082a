"""What a batch answers, and what it says when a part is missing."""

from __future__ import annotations

import pytest
import torch

from xmsgl.errors import InvalidArgumentError
from xmsgl.models.parts.batch import Batch


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [(None, False), (torch.tensor([], dtype=torch.int64), False), (torch.tensor([4]), True)],
    ids=["none", "empty", "one"],
)
@pytest.mark.parametrize("scale", ["coarse", "fine"])
def test_labelled(scale, nodes, expected):
    assert Batch(**{f"{scale}_nodes": nodes}).labelled(scale) is expected
    assert Batch().labelled(scale) is False


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda batch: batch.coarse_inputs(), "x_coarse"),
        (lambda batch: batch.fine_inputs(), "x_fine"),
        (lambda batch: batch.interpolator(), "interpolation"),
        (lambda batch: batch.remapper(), "remap"),
        (lambda batch: batch.nodes("coarse"), "coarse_nodes"),
        (lambda batch: batch.nodes("fine"), "fine_nodes"),
        (lambda batch: Batch(x_fine=torch.zeros(1)).fine_inputs(), "fine_graph"),
    ],
    ids=["coarse", "fine", "M", "R", "coarse-nodes", "fine-nodes", "fine-graph"],
)
def test_a_missing_part_is_named(call, name):
    with pytest.raises(InvalidArgumentError, match=f"no {name},"):
        call(Batch())
