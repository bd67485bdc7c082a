"""What batches do to inputs: noise on static attributes, and leaving drivers with their segments."""

from __future__ import annotations

import numpy as np
import pytest

from tests.test_batches import NAMES, SCALES, dense, prepare
from xmsgl.windows import ScaleInputs, Sources


def test_jitter_moves_static_attributes_alone_and_on_all_days_alike(river):
    plain, noisy = prepare(river), prepare(river, jitter=0.5)
    slope = NAMES.index("slope")
    moves = []
    for was, now in zip(plain.training_batches(3), noisy.training_batches(3), strict=True):
        for scale in SCALES:
            change = dense(now.inputs[scale]) - dense(was.inputs[scale])
            assert not change[..., :slope].any()
            np.testing.assert_allclose(change[..., slope], change[:1, ..., slope].repeat(105, 0), atol=1e-6)
            moves.append(change[0, ..., slope].ravel())
            np.testing.assert_array_equal(was.labels[scale], now.labels[scale])
    drawn_noise = np.concatenate(moves)
    assert len(np.unique(drawn_noise)) == drawn_noise.size  # each node and window its own
    assert drawn_noise.std() == pytest.approx(0.5, rel=0.25)


@pytest.mark.parametrize("jitter", [0.0, 0.5])
@pytest.mark.parametrize("kind", ["training", "validation", "unlabelled"])
def test_inherited_inputs_are_those_that_reaches_would_have(river, monkeypatch, kind, jitter):
    def batches():
        data = prepare(river, validation=0.3, batch=2, jitter=jitter)
        if kind == "unlabelled":
            return [*data.unlabelled_batches(2, SCALES)]
        return [*(data.training_batches(2) if kind == "training" else data.validation_batches())]

    inherited = [batch.inputs["fine"] for batch in batches()]
    monkeypatch.setattr(ScaleInputs, "sources", lambda *_: None)
    own = [batch.inputs["fine"] for batch in batches()]
    assert own
    for few, many in zip(inherited, own, strict=True):
        assert isinstance(few, Sources)
        assert few.fixed.ndim == (3 if jitter and kind == "training" else 2)
        np.testing.assert_array_equal(dense(few), many)


def test_jitter_is_drawn_from_seed_and_epoch_and_spares_validation(river):
    data, again = (prepare(river, jitter=0.5, validation=0.3) for _ in range(2))
    plain = prepare(river, validation=0.3)

    def inputs(batches):
        return [batch.inputs["coarse"] for batch in batches]

    for one, other in zip(inputs(data.training_batches(1)), inputs(again.training_batches(1)), strict=True):
        np.testing.assert_array_equal(one, other)
    first, second = (
        np.sort(np.concatenate([x.ravel() for x in inputs(data.training_batches(e))])) for e in (1, 2)
    )
    assert not np.array_equal(first, second)
    judged = zip(inputs(data.validation_batches()), inputs(plain.validation_batches()), strict=True)
    for one, other in judged:
        np.testing.assert_array_equal(one, other)
