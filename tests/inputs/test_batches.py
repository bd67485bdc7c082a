"""What the training loop draws from: nothing leaks, nothing is lost, nothing is scored twice."""

from __future__ import annotations

import numpy as np
import pytest

from xmsgl.errors import InvalidArgumentError
from xmsgl.inputs.batches import TrainingData
from xmsgl.inputs.choose import choose_features
from xmsgl.inputs.neighbours import neighbour_features
from xmsgl.inputs.scales import ScaleInputs, Sources
from xmsgl.inputs.validation import split_labels, write_validation

SCALES = ("coarse", "fine")
MARK = 44.0  # a temperature that no river of the tests has
NAMES = ["air_temperature", "precipitation", "slope"]


def prepare(ds, *, scales=SCALES, features=NAMES, validation=None, window=90, seed=0, **changes):
    days = split_labels(ds, scales, window=window, validation=write_validation(validation), seed=seed)
    arguments = {"warmup": 15, "batch": 1, "window": window, "seed": seed, "split": days, **changes}
    return TrainingData(ds, choose_features(ds, features), scales=scales, **arguments)


def dense(x):
    """Inputs of each node, by (day, node, window, feature)."""
    if not isinstance(x, Sources):
        return x
    return x.rows[:, x.place] + x.fixed[:, None]


def unscaled(data, batch, scale):
    """The labels of a batch in degC, by (day in window, node, window)."""
    scaling = data.scaling[scale]
    return batch.labels[scale] * scaling.label_deviation + scaling.label_mean


def drawn(data, batches):
    """All labels of some batches in degC, sorted, by scale."""
    found = {scale: [] for scale in SCALES}
    for batch in batches:
        for scale in batch.labels:
            values = unscaled(data, batch, scale)
            found[scale].append(values[np.isfinite(values)])
    return {
        scale: np.sort(np.concatenate(parts)) if parts else np.array([]) for scale, parts in found.items()
    }


def labels_of(ds, days, scale):
    values = ds[f"water_temperature_{scale}"].transpose("time", scale).values[days]
    return np.sort(values[np.isfinite(values)])


# ------------------------------------------------------------ all, and once


@pytest.mark.parametrize("batch", [1, 4, 100])
@pytest.mark.parametrize("validation", [None, 0.3, slice("2002-03-01", "2002-05-31")])
def test_every_label_is_used_once_an_epoch(river, batch, validation):
    data = prepare(river, validation=validation, batch=batch)
    for epoch in (1, 2):
        training = drawn(data, data.training_batches(epoch))
        judged = drawn(data, data.validation_batches())
        for scale in SCALES:
            np.testing.assert_allclose(
                training[scale], labels_of(river, ~data.validation_days, scale), atol=1e-4
            )
            np.testing.assert_allclose(
                judged[scale], labels_of(river, data.validation_days, scale), atol=1e-4
            )
    counts = data.counts()
    assert counts["training_fine"] + counts["validation_fine"] == int(river.water_temperature_fine.count())
    assert counts["training_coarse"] == len(training["coarse"])


def test_labels_stand_at_their_day_and_node(river):
    data = prepare(river, batch=3)
    first_days = {str(day.date()): number for number, day in enumerate(data.time)}
    for batch in data.training_batches(1):
        starts = [first_days[name] for name in batch.name.split(", ")]
        for scale in SCALES:
            values = unscaled(data, batch, scale)
            truth = river[f"water_temperature_{scale}"].transpose("time", scale).values
            assert np.isnan(values[:15]).all()  # the warm-up is never scored
            for window, start in enumerate(starts):
                stop = min(start + 90, 800)
                part = values[15 : 15 + stop - start, :, window]
                expected = truth[start:stop][:, batch.nodes[scale]]
                np.testing.assert_allclose(part, expected, atol=1e-4)
                assert np.isnan(values[15 + stop - start :, :, window]).all()


def test_inputs_are_in_the_order_of_the_cell(river):
    data = prepare(river, batch=2)
    batch = next(data.training_batches(1))
    assert batch.inputs["coarse"].shape == (105, 5, 2, 3)
    assert dense(batch.inputs["fine"]).shape == (105, 12, 2, 3)
    assert all(dense(values).dtype == np.float32 for values in batch.inputs.values())


