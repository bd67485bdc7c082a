"""Training on a GPU that is too small, against training with smaller batches from the beginning."""

from __future__ import annotations

import pytest
import torch

from tests.training.test_loop import Batches, Linear, make_item, states
from xmsgl.errors import DeviceMemoryError
from xmsgl.models.parts.batch import Batch
from xmsgl.training.loop import LabelledBatch, LoopSettings, run
from xmsgl.training.team import Team


class Halving(Batches):
    """Eight windows in batches of `size`."""

    def __init__(self, size):
        self.size = size
        items = [make_item(seed) for seed in range(4)]  # two windows each
        self._windows = [(x[:, :, [k]], y[:, :, [k]]) for x, y in map(parts, items) for k in range(2)]
        super().__init__([], [make_item(9)])

    def training(self, epoch, stage):
        for first in range(0, 8, self.size):
            xs, ys = zip(*self._windows[first : first + self.size], strict=True)
            yield LabelledBatch(
                Batch(x_fine=torch.cat(xs, 2), fine_nodes=torch.arange(6)),
                {"fine": torch.cat(ys, 2)},
                "windows",
            )

    def use_smaller_batches(self):
        if self.size == 1:
            return 0
        self.size //= 2
        return self.size


def parts(item):
    return item.batch.x_fine, item.labels["fine"]


class TooLarge(Linear):
    """Weights on a GPU that is too small for more than `most` windows, from the second step on."""

    most = 99

    def task_outputs(self, batch, tasks=None):
        self.steps = getattr(self, "steps", 0) + 1
        if batch.x_fine.shape[2] > self.most and self.steps > 1 and self.training:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return super().task_outputs(batch, tasks)


def test_a_gpu_that_is_too_small_gets_smaller_batches(caplog):
    settings = LoopSettings(epochs=3, learning_rate=0.1)
    module = TooLarge(noise=0.1)
    module.most = 2
    found = run(module, Halving(8), settings)
    # The first epoch has one step of eight windows; the second has none, and begins anew until two fit.
    _, kept = states(Linear(noise=0.1), Halving(8), settings)
    rest = run(Linear(noise=0.1), Halving(2), settings, resume=kept[1])
    assert torch.equal(found.module["w"], rest.module["w"])
    assert not torch.equal(found.module["w"], kept[-1].module["w"])
    assert [record.message for record in caplog.records if "out of memory" in record.message] == [
        f"the GPU is out of memory: epoch 2 begins anew with {n} windows in a batch" for n in (4, 2)
    ]


def test_steps_before_the_gpu_was_too_small_are_taken_back():
    settings = LoopSettings(epochs=2, learning_rate=0.1)
    module = TooLarge(noise=0.1)
    module.most = 2
    found = run(module, Halving(4), settings)  # fails in the second step of the first epoch
    assert torch.equal(found.module["w"], run(Linear(noise=0.1), Halving(2), settings).module["w"])


@pytest.mark.parametrize(("team", "words"), [(Team(0, 1), "give a shorter"), (Team(0, 2), "a smaller batch")])
def test_a_gpu_that_is_too_small_for_the_smallest_batch(team, words):
    module = TooLarge()
    module.most, module.steps = 0, 1
    with pytest.raises(DeviceMemoryError, match=f"in epoch 1; .*{words}"):
        run(module, Halving(1), LoopSettings(epochs=2), team=team)
