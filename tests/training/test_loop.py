"""The loop against one written out plainly, on a model small enough to follow."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import sparse
from torch import nn
from torch.optim.optimizer import register_optimizer_step_pre_hook

from xmsgl.errors import DivergenceError
from xmsgl.models.methods.base import NetworkModel
from xmsgl.models.parts.batch import Batch
from xmsgl.models.parts.operator import GraphOperator
from xmsgl.training.loop import LabelledBatch, LoopSettings, learning_rate, run, stage_at, validate
from xmsgl.training.stages import Stage


class Linear(NetworkModel):
    """One weight a feature: fine = x_fine w, coarse = x_coarse w."""

    tasks = ("coarse", "fine")
    input_scales = ("coarse", "fine")

    def __init__(self, features=2, noise=0.0):
        super().__init__()
        self.w = nn.Parameter(torch.full((features,), 0.1))
        self.noise = noise

    def shared_parameters(self):
        return [self.w]

    def task_outputs(self, batch, tasks=None):
        outputs = {}
        for task in self._chosen(batch, tasks):
            x = batch.x_coarse if task == "coarse" else batch.x_fine
            noise = self.noise * torch.randn(x.shape[:3]) if self.training else 0.0
            outputs[task] = x @ self.w + noise
        return outputs

    def stream(self, batch, memory=None):
        return batch.x_fine @ self.w, memory or {}


class Batches:
    """A source over lists of batches."""

    deviation = {"coarse": 2.0, "fine": 3.0}  # noqa: RUF012 - a stand-in

    def __init__(self, training, validation=()):
        self._training, self._validation = training, validation

    def training(self, epoch, stage):
        return iter(self._training)

    def validation(self, tasks):
        return iter(self._validation)


def make_item(seed, *, scales=("fine",), weight=(1.0, -2.0), missing=0.5, size=1.0, name=None):
    rng = np.random.default_rng(seed)
    inputs, labels = {}, {}
    for scale, nodes in (("coarse", 3), ("fine", 6)):
        if scale not in scales:
            continue
        x = torch.tensor(rng.normal(size=(9, nodes, 2, 2)) * size, dtype=torch.float32)
        y = x @ torch.tensor(weight)
        y[torch.tensor(rng.random(y.shape) < missing)] = torch.nan
        inputs[f"x_{scale}"] = x
        inputs[f"{scale}_nodes"] = torch.arange(nodes)
        labels[scale] = y
    return LabelledBatch(Batch(**inputs), labels, name or f"window {seed}")


def states(module, source, settings, **options):
    kept = []
    final = run(module, source, settings, observers=[kept.append], **options)
    return final, kept


def test_a_single_task_is_plain_adam_on_the_pooled_rmse():
    items = [make_item(k) for k in range(3)]
    module = Linear()
    final = run(module, Batches(items), LoopSettings(epochs=6, learning_rate=0.05, clip=0.4))

    weight = torch.full((2,), 0.1, requires_grad=True)
    adam = torch.optim.Adam([weight], lr=0.05)
    losses = []
    for epoch in range(1, 7):
        adam.param_groups[0]["lr"] = 0.05 * (0.3 if epoch > 4 else 1) * (0.3 if epoch > 5 else 1)
        losses.append([])
        for item in items:
            label = item.labels["fine"]
            seen = ~torch.isnan(label)
            loss = (((item.batch.x_fine @ weight)[seen] - label[seen]) ** 2).mean().sqrt()
            adam.zero_grad()
            loss.backward()
            norm = weight.grad.norm()
            if norm > 0.4:
                weight.grad.mul_(0.4 / norm)
            adam.step()
            losses[-1].append(float(loss.detach()))
    np.testing.assert_allclose(module.w.detach(), weight.detach(), rtol=1e-4)
    np.testing.assert_allclose(final.history["loss_fine"], np.mean(losses, axis=1), rtol=1e-4)
    assert final.history["weight_fine"] == [1.0] * 6
    assert final.history["epoch"] == [1, 2, 3, 4, 5, 6]


def test_the_published_schedule():
    settings = LoopSettings(epochs=60, learning_rate=0.005)
    rates = [learning_rate(settings, epoch) for epoch in range(1, 61)]
    np.testing.assert_allclose(rates, [0.005] * 40 + [0.0015] * 10 + [0.00045] * 10, rtol=1e-12)


def test_the_schedule_is_followed():
    final = run(Linear(), Batches([make_item(0)]), LoopSettings(epochs=6, learning_rate=0.1))
    np.testing.assert_allclose(final.history["learning_rate"], [0.1] * 4 + [0.03, 0.009])


@pytest.mark.parametrize("clip", [0.01, 0.5])
def test_no_step_is_taken_with_a_longer_gradient_than_asked_for(clip):
    norms = []
    hook = register_optimizer_step_pre_hook(
        lambda optimizer, args, kwargs: norms.append(
            float(torch.cat([p.grad.ravel() for g in optimizer.param_groups for p in g["params"]]).norm())
        )
    )
    try:
        run(Linear(), Batches([make_item(0, size=100.0)]), LoopSettings(epochs=3, clip=clip))
    finally:
        hook.remove()
    np.testing.assert_allclose(norms, clip, rtol=1e-3)


# ------------------------------------------------------- best on validation


def test_the_best_epoch_on_the_validation_labels_is_kept():
    # The weights travel from 0.1 to 5 and pass the validation's truth of 1 on the way.
    source = Batches([make_item(0, weight=(5.0, 5.0))], [make_item(1, weight=(1.0, 1.0))])
    final, kept = states(Linear(), source, LoopSettings(epochs=40, learning_rate=0.1))
    scores = final.history["validation"]
    best = int(np.argmin(scores))
    assert 2 < best < 38
    assert final.best_epoch == best + 1
    assert final.best_score == scores[best] < scores[-1]
    torch.testing.assert_close(final.best["w"], kept[best + 1].module["w"], rtol=0, atol=0)
    assert not torch.equal(final.best["w"], final.module["w"])
    np.testing.assert_allclose(final.best["w"], 1.0, atol=0.15)


def test_without_validation_the_last_epoch_is_kept():
    final = run(Linear(), Batches([make_item(0)]), LoopSettings(epochs=5))
    assert final.best_epoch == 5
    assert torch.equal(final.best["w"], final.module["w"])
    assert "validation" not in final.history


@pytest.mark.parametrize("patience", [1, 3])
def test_patience_stops_so_many_epochs_after_the_best(patience):
    source = Batches([make_item(0, weight=(5.0, 5.0))], [make_item(1, weight=(1.0, 1.0))])
    full = run(Linear(), source, LoopSettings(epochs=40, learning_rate=0.1))
    final = run(Linear(), source, LoopSettings(epochs=40, learning_rate=0.1, patience=patience))
    assert final.best_epoch == full.best_epoch
    assert final.epoch == full.best_epoch + patience
    assert torch.equal(final.best["w"], full.best["w"])


def test_validation_is_the_rmse_in_degrees():
    items = [make_item(k, scales=("coarse", "fine")) for k in range(2)]
    module = Linear()
    rows = validate(module, Batches([], items), module.tasks)
    for scale, deviation in (("coarse", 2.0), ("fine", 3.0)):
        errors = []
        for item in items:
            x = item.batch.x_coarse if scale == "coarse" else item.batch.x_fine
            errors.append(((x @ module.w).detach() - item.labels[scale]).numpy().ravel())
        expected = deviation * np.sqrt(np.nanmean(np.concatenate(errors) ** 2))
        assert rows[f"validation_{scale}"] == pytest.approx(expected, rel=1e-5)
    assert rows["validation"] == pytest.approx((rows["validation_coarse"] + rows["validation_fine"]) / 2)
    assert not module.training
    assert validate(module, Batches([]), module.tasks) == {}
    assert set(validate(module, Batches([], items), ["coarse"])) == {"validation_coarse", "validation"}


# ------------------------------------------------------------- pre-training


def coarse_first(count, epochs):
    return (Stage(count, ("coarse",)), Stage(epochs - count, ("coarse", "fine")))


def two_stages():
    """The coarse truth is at hand at once, the fine one never: the best score lies in the first stage."""
    items = [make_item(0, scales=("coarse", "fine"), weight=(0.3, 0.3))]
    for item in items:
        item.labels["fine"] += 4
    return Batches(items, items)


def test_the_first_epochs_train_the_coarse_task_alone():
    final = run(Linear(), two_stages(), LoopSettings(epochs=5, stages=coarse_first(2, 5), learning_rate=0.05))
    np.testing.assert_array_equal(np.isnan(final.history["loss_fine"]), [True, True, False, False, False])
    assert np.isfinite(final.history["loss_coarse"]).all()
    assert final.history["weight_coarse"][:2] == [1.0, 1.0]
    alone = run(
        Linear(),
        Batches([make_item(0, scales=("coarse",), weight=(0.3, 0.3))]),
        LoopSettings(epochs=5, learning_rate=0.05),
    )
    np.testing.assert_allclose(final.history["loss_coarse"][:2], alone.history["loss_coarse"][:2], rtol=1e-6)


def test_the_best_epoch_is_one_that_trained_all_tasks():
    settings = LoopSettings(epochs=6, stages=coarse_first(3, 6), learning_rate=0.05)
    final, kept = states(Linear(), two_stages(), settings)
    scores = final.history["validation"]
    assert min(scores[:3]) < min(scores[3:])
    best = 3 + int(np.argmin(scores[3:]))
    assert final.best_epoch == best + 1
    assert torch.equal(final.best["w"], kept[best + 1].module["w"])


def test_patience_waits_for_the_second_stage():
    settings = LoopSettings(epochs=30, stages=coarse_first(12, 30), learning_rate=0.3, patience=1)
    final = run(Linear(), two_stages(), settings)
    assert np.argmin(final.history["validation"][:12]) < 10, "the first stage must get worse"
    assert final.epoch > 12
    assert final.best_epoch > 12


def test_each_epoch_belongs_to_one_stage():
    settings = LoopSettings(
        epochs=9, stages=(Stage(2, ("coarse",)), Stage(3, ("fine",)), Stage(4, ("coarse", "fine")))
    )
    found = [stage_at(settings, ("coarse", "fine"), epoch) for epoch in range(1, 10)]
    assert [stage for stage, _ in found] == [s for s in settings.stages for _ in range(s.epochs)]
    assert [first for _, first in found] == [1, 1, 3, 3, 3, 6, 6, 6, 6]
    assert stage_at(LoopSettings(epochs=9), ("fine",), 4) == (Stage(9, ("fine",)), 1)


def test_a_rate_for_each_stage_makes_it_a_training_of_its_own():
    stages = (Stage(6, ("coarse",)), Stage(5, ("coarse", "fine")))
    source = two_stages()
    final = run(
        Linear(), source, LoopSettings(epochs=11, stages=stages, learning_rate=(0.3, 0.02), average=0.5)
    )
    expected = [0.3] * 4 + [0.09, 0.027] + [0.02] * 3 + [0.006, 0.0018]
    np.testing.assert_allclose(final.history["learning_rate"], expected, rtol=1e-9)
    first = run(Linear(), source, LoopSettings(epochs=6, stages=stages[:1], learning_rate=0.3, average=0.5))
    assert not torch.equal(first.best["w"], first.module["w"]), "else it could go on with either"
    second = Linear()
    second.load_state_dict(first.best)
    alone = run(second, source, LoopSettings(epochs=5, stages=stages[1:], learning_rate=0.02, average=0.5))
    torch.testing.assert_close(final.module["w"], alone.module["w"], rtol=1e-5, atol=0)
    torch.testing.assert_close(final.best["w"], alone.best["w"], rtol=1e-5, atol=0)


def test_a_run_stopped_between_stages_of_their_own_goes_on_as_if_it_had_not():
    stages = (Stage(3, ("coarse",)), Stage(3, ("coarse", "fine")))
    settings = LoopSettings(epochs=6, stages=stages, learning_rate=(0.3, 0.1), average=0.5)
    whole, kept = states(Linear(noise=0.1), two_stages(), settings)
    for stop in (2, 3, 4):
        resumed = run(Linear(noise=0.1), two_stages(), settings, resume=kept[stop])
        assert torch.equal(resumed.module["w"], whole.module["w"])


class Remapped(Linear):
    """Two weights, so that a teacher's prediction is easily distinguished from the pupil's."""

    def task_outputs(self, batch, tasks=None):
        return {
            task: (batch.x_coarse if task == "coarse" else batch.x_fine).index_select(
                1, batch.coarse_nodes if task == "coarse" else batch.fine_nodes
            )
            @ self.w
            for task in self._chosen(batch, tasks)
        }


def carried_item():
    """Fine inputs that never determine the labels; four fine nodes of six on three segments, two days out."""
    item = make_item(3, scales=("coarse", "fine"), missing=0.0)
    segment = np.array([0, 0, 1, 2, 2, 1])
    remap = GraphOperator(sparse.csr_array((np.ones(6), (np.arange(6), segment)), shape=(6, 3)))
    nodes = torch.tensor([0, 2, 3, 5])
    scored = torch.ones(9, 2, dtype=torch.bool)
    scored[:2] = False
    batch = replace(item.batch, remap=remap, fine_nodes=nodes, coarse_nodes=None)
    return LabelledBatch(batch, {}, "carried", scored), segment


def test_carried_labels_are_what_the_stage_before_predicts_for_the_segment():
    carried, segment = carried_item()
    observed = make_item(0, scales=("coarse",), weight=(0.5, 0.7), missing=0.0)

    class Source(Batches):
        def training(self, epoch, stage):
            return [carried if stage.labels == "carried" else observed]

    stages = (Stage(4, ("coarse",)), Stage(3, ("fine",), "carried"))
    final, kept = states(
        Remapped(), Source([]), LoopSettings(epochs=7, stages=stages, learning_rate=0.1, clip=1e9)
    )
    teacher = kept[4].module["w"]
    assert kept[4].teacher == {}
    assert all(torch.equal(state.teacher["w"], teacher) for state in kept[5:])
    # The same by hand: plain Adam goes on, towards the teacher's temperature on the days that count.
    weight = teacher.clone().requires_grad_()
    adam = torch.optim.Adam([weight])
    adam.load_state_dict(kept[4].optimizer)
    target = (carried.batch.x_coarse @ teacher)[:, segment][:, [0, 2, 3, 5]][2:]
    for epoch in range(5, 8):
        adam.param_groups[0]["lr"] = 0.1 * 0.3 ** sum(epoch > 7 * share for share in (2 / 3, 5 / 6))
        output = (carried.batch.x_fine[:, [0, 2, 3, 5]] @ weight)[2:]
        loss = ((output - target) ** 2).mean().sqrt()
        adam.zero_grad()
        loss.backward()
        adam.step()
        assert final.history["loss_fine"][epoch - 1] == pytest.approx(float(loss.detach()), rel=1e-4)
    torch.testing.assert_close(final.module["w"], weight.detach(), rtol=1e-4, atol=1e-5)


def test_a_run_stopped_among_carried_labels_goes_on_as_if_it_had_not():
    carried, _ = carried_item()
    observed = make_item(0, scales=("coarse",), weight=(0.5, 0.7), missing=0.0)

    class Source(Batches):
        def training(self, epoch, stage):
            return [carried if stage.labels == "carried" else observed]

    stages = (Stage(2, ("coarse",)), Stage(4, ("fine",), "carried"))
    settings = LoopSettings(epochs=6, stages=stages, learning_rate=0.1)
    whole, kept = states(Remapped(), Source([]), settings)
    assert kept[4].teacher
    assert torch.equal(run(Remapped(), Source([]), settings, resume=kept[4]).module["w"], whole.module["w"])


# ---------------------------------------------------------- missing labels


def test_a_batch_of_one_scale_trains_that_task_alone():
    final = run(
        Linear(), Batches([make_item(0, scales=("coarse",)), make_item(1)]), LoopSettings(epochs=1)
    ).history
    assert final["loss_coarse"][0] > 0
    assert final["loss_fine"][0] > 0
    assert final["weight_coarse"] == final["weight_fine"] == [1.0]


def test_a_batch_without_a_label_changes_nothing():
    empty = make_item(5, missing=1.1)
    assert torch.isnan(empty.labels["fine"]).all()
    one, two = Linear(), Linear()
    run(one, Batches([make_item(0)]), LoopSettings(epochs=2))
    run(two, Batches([empty, make_item(0), empty]), LoopSettings(epochs=2))
    assert torch.equal(one.w, two.w)


def test_what_stands_behind_a_missing_label_changes_nothing():
    item = make_item(0)
    x = item.batch.x_fine.clone()
    x[torch.isnan(item.labels["fine"])] += 1e3
    other = LabelledBatch(Batch(x_fine=x, fine_nodes=item.batch.fine_nodes), item.labels, "other")
    one, two = Linear(), Linear()
    first = run(one, Batches([item]), LoopSettings(epochs=2))
    second = run(two, Batches([other]), LoopSettings(epochs=2))
    assert torch.equal(one.w, two.w)
    assert first.history == second.history


# -------------------------------------------------------------- divergence


@pytest.mark.parametrize("value", [float("inf"), float("-inf")])
def test_a_loss_that_is_not_finite_names_its_batch(value):
    bad = make_item(3, missing=0.0, name="2003-05-01")
    bad.labels["fine"][4, 2, 1] = value
    source = Batches([make_item(0), bad])
    with pytest.raises(DivergenceError, match=r"task fine .* 2003-05-01.*lower learning_rate"):
        run(Linear(), source, LoopSettings(epochs=2))


def test_a_prediction_that_is_nan_names_its_batch():
    bad = make_item(3, name="2003-05-01")
    bad.batch.x_fine[0, 0, 0, 0] = torch.nan
    bad.labels["fine"][0, 0, 0] = 1.0
    with pytest.raises(DivergenceError, match=r"2003-05-01.*check the drivers"):
        run(Linear(), Batches([make_item(0), bad]), LoopSettings(epochs=1))


def test_a_huge_learning_rate_ends_in_an_error_not_in_nan():
    module = Linear()
    with pytest.raises(DivergenceError, match="window"):
        run(module, Batches([make_item(k) for k in range(4)]), LoopSettings(epochs=9, learning_rate=1e30))


def test_a_gradient_that_is_not_finite_names_its_batch():
    class Steep(Linear):
        def task_outputs(self, batch, tasks=None):
            return {"fine": (batch.x_fine @ (self.w - self.w.detach())).abs().sqrt()}

    with pytest.raises(DivergenceError, match=r"gradient is not finite.*2003-05-01"):
        run(Steep(), Batches([make_item(0, name="2003-05-01")]), LoopSettings(epochs=1))


def test_a_validation_that_is_not_finite_is_an_error():
    bad = make_item(1)
    bad.batch.x_fine.fill_(torch.inf)
    with pytest.raises(DivergenceError, match="validation score of epoch 1"):
        run(Linear(), Batches([make_item(0)], [bad]), LoopSettings(epochs=1))


# ------------------------------------------------------------- determinism


def noisy():
    return Linear(noise=0.5)


def test_the_same_seed_gives_the_same_weights_whatever_was_drawn_before():
    source, settings = Batches([make_item(0)]), LoopSettings(epochs=4, seed=7)
    one, two, three = noisy(), noisy(), noisy()
    run(one, source, settings)
    torch.manual_seed(991)
    np.random.seed(13)  # noqa: NPY002 - the global generator is what is meant
    run(two, source, settings)
    run(three, source, LoopSettings(epochs=4, seed=8))
    assert torch.equal(one.w, two.w)
    assert not torch.equal(one.w, three.w)


def test_the_global_generators_are_left_as_they_were():
    torch.manual_seed(5)
    before = torch.random.get_rng_state().clone(), np.random.get_state()[1].copy()  # noqa: NPY002
    run(noisy(), Batches([make_item(0)]), LoopSettings(epochs=2))
    assert torch.equal(torch.random.get_rng_state(), before[0])
    np.testing.assert_array_equal(np.random.get_state()[1], before[1])  # noqa: NPY002


def test_a_failed_run_leaves_the_global_generator_too():
    bad = make_item(3, missing=0.0)
    bad.labels["fine"][0, 0, 0] = torch.inf
    torch.manual_seed(5)
    before = torch.random.get_rng_state().clone()
    with pytest.raises(DivergenceError):
        run(noisy(), Batches([bad]), LoopSettings(epochs=2))
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize("stop", [0, 1, 4, 8])
def test_a_resumed_run_is_the_uninterrupted_one(stop):
    source = Batches([make_item(k) for k in range(3)], [make_item(9)])
    settings = LoopSettings(epochs=8, learning_rate=0.05)
    final, kept = states(noisy(), source, settings)
    again = run(noisy(), source, settings, resume=kept[stop])
    assert torch.equal(again.module["w"], final.module["w"])
    assert torch.equal(again.best["w"], final.best["w"])
    assert again.history == final.history
    assert (again.best_epoch, again.best_score) == (final.best_epoch, final.best_score)


def test_states_already_handed_out_do_not_change():
    source, settings = Batches([make_item(0)]), LoopSettings(epochs=3, learning_rate=0.1)
    seen = []
    final, kept = states(Linear(), source, settings)
    run(Linear(), source, settings, observers=[lambda state: seen.append(state.module["w"].clone())])
    assert [state.epoch for state in kept] == [0, 1, 2, 3]
    for state, weights in zip(kept, seen, strict=True):
        assert torch.equal(state.module["w"], weights)
    assert [len(state.history.get("epoch", [])) for state in kept] == [0, 1, 2, 3]
    assert float(kept[1].optimizer["state"][0]["step"]) == 1
    assert final is kept[-1]


def test_interrupting_between_epochs_loses_nothing():
    source, settings = Batches([make_item(0)]), LoopSettings(epochs=6, learning_rate=0.05)
    whole = run(noisy(), source, settings)
    kept = []

    def interrupt(state):
        kept.append(state)
        if state.epoch == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(noisy(), source, settings, observers=[interrupt])
    assert torch.equal(run(noisy(), source, settings, resume=kept[-1]).best["w"], whole.best["w"])