def test_the_order_of_windows_is_drawn_from_seed_and_epoch(river):
    def names(seed, epoch):
        return [batch.name for batch in prepare(river, seed=seed, window=30).training_batches(epoch)]

    assert names(0, 1) == names(0, 1)
    assert names(0, 1) != names(0, 2)
    assert names(0, 1) != names(1, 1)
    assert sorted(names(0, 1)) == sorted(names(0, 2))
    assert len(names(0, 1)) == 27


def with_process(ds):
    values = ds["air_temperature_coarse"] * 0.5 + 7
    return ds.assign(simulated_temperature_coarse=values.assign_attrs(units="degC"))


def test_the_process_model_labels_every_segment_on_every_day_but_the_validation(river):
    ds = with_process(river)
    data = prepare(ds, scales=("fine",), validation=slice("2002-03-01", "2002-05-31"), batch=2)
    found = drawn(data, data.process_batches(1))
    expected = ds["simulated_temperature_coarse"].values[~data.validation_days]
    np.testing.assert_allclose(found["coarse"], np.sort(expected.ravel()), atol=1e-4)
    assert not found["fine"].size
    names = [[batch.name for batch in data.process_batches(epoch)] for epoch in (1, 1, 2)]
    assert names[0] == names[1] != names[2]


def test_reaches_for_carried_labels_are_drawn_anew_without_observations(river, monkeypatch):
    monkeypatch.setattr("xmsgl.inputs.batches._CARRIED", 4)
    data = prepare(river, validation=slice("2002-03-01", "2002-05-31"), window=60)
    epochs = [list(data.unlabelled_batches(epoch, ("coarse",))) for epoch in (1, 1, 2)]
    drawn_nodes = [[tuple(batch.nodes["fine"]) for batch in epoch] for epoch in epochs]
    assert drawn_nodes[0] == drawn_nodes[1] != drawn_nodes[2]
    assert len(set(drawn_nodes[0])) > 1
    assert {node for nodes in drawn_nodes[0] + drawn_nodes[2] for node in nodes} == set(range(12))
    starts = {str(day.date()): number for number, day in enumerate(data.time)}
    counted = np.zeros(800, int)
    for batch in epochs[0]:
        assert (batch.labels, set(batch.nodes), set(batch.inputs)) == ({}, {"fine"}, {"coarse"})
        assert (len(batch.nodes["fine"]), batch.scored.shape) == (4, (75, 1))
        counted[starts[batch.name] - 15 + np.flatnonzero(batch.scored[:, 0])] += 1
    np.testing.assert_array_equal(counted, ~data.validation_days)


# ------------------------------------------------------------------- no leak


@pytest.mark.parametrize(
    "validation", [0.3, 0.15, slice("2002-03-01", "2002-05-31")], ids=["share", "less", "slice"]
)
@pytest.mark.parametrize("window", [90, 365], ids=["whole-windows", "ends-of-windows"])
def test_validation_labels_never_reach_a_training_batch(river, validation, window):
    days = prepare(river, validation=validation, window=window).validation_days
    assert 0 < days.sum() < 800
    marked = river.copy(deep=True)
    for scale in SCALES:
        name = f"water_temperature_{scale}"
        marked[name] = marked[name].where(~(marked[name].notnull() & days[:, None]), MARK)
    data = prepare(marked, validation=validation, window=window)
    clean = prepare(river, validation=validation, window=window)
    assert data.scaling == clean.scaling
    for dirty, expected in zip(data.training_batches(1), clean.training_batches(1), strict=True):
        for scale in SCALES:
            assert np.nanmax(unscaled(data, dirty, scale)) < MARK - 5
            np.testing.assert_array_equal(dirty.labels[scale], expected.labels[scale])
            np.testing.assert_array_equal(dense(dirty.inputs[scale]), dense(expected.inputs[scale]))
    judged = drawn(data, data.validation_batches())
    assert all((abs(values - MARK) < 1e-3).all() for values in judged.values())


