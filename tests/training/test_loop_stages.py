"""Rates of the stages of a training, and tasks that a stage leaves behind."""

from __future__ import annotations

import numpy as np
import pytest

from tests.training.test_loop import Batches, Linear, make_item
from xmsgl.training.loop import LoopSettings, learning_rate, run
from xmsgl.training.stages import Stage


def rates(stages, rate, epochs):
    return [learning_rate(LoopSettings(epochs, stages, rate), epoch) for epoch in range(1, epochs + 1)]


def test_a_stage_of_one_or_two_epochs_keeps_its_rate():
    stages = tuple(Stage(n, ("coarse",)) for n in (1, 2, 3, 2))
    found = rates(stages, (0.1, 0.2, 0.3, 0.4), 8)
    np.testing.assert_allclose(found, [0.1, 0.2, 0.2, 0.3, 0.3, 0.027, 0.4, 0.4])
    one = rates(stages, 0.1, 8)  # one rate for all falls over all epochs
    np.testing.assert_allclose(one, [0.1] * 5 + [0.03] + [0.009] * 2)


@pytest.mark.parametrize(("epochs", "warned"), [(1, True), (60, False)])
def test_a_task_far_behind_the_coarse_one_is_reported(caplog, epochs, warned):
    """The coarse labels are fitted at once, the fine ones have another relation and take a stage."""
    batches = [make_item(0, scales=("coarse",), weight=(0.1, 0.1)), make_item(1, weight=(3.0, -2.0))]
    stages = (Stage(2, ("coarse",)), Stage(epochs, ("fine",)))
    settings = LoopSettings(2 + epochs, stages, (0.001, 0.3))
    judged = [make_item(2, scales=("coarse",), weight=(0.1, 0.4)), make_item(3, weight=(3.0, -2.0))]
    with caplog.at_level("WARNING", "xmsgl.training.loop"):
        final = run(Linear(), Batches(batches, judged), settings)
    messages = [record.getMessage() for record in caplog.records]
    assert len(messages) == warned
    coarse = np.nanmin(final.history["validation_coarse"])
    fine = np.nanmin(final.history["validation_fine"][2:])
    assert (fine > 1.2 * coarse) == warned
    if warned:
        assert messages[0].startswith(f"task fine ends its stage of {epochs} epochs with a validation")
        assert f"{fine:.2f} degC, the coarse task has {coarse:.2f} degC" in messages[0]
