"""Boosted trees as a module: equal to scikit-learn, whatever their number and depth."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.ensemble import HistGradientBoostingRegressor

from xmsgl.errors import CheckpointError, InvalidArgumentError
from xmsgl.models.methods.registry import create_model
from xmsgl.models.methods.trees import Trees

COMMON = {"max_leaf_nodes": 63, "early_stopping": False}


def drawn(n=3000, seed=0):
    """Rows with five features, one of them of few values, and labels that depend on four of them."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(n, 5)).astype(np.float32)
    rows[:, 3] = rows[:, 3].round(1)
    labels = np.sin(2 * rows[:, 0]) + rows[:, 1] * (rows[:, 2] > 0) + 0.3 * rows[:, 3]
    return rows, (labels + rng.normal(0, 0.1, n)).astype(np.float32)


def fitted(seed=0, rate=0.1, **architecture):
    rows, labels = drawn()
    trees = Trees(5, **architecture)
    trees.fit(rows, labels, learning_rate=rate, seed=seed)
    return trees


@pytest.mark.parametrize(
    ("architecture", "options"),
    [
        ({"iterations": 1}, {}),
        ({"iterations": 60}, {"learning_rate": 0.3}),
        ({"iterations": 25, "min_samples_leaf": 700}, {}),
        ({"iterations": 10, "min_samples_leaf": 2900}, {}),  # too many for any split
        ({"iterations": 40, "max_features": 0.4}, {"random_state": 7}),
    ],
    ids=["one", "many", "shallow", "leaves", "drawn"],
)
def test_predictions_are_those_of_scikit_learn(architecture, options):
    names = {"iterations": "max_iter"}
    theirs = HistGradientBoostingRegressor(
        **COMMON, **options, **{names.get(name, name): value for name, value in architecture.items()}
    ).fit(*drawn())
    ours = fitted(options.get("random_state", 0), options.get("learning_rate", 0.1), **architecture)
    rows, _ = drawn(5000, seed=1)
    predicted = ours.predict(torch.from_numpy(rows).reshape(50, 10, 10, 5))
    assert predicted.shape == (50, 10, 10)
    np.testing.assert_allclose(predicted.reshape(-1), theirs.predict(rows), atol=1e-6)
    for values, expected in zip(ours.staged(rows), theirs.staged_predict(rows), strict=True):
        np.testing.assert_allclose(values, expected, rtol=0, atol=1e-7)


def test_missing_values_go_where_scikit_learn_sends_them():
    rows, labels = drawn()
    rows[::7, 0], rows[::5, 3] = np.nan, np.nan
    theirs = HistGradientBoostingRegressor(**COMMON, max_iter=30).fit(rows, labels)
    ours = Trees(5, iterations=30)
    ours.fit(rows, labels, learning_rate=0.1, seed=0)
    assert ours.get_buffer("missing_left").any()
    np.testing.assert_allclose(ours.predict(torch.from_numpy(rows)), theirs.predict(rows), atol=1e-6)


def test_fewer_trees_are_the_first_ones():
    trees = fitted(iterations=12)
    rows, _ = drawn(200, seed=2)
    stages = [values.copy() for values in trees.staged(rows)]
    trees.keep(5)
    np.testing.assert_allclose(trees.predict(torch.from_numpy(rows)), stages[4], atol=1e-6)
    assert len(list(trees.staged(rows))) == 5
    assert trees.get_buffer("value").numel() == trees.get_buffer("roots")[-1]


@pytest.mark.parametrize("threads", [1, 3])
def test_threads_do_not_matter(threads):
    trees, rows = fitted(iterations=20), torch.from_numpy(drawn(5000, seed=3)[0])
    whole, before = trees.predict(rows), torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        assert torch.equal(trees.predict(rows), whole)
    finally:
        torch.set_num_threads(before)
    np.testing.assert_array_equal(whole, [float(trees.predict(row)) for row in rows])


def test_trees_of_any_number_are_loaded():
    large, small = fitted(iterations=9), fitted(iterations=2)
    rows = torch.from_numpy(drawn(100)[0])
    expected = small.predict(rows)
    large.load_state_dict(small.state_dict())
    assert torch.equal(large.predict(rows), expected)


@pytest.mark.parametrize("labels", ["coarse", "fine"])
def test_a_reach_takes_the_trees_of_its_segment_or_its_own(make_batch, labels):
    batch = make_batch(features=5)
    trees = fitted(iterations=5, labels=labels)
    prediction, memory = trees.stream(batch)
    values = trees.predict(batch.x_coarse if labels == "coarse" else batch.x_fine)
    segment = batch.remap.to_scipy().toarray().argmax(1)
    assert torch.equal(prediction, values[:, segment] if labels == "coarse" else values)
    assert memory == {}
    outputs = trees.task_outputs(batch)
    nodes = batch.coarse_nodes if labels == "coarse" else batch.fine_nodes
    assert list(outputs) == [labels]
    assert torch.equal(outputs[labels], values[:, nodes])


@pytest.mark.parametrize(
    ("name", "place", "value"),
    [
        ("left", 0, 0),  # a circle
        ("right", 0, 10**6),
        ("right", 0, -5),
        ("feature", 0, 5),
        ("roots", 1, 0),
        ("roots", -1, 10**6),
        ("value", -1, float("nan")),
    ],
)
def test_damaged_trees_are_refused(name, place, value):
    state = {key: array.clone() for key, array in fitted(iterations=3).state_dict().items()}
    state[name][place] = value
    with pytest.raises(CheckpointError, match="trees of the file are damaged"):
        Trees(5).load_state_dict(state)


def test_arrays_of_different_sizes_are_refused():
    state = fitted(iterations=3).state_dict()
    with pytest.raises(CheckpointError, match="damaged"):
        Trees(5).load_state_dict({**state, "left": state["left"][:-1]})


@pytest.mark.parametrize(
    ("architecture", "message"),
    [
        ({"labels": "both"}, "must be 'coarse' or 'fine'"),
        ({"labels": ["fine"]}, "must be 'coarse' or 'fine'"),
        ({"iterations": 0}, "iterations=0 must be a whole number"),
        ({"iterations": 2.5}, "iterations=2.5 must be a whole number"),
        ({"min_samples_leaf": True}, "min_samples_leaf=True must be a whole number"),
        ({"max_features": 0}, "max_features=0 must be above 0 and at most 1"),
        ({"max_features": "all"}, "max_features='all' must be above 0"),
    ],
    ids=str,
)
def test_wrong_arguments_are_refused(architecture, message):
    with pytest.raises(InvalidArgumentError, match=message):
        create_model("trees", n_features=3, **architecture)
