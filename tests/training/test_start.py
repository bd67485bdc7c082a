"""Training that begins with another model's weights."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.small import FEATURES, QUICK, same
from xmsgl.errors import CheckpointError, InvalidArgumentError, ModelMismatchError, UnknownNameError
from xmsgl.models.file.start import begin_with
from xmsgl.models.methods.registry import create_model
from xmsgl.prediction.downscale import downscale
from xmsgl.training.train import train

SMALL = {**QUICK, "epochs": 2, "features": FEATURES}
AFTER = {name: value for name, value in SMALL.items() if name not in ("features", "hidden")}
STILL = {**AFTER, "epochs": 1, "pretrain": 0, "learning_rate": 1e-12}  # a step that moves nothing


@pytest.fixture(scope="module")
def coarse(river_once):
    return train(river_once, "remap", **SMALL)


def test_the_coarse_task_goes_on_where_the_coarse_model_stood(river_once, coarse):
    model = train(river_once, "msgl", start=coarse, **STILL)
    for name, value in coarse.weights.items():
        torch.testing.assert_close(model.weights[name.replace("head.", "coarse_head.")], value)
    assert model.spec.scaling == coarse.spec.scaling
    assert model.spec.features == coarse.spec.features
    assert model.spec.training["begun_with"] == coarse.sha256


def test_without_a_method_it_goes_on_with_that_of_the_model(river_once, coarse):
    assert same(train(river_once, start=coarse, **STILL), train(river_once, "remap", start=coarse, **STILL))


def test_a_model_that_goes_on_without_a_step_predicts_the_same(river_once, tmp_path):
    first = train(river_once, "msgl", **SMALL)
    path = first.save(tmp_path / "first.safetensors")
    again = train(river_once, "msgl", start=path, **STILL)
    np.testing.assert_allclose(downscale(river_once, again), downscale(river_once, first), atol=1e-5)


def test_it_can_go_on_in_another_basin(river_once, two_rivers):
    first = train(river_once, "msgl", **SMALL)
    again = train(two_rivers, "msgl", start=first, **STILL)
    np.testing.assert_allclose(downscale(two_rivers, again), downscale(two_rivers, first), atol=1e-5)


def test_identities_are_kept(river_once):
    first = train(river_once, "remap", identity=3, **SMALL)
    again = train(river_once, "msgl", start=first, **STILL)
    assert again.spec.segments == first.spec.segments
    torch.testing.assert_close(again.weights["identity.table"], first.weights["identity.table"])
    with pytest.raises(InvalidArgumentError, match=r"identity must be that of the model to start with \(3\)"):
        train(river_once, "msgl", start=first, identity=2, **STILL)


def test_weights_of_other_sizes_are_refused(river_once, coarse):
    with pytest.raises(ModelMismatchError, match=r"cell\.W_hh \(4, 16\) for \(8, 32\)"):
        train(river_once, "msgl", start=coarse, hidden=8, **STILL)


def test_weights_of_another_kind_are_refused(coarse):
    others = {name: value for name, value in coarse.weights.items() if not name.startswith("cell.")}
    with pytest.raises(ModelMismatchError, match=r"has no cell\.W_ih"):
        begin_with(create_model("msgl", n_features=3, hidden=4), others)


def test_other_features_are_refused(river_once, coarse):
    with pytest.raises(InvalidArgumentError, match="features must be those of the model to start with"):
        train(river_once, "msgl", start=coarse, features=["air_temperature"], **STILL)
    with pytest.raises(ModelMismatchError, match="slope"):
        train(river_once.drop_vars(["slope_coarse"]), "msgl", start=coarse, **STILL)


def test_a_checkpoint_of_another_beginning_is_refused(river_once, coarse, tmp_path):
    train(river_once, "remap", start=coarse, checkpoint=tmp_path / "c", **AFTER)
    with pytest.raises(CheckpointError, match=r"training\.begun_with"):
        train(river_once, "remap", resume=tmp_path / "c", **{**SMALL, **AFTER})


# ------------------------------------------------------------ frozen parts


@pytest.fixture(scope="module")
def whole(river_once):
    return train(river_once, "msgl", **SMALL)


def kept(model, start):
    """Names of the weights that are those of the start, bit for bit."""
    return {name for name, value in start.weights.items() if torch.equal(model.weights[name], value)}


@pytest.mark.parametrize(
    ("frozen", "settings"),
    [
        (["cell"], {}),
        # First a stage in which nothing is learned.
        (["cell", "coarse_head"], {"pretrain": 1, "average": 0.9}),
        (["cell", "coarse_head"], {"weighting": "mgda", "keep": "last"}),
        (["cell.W_hh", "fine_head"], {"validation": None}),
        (["interpolation_head"], {"refit": True, "ensemble": 2}),
    ],
    ids=["backbone", "all-of-a-stage", "mgda", "part-of-a-part", "ensemble"],
)
def test_frozen_parts_keep_their_weights_and_the_others_learn(river_once, whole, frozen, settings):
    model = train(river_once, "msgl", start=whole, frozen=frozen, **{**AFTER, **settings})
    members = [model.member(k) for k in range(model.members)]
    inside = {name for name in whole.weights if any(f"{name}.".startswith(f"{part}.") for part in frozen)}
    assert inside
    for member in members:
        assert kept(member, whole) == inside
        assert member.spec.training["begun_with"] == whole.sha256
    assert model.spec.training["settings"]["frozen"] == frozen


def test_a_frozen_part_of_another_method_is_kept(river_once, coarse):
    model = train(river_once, "msgl", start=coarse, frozen=["cell", "coarse_head"], **AFTER)
    for name, value in coarse.weights.items():
        assert torch.equal(model.weights[name.replace("head.", "coarse_head.")], value)


def test_training_without_frozen_parts_is_the_same_as_with_an_empty_list(river_once, whole):
    one, other = (
        train(river_once, "msgl", start=whole, **AFTER, **frozen) for frozen in ({}, {"frozen": []})
    )
    assert same(one, other)


def test_frozen_parts_stay_frozen_after_a_checkpoint(river_once, whole, tmp_path):
    settings = {**AFTER, "start": whole, "frozen": ["cell"]}
    straight = train(river_once, "msgl", **settings)

    def stop(standing):
        if standing.state.epoch == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        # The observer is called before the checkpoint is written: epoch 0 is in it.
        train(river_once, "msgl", checkpoint=tmp_path / "c", observers=[stop], **settings)
    assert same(train(river_once, "msgl", resume=tmp_path / "c", **settings), straight)
    with pytest.raises(CheckpointError, match=r"settings\.frozen"):
        train(river_once, "msgl", resume=tmp_path / "c", **{**settings, "frozen": ["fine_head"]})


def test_an_unknown_part_is_named_with_those_there_are(river_once, whole):
    with pytest.raises(UnknownNameError, match=r"'cel'; known: .*cell, coarse_head, fine_head"):
        train(river_once, "msgl", start=whole, frozen=["cel"], **AFTER)
    with pytest.raises(UnknownNameError, match=r"'cell\.W'"):
        train(river_once, "msgl", start=whole, frozen=["cell.W"], **AFTER)


def test_what_cannot_be_frozen_is_refused(river_once, whole, coarse):
    with pytest.raises(InvalidArgumentError, match="give start=, or leave frozen out"):
        train(river_once, "msgl", frozen=["cell"], **SMALL)
    with pytest.raises(InvalidArgumentError, match="start with has no fine_head"):
        train(river_once, "msgl", start=coarse, frozen=["fine_head"], **AFTER)
    with pytest.raises(InvalidArgumentError, match="nothing to train"):
        train(river_once, "remap", start=coarse, frozen=["cell", "head"], **AFTER)
    with pytest.raises(InvalidArgumentError, match="frozen must be a list"):
        train(river_once, "msgl", start=whole, frozen="cell", **AFTER)
    with pytest.raises(InvalidArgumentError, match="'trees' does not use frozen"):
        train(river_once, "trees", frozen=["cell"])
