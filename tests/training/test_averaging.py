"""What is kept is a running mean of the weights."""

from __future__ import annotations

import pytest
import torch

from tests.training.test_loop import Batches, Linear, make_item, states
from xmsgl.training.loop import LoopSettings, run, validate


def averaged(keep, **options):
    module, settings = Linear(), LoopSettings(epochs=3, average=keep, **options)
    return module, Batches([make_item(0), make_item(1)], [make_item(2)]), settings


def test_what_is_kept_is_the_running_mean_of_the_weights():
    keep, weights = 0.7, []
    module, source, settings = averaged(keep)
    plain = Linear()  # the same steps, seen one by one

    class Watched(Batches):
        def training(self, epoch, stage):
            for item in self._training:
                yield item
                weights.append(plain.w.detach().clone())

    run(plain, Watched(source._training), LoopSettings(epochs=3))
    mean = weights[0]
    for w in weights[1:]:
        mean = keep * mean + (1 - keep) * w
    final = run(module, Batches(source._training), settings)
    torch.testing.assert_close(final.best["w"], mean)
    torch.testing.assert_close(final.module["w"], weights[-1])


def test_the_running_mean_is_validated():
    module, source, settings = averaged(0.9)
    final = run(module, source, settings)
    judge = Linear()
    judge.load_state_dict(final.average)
    assert final.history["validation"][-1] == pytest.approx(validate(judge, source, ("fine",))["validation"])


def test_a_run_with_a_running_mean_can_be_resumed():
    module, source, settings = averaged(0.9)
    whole, reached = states(module, source, settings)
    again = run(Linear(), source, settings, resume=reached[1])
    assert torch.equal(again.average["w"], whole.average["w"])
    assert torch.equal(again.best["w"], whole.best["w"])