def test_masked_values_and_other_variables_are_never_in_a_batch(river):
    held_out = np.zeros((800, 5), bool)
    held_out[300:420, 2] = True
    masked = river.copy(deep=True)
    masked["water_temperature_coarse"] = masked["water_temperature_coarse"].where(~held_out)
    spiked = masked.copy(deep=True)
    shapes = {"coarse": (800, 5), "fine": (800, 12)}
    for scale in SCALES:
        for name in ("simulated_temperature", "true_temperature", "discharge"):
            spiked[f"{name}_{scale}"] = ("time", scale), np.full(shapes[scale], MARK, "float32")
    ours = prepare(spiked, features=["default"]).training_batches(1)
    theirs = prepare(masked, features=["default"]).training_batches(1)
    for one, two in zip(ours, theirs, strict=True):
        for scale in SCALES:
            np.testing.assert_array_equal(dense(one.inputs[scale]), dense(two.inputs[scale]))
            np.testing.assert_array_equal(one.labels[scale], two.labels[scale])


def test_the_inputs_do_not_depend_on_labels(river):
    plain = prepare(river)
    warmer = river.copy(deep=True)
    for scale in SCALES:
        warmer[f"water_temperature_{scale}"] = warmer[f"water_temperature_{scale}"] + 3
    for one, two in zip(plain.training_batches(1), prepare(warmer).training_batches(1), strict=True):
        for scale in SCALES:
            np.testing.assert_array_equal(dense(one.inputs[scale]), dense(two.inputs[scale]))


# ------------------------------------------------------------------- scaling


def test_scaling_is_that_of_training_days_alone(river):
    validation = slice("2002-03-01", "2002-05-31")
    ds = river.copy(deep=True)
    for scale in SCALES:
        ds[f"water_temperature_{scale}"][600:] = np.nan
    clean = prepare(ds, validation=validation)
    unused = ~clean.training_days
    assert unused[600:].all()
    changed = ds.copy(deep=True)
    for name in ("air_temperature_coarse", "precipitation_coarse"):
        changed[name] = changed[name] + 30.0 * unused[:, None].astype("float32")
    for scale in SCALES:
        name = f"water_temperature_{scale}"
        changed[name] = changed[name] - 2.5 * clean.validation_days[:, None].astype("float32")
    assert prepare(changed, validation=validation).scaling == clean.scaling
    changed["air_temperature_coarse"][clean.training_days.argmax()] += 5
    assert prepare(changed, validation=validation).scaling != clean.scaling


def test_scaling_of_the_labels_pools_both_scales(river):
    data = prepare(river, validation=0.3)
    pooled = np.concatenate([labels_of(river, data.training_days, scale) for scale in SCALES])
    for scale in SCALES:
        assert data.scaling[scale].label_mean == pytest.approx(pooled.mean(), rel=1e-5)
        assert data.scaling[scale].label_deviation == pytest.approx(pooled.std(), rel=1e-5)
    assert prepare(river, scales=["fine"]).scaling["fine"].label_mean == pytest.approx(
        float(river.water_temperature_fine.mean()), rel=1e-5
    )


def test_the_same_temperature_everywhere_still_trains(river):
    for scale in SCALES:
        name = f"water_temperature_{scale}"
        river[name] = river[name].where(river[name].isnull(), 10.0)
    assert prepare(river).scaling["fine"].label_deviation == 1.0


# --------------------------------------------------- windows with few labels


def test_windows_without_labels_are_skipped(river):
    for scale in SCALES:
        river[f"water_temperature_{scale}"][90:270] = np.nan
    data = prepare(river)
    names = {batch.name for batch in data.training_batches(1)}
    starts = {str(river.time.values[k])[:10] for k in range(0, 800, 90)}
    assert names == starts - {str(river.time.values[k])[:10] for k in (90, 180)}
    assert len(list(data.training_batches(1))) == 7


def test_batches_for_one_scale_leave_the_other_out(river):
    river["water_temperature_coarse"][180:270] = np.nan
    data = prepare(river, validation=0.3)
    for batches in (data.training_batches(1, ["coarse"]), data.validation_batches(["coarse"])):
        found = list(batches)
        assert found
        assert all(set(batch.labels) == set(batch.inputs) == {"coarse"} for batch in found)
        assert str(river.time.values[180])[:10] not in {batch.name for batch in found}


def test_a_window_with_coarse_labels_only_trains_the_coarse_task(river):
    river["water_temperature_fine"][180:270] = np.nan
    data = prepare(river)
    name = str(river.time.values[180])[:10]
    (batch,) = [batch for batch in data.training_batches(1) if batch.name == name]
    assert set(batch.labels) == set(batch.nodes) == set(batch.inputs) == {"coarse"}


def test_a_window_with_fine_labels_only_still_has_the_coarse_inputs(river):
    river["water_temperature_coarse"][180:270] = np.nan
    data = prepare(river)
    name = str(river.time.values[180])[:10]
    (batch,) = [batch for batch in data.training_batches(1) if batch.name == name]
    assert set(batch.labels) == {"fine"}
    assert set(batch.inputs) == {"coarse", "fine"}


def test_context_is_there_without_its_labels(river):
    batches = list(prepare(river, scales=["fine"], context=["coarse", "fine"]).training_batches(1))
    assert all(set(batch.labels) == {"fine"} for batch in batches)
    assert all(set(batch.inputs) == {"coarse", "fine"} for batch in batches)


def test_a_dataset_without_fine_labels_trains_the_coarse_scale(river):
    data = prepare(river.drop_vars("water_temperature_fine"))
    assert all(set(batch.labels) == {"coarse"} for batch in data.training_batches(1))
    assert data.counts()["training_fine"] == 0


# ------------------------------------------------------------------- pruning


@pytest.fixture
def half_labelled(two_rivers):
    """Of two rivers, one without any label; with a process model's temperature at both."""
    for scale in SCALES:
        name = f"water_temperature_{scale}"
        two_rivers[name] = two_rivers[name].where(two_rivers[scale] < 1000)
    two_rivers["simulated_temperature_coarse"] = two_rivers["air_temperature_coarse"] + 1
    return two_rivers


def first_river(ds):
    return {scale: np.flatnonzero(ds[scale].values < 1000) for scale in SCALES}


def test_nodes_with_labels(half_labelled):
    half_labelled["water_temperature_fine"].loc[{"fine": 7}] = np.nan
    found = prepare(half_labelled, validation=0.3).labelled_nodes()
    assert set(half_labelled["coarse"].values[found["coarse"]]) == {101, 102, 103, 104, 105}
    assert set(half_labelled["fine"].values[found["fine"]]) == {*range(1, 13)} - {7}


@pytest.mark.parametrize("batches", ["training", "validation", "process"])
def test_pruned_batches_hold_the_same_of_the_kept_nodes(half_labelled, batches):
    keep = first_river(half_labelled)

    def drawn_from(data):
        if batches == "validation":
            return data.validation_batches()
        return data.training_batches(1) if batches == "training" else data.process_batches(1)

    whole = prepare(half_labelled, validation=0.3, batch=2)
    few = whole.prune(keep)
    for pruned, full in zip(drawn_from(few), drawn_from(whole), strict=True):
        assert pruned.name == full.name
        assert set(pruned.inputs) == set(full.inputs)
        for scale, labels in full.labels.items():
            kept = np.isin(full.nodes[scale], keep[scale])
            assert kept.all() or batches == "process"
            np.testing.assert_array_equal(keep[scale][pruned.nodes[scale]], full.nodes[scale][kept])
            np.testing.assert_array_equal(pruned.labels[scale], labels[:, kept])
            np.testing.assert_array_equal(
                dense(pruned.inputs[scale]), dense(full.inputs[scale])[:, keep[scale]]
            )


def test_reaches_to_carry_labels_to_are_drawn_from_the_kept_nodes(half_labelled):
    few = prepare(half_labelled).prune(first_river(half_labelled))
    (batch, *_) = few.unlabelled_batches(1, SCALES)
    assert batch.nodes["fine"].tolist() == list(range(12))
    assert {scale: dense(values).shape[1] for scale, values in batch.inputs.items()} == {
        "coarse": 5,
        "fine": 12,
    }


def test_pruning_keeps_scaling_and_counts(half_labelled):
    """The weights a model learns do not depend on what was left out."""
    whole = prepare(half_labelled, validation=0.3)
    few = whole.prune(first_river(half_labelled))
    assert few.scaling == whole.scaling
    assert few.scaling != prepare(half_labelled.isel(first_river(half_labelled)), validation=0.3).scaling
    assert few.counts() == whole.counts()
    assert whole.inputs["fine"].n == 24  # which stays as it was
    twice = few.prune(few.labelled_nodes())
    for scale, nodes in few.labelled_nodes().items():
        assert twice.labelled_nodes()[scale].tolist() == list(range(nodes.size))
        assert first_river(half_labelled)[scale][nodes].tolist() == whole.labelled_nodes()[scale].tolist()
    for one, two in zip(twice.training_batches(1), few.training_batches(1), strict=True):
        np.testing.assert_array_equal(one.labels["fine"], two.labels["fine"])
    assert whole.prune({scale: np.arange(half_labelled.sizes[scale]) for scale in SCALES}) is whole


def test_a_label_is_never_left_out(half_labelled):
    keep = first_river(half_labelled)
    lost = int(keep["fine"][2])
    with pytest.raises(InvalidArgumentError, match=f"fine nodes {lost} have labels"):
        prepare(half_labelled).prune({**keep, "fine": np.delete(keep["fine"], 2)})


# ---------------------------------------------------------------- lazy input


def test_the_callers_dataset_stays_lazy(river):
    lazy = river.chunk({"time": 100})
    data = prepare(lazy)
    for name in [*lazy.data_vars]:
        assert lazy[name].chunks is not None, name
    for one, two in zip(data.training_batches(1), prepare(river).training_batches(1), strict=True):
        for scale in SCALES:
            np.testing.assert_array_equal(dense(one.inputs[scale]), dense(two.inputs[scale]))
            np.testing.assert_array_equal(one.labels[scale], two.labels[scale])


@pytest.mark.parametrize("kind", ["training", "validation", "unlabelled"])
def test_inherited_inputs_are_those_that_reaches_would_have(river, monkeypatch, kind):
    def batches():
        data = prepare(river, validation=0.3, batch=2)
        if kind == "unlabelled":
            return [*data.unlabelled_batches(2, SCALES)]
        return [*(data.training_batches(2) if kind == "training" else data.validation_batches())]

    inherited = [batch.inputs["fine"] for batch in batches()]
    monkeypatch.setattr(ScaleInputs, "sources", lambda *_: None)
    own = [batch.inputs["fine"] for batch in batches()]
    assert own
    for few, many in zip(inherited, own, strict=True):
        assert isinstance(few, Sources)
        np.testing.assert_array_equal(dense(few), many)


@pytest.fixture
def with_anomalies(river):
    anomaly = np.arange(1.0, 1 + river.sizes["coarse"])
    return river.assign({f"{name}_coarse": ("coarse", anomaly) for name in neighbour_features([0.0])})


def hidden_in(data, batches):
    """Which segments have no anomaly of their own, by the first day of the window; equal at both scales."""
    found = {}
    k = [feature.name for feature in data.inputs["coarse"].features].index("neighbour_0km_mean")
    scaling = data.scaling["coarse"]
    for batch in batches:
        own = [
            dense(batch.inputs[scale])[:, :, :, k] * scaling.deviation[k] + scaling.mean[k]
            for scale in SCALES
        ]
        assert np.ptp(own[0], axis=0).max() == 0  # the same on all days of a window
        for w, name in enumerate(batch.name.split(", ")):
            gone = np.isclose(own[0][0, :, w], 0.0, atol=1e-5)
            found[name] = gone
            np.testing.assert_allclose(own[1][0, :, w], own[0][0, data.inputs["fine"]._segment, w], atol=1e-5)
            kept = np.flatnonzero(~gone)
            np.testing.assert_allclose(own[0][0, kept, w], 1.0 + kept, atol=1e-5)
    return found


@pytest.mark.parametrize("batch", [1, 3])
def test_own_anomalies_are_hidden_for_about_half_of_the_segments_of_a_window(with_anomalies, batch):
    features = [*NAMES, *neighbour_features([0.0])]
    data = prepare(with_anomalies, features=features, validation=0.3, window=10, batch=batch)
    epochs = [hidden_in(data, data.training_batches(epoch)) for epoch in range(4)]
    share = np.mean([gone for epoch in epochs for gone in epoch.values()], axis=0)
    assert share.shape == (5,)
    n = sum(map(len, epochs))
    assert (np.abs(share - 0.5) < 4 * 0.5 / np.sqrt(n)).all()
    assert any((epochs[0][name] != epochs[1][name]).any() for name in epochs[0])  # drawn anew
    alone = prepare(with_anomalies, features=features, validation=0.3, window=10)
    for name, gone in hidden_in(alone, alone.training_batches(0)).items():
        np.testing.assert_array_equal(gone, epochs[0][name])  # whatever windows a batch has
    assert not any(gone.any() for gone in hidden_in(data, data.validation_batches()).values())
