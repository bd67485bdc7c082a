"""No held-out temperature reaches a method, at either scale: a marker is planted and searched for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
import xarray as xr

from xmsgl.benchmark import protocols
from xmsgl.benchmark.methods import REFERENCES, Place, contender
from xmsgl.benchmark.protocols import make_split
from xmsgl.benchmark.runs import Run
from xmsgl.evaluate import mask_labels
from xmsgl.inputs.neighbours_fit import fit_neighbours
from xmsgl.models.methods.registry import MODELS
from xmsgl.training import spread

MARKER = 44.015625  # degC, a whole number of sixty-fourths: the same in float32 and float64
LABELS = ("water_temperature_coarse", "water_temperature_fine", "water_temperature_max_fine")
PROTOCOLS = ("temporal", "spatial")
SPLITS = (*PROTOCOLS, "subsegments")  # the spatial protocol where the dataset names its sub-segments
QUICK = {
    "hidden": 4,
    "window": 400,
    "warmup": 5,
    "epochs": 3,
    "features": ["air_temperature", "solar_radiation", "slope"],
}
METHODS = (*REFERENCES, *MODELS)
DRAW = 3

BOOSTERS = ("booster-fine", "booster-coarse")
# Neighbour anomalies, as settings of the networks and of the boosted trees.
LENGTHS = [5_000, 20_000]
WITH_NEIGHBOURS = {
    "features": ["default", *(f"neighbour_anomalies:{length // 1000}km" for length in LENGTHS)]
}
TREES_WITH_NEIGHBOURS = {"neighbours": LENGTHS}


def run_of(protocol, method="msgl", fraction=0.5, **more):
    trees = method in (*BOOSTERS, "trees")
    settings = {"iterations": 10} if trees else {} if method in REFERENCES else QUICK
    protocol = "spatial" if protocol == "subsegments" else protocol
    return Run("tiny", protocol, method, fraction, 0, DRAW, {**settings, **more})


def split_up(ds):
    """Cut every segment at every reach: the dataset with the names of its twelve sub-segments."""
    count = {}
    names = []
    for segment in ds["coarse_segment"].values.tolist():
        count[segment] = count.get(segment, 0) + 1
        names.append(f"{segment}_{count[segment]}")
    return ds.assign(subsegment_fine=("fine", np.array(names, dtype=object)))


def held_out(ds, protocol):
    """What the protocol scores, found without the code under test."""
    if protocol == "temporal":  # the last of the three water years
        return xr.DataArray(ds.indexes["time"] >= "2003-10-01", {"time": ds["time"]}, "time")
    if protocol == "subsegments":
        names = sorted(ds["subsegment_fine"].values, key=lambda name: name.split("_"))
        places = np.random.RandomState(DRAW).choice(12, 2, replace=False)
        segment = [int(names[place].split("_")[0]) for place in places]
    else:
        segment = np.sort(ds["coarse"].values)[np.random.RandomState(DRAW).choice(5, 1, replace=False)]
    return {
        "coarse": xr.DataArray(np.isin(ds["coarse"], segment), {"coarse": ds["coarse"]}, "coarse"),
        "fine": xr.DataArray(np.isin(ds["coarse_segment"], segment), {"fine": ds["fine"]}, "fine"),
    }


def with_held_out(ds, protocol, value):
    """The dataset with another value in every held-out label, at both scales, and in the truth."""
    changed = split_up(ds) if protocol == "subsegments" else ds.copy()
    where = held_out(changed, protocol)
    for name in (*LABELS, "true_temperature_fine"):
        mask = where if protocol == "temporal" else where["coarse" if name.endswith("_coarse") else "fine"]
        changed[name] = (
            ds[name].where(~(mask & ds[name].notnull()), np.float32(value)).assign_attrs(ds[name].attrs)
        )
    return changed


def marked(values):
    return bool(np.isclose(np.asarray(values, dtype=np.float64), MARKER, rtol=0, atol=1e-6).any())


def numbers_in(thing, seen):
    """Every array and number that can be reached from an object of the package."""
    if id(thing) in seen:
        return
    seen.add(id(thing))
    if isinstance(thing, torch.Tensor):
        yield (thing.to_dense() if thing.layout != torch.strided else thing).detach().numpy()
    elif isinstance(thing, np.ndarray):
        if thing.dtype.kind == "f":
            yield thing
    elif isinstance(thing, float):
        yield np.array(thing)
    elif isinstance(thing, Mapping):
        for value in thing.values():
            yield from numbers_in(value, seen)
    elif isinstance(thing, list | tuple):
        for value in thing:
            yield from numbers_in(value, seen)
    elif type(thing).__module__.startswith("xmsgl"):
        yield from numbers_in(vars(thing), seen)


@pytest.fixture
def caught(monkeypatch):
    """The input of each training: its source of batches, and the batches."""
    trainings = []

    def spy(real, module, source, settings, **options):
        batches = [
            item for epoch, stage in enumerate(settings.stages, 1) for item in source.training(epoch, stage)
        ]
        batches += source.validation(module.tasks)
        trainings.append((source, batches))
        return real(module, source, settings, **options)

    for name in ("run", "grow"):
        monkeypatch.setattr(spread, name, partial(spy, getattr(spread, name)))
    return trainings


@pytest.fixture
def predict(offer, tmp_path):
    def call(ds, run):
        offer(ds)
        split = make_split(run)
        outcome = contender(run.method).run(split, run.seed, run.settings, Place(tmp_path / "none"))
        return split, outcome.prediction.transpose("time", "fine").values

    (tmp_path / "none").mkdir()
    return call


def leaks(source, batches):
    """List what contains the marker: in degrees anywhere, standardised in the labels of a batch."""
    seen: set[int] = set()
    found = ["source" for values in numbers_in(source, seen) if marked(values)]
    scaling = next(iter(source._data.scaling.values()))
    for item in batches:
        found += ["batch" for values in numbers_in(item, seen) if marked(values)]
        for label in item.labels.values():
            degrees = label.double().numpy() * scaling.label_deviation + scaling.label_mean
            found += ["label"] if np.isclose(degrees, MARKER, rtol=0, atol=1e-3).any() else []
    return found


def test_the_marker_is_planted_where_methods_are_scored(rich, offer):
    for protocol in SPLITS:
        offer(with_held_out(rich, protocol, MARKER))
        observed = make_split(run_of(protocol)).observed.values
        assert np.isfinite(observed).sum() > 40
        np.testing.assert_array_equal(observed[np.isfinite(observed)], np.float32(MARKER))


@pytest.mark.parametrize("protocol", SPLITS)
def test_the_datasets_of_a_split_do_not_contain_the_marker(rich, offer, protocol):
    ds = with_held_out(rich, protocol, MARKER)
    assert all(marked(ds[name]) for name in LABELS)
    offer(ds)
    split = make_split(run_of(protocol))
    for part in (split.training, split.inputs):
        found = [name for name in part.variables if part[name].dtype.kind == "f" and marked(part[name])]
        assert found == []
    assert not any(name.startswith(("water_temperature", "true")) for name in split.inputs.data_vars)
    assert {name for name in split.training.data_vars if name.startswith(("water", "true"))} == set(
        LABELS[:2]
    )
    assert all(split.training[name].count() > 100 for name in LABELS[:2])


@pytest.mark.parametrize("draw", [0, 2, DRAW])
def test_the_rest_of_a_segment_is_held_out_with_its_drawn_part(rich, offer, draw):
    """No label is left on the reach of another sub-segment of the same segment, nor on the segment."""
    ds = split_up(rich)
    offer(ds)
    split = make_split(replace(run_of("subsegments", fraction=1.0), draw=draw))
    scored = split.observed["fine"].values
    segments = ds["coarse_segment"].sel(fine=scored).values
    assert len(scored) > 2  # the two drawn are single reaches
    for name, ids in zip(LABELS[:2], (segments, scored), strict=True):
        dim = "coarse" if name.endswith("_coarse") else "fine"
        learned = split.training[name].count("time")
        for place in ds[dim].values:
            segment = place if dim == "coarse" else int(ds["coarse_segment"].sel(fine=place))
            assert (int(learned.sel({dim: place})) == 0) == (place in ids) == (segment in segments)


@pytest.mark.parametrize("protocol", SPLITS)
@pytest.mark.parametrize(
    ("method", "more"),
    [pytest.param(method, {}, id=method) for method in METHODS]
    + [
        pytest.param(method, WITH_NEIGHBOURS, id=f"{method}, neighbours")
        for method in ("remap", "msgl", "trees")
    ]
    + [pytest.param("booster-coarse", TREES_WITH_NEIGHBOURS, id="booster-coarse, neighbours")],
)
def test_held_out_labels_change_nothing(rich, predict, caught, monkeypatch, method, more, protocol):
    """No tensor contains the marker, and prediction and scaling are those without any held-out label."""
    # Without held-out labels their segments would no longer be candidates.
    monkeypatch.setattr(protocols, "_candidates", lambda ds, source, name: None)
    run = run_of(protocol, method, **more)
    ds = with_held_out(rich, protocol, MARKER)
    split, with_marker = predict(ds, run)
    without = mask_labels(
        ds,
        **(
            {"days": held_out(ds, protocol)}
            if protocol == "temporal"
            else {"segments": held_out(ds, protocol)["coarse"]}
        ),
    )
    monkeypatch.setattr(protocols, "_observed", lambda labels, where: split.observed)
    _, with_nan = predict(without, run)
    np.testing.assert_array_equal(with_marker, with_nan)
    if method not in REFERENCES:
        (source, batches), (clean, _) = caught
        assert batches
        assert leaks(source, batches) == []
        assert source._data.scaling == clean._data.scaling


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("more", [{}, TREES_WITH_NEIGHBOURS], ids=["", "neighbours"])
@pytest.mark.parametrize("method", BOOSTERS)
def test_boosters_do_not_learn_from_the_marker(rich, predict, monkeypatch, method, more, protocol):
    ensemble = pytest.importorskip("sklearn.ensemble")
    fed = []
    real = ensemble.HistGradientBoostingRegressor.fit

    def spy(self, X, y, *rest, **options):
        fed.extend([X, y])
        return real(self, X, y, *rest, **options)

    monkeypatch.setattr(ensemble.HistGradientBoostingRegressor, "fit", spy)
    predict(with_held_out(rich, protocol, MARKER), run_of(protocol, method, **more))
    features, labels = fed
    assert len(labels) > 100
    assert not marked(features)
    assert not marked(labels)


@pytest.mark.parametrize("kept", LABELS[:2])
def test_a_label_left_at_one_scale_would_be_found(rich, predict, caught, monkeypatch, kept):
    """The search can fail: a split that masks only one scale is found."""

    def careless(ds, **what):
        hidden = mask_labels(ds, **what)
        hidden[kept] = ds[kept]
        return hidden

    monkeypatch.setattr(protocols, "mask_labels", careless)
    for protocol in PROTOCOLS:
        caught.clear()
        ds = with_held_out(rich, protocol, MARKER)
        split, _ = predict(ds, run_of(protocol, fraction=1.0))
        assert marked(split.training[kept])
        ((source, batches),) = caught
        assert {"source", "label"} <= set(leaks(source, batches))


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_only_training_labels_are_thinned(tiny, protocol):
    whole = make_split(run_of(protocol, fraction=1.0))
    thin = make_split(run_of(protocol, fraction=0.1))
    fine, coarse = "water_temperature_fine", "water_temperature_coarse"
    assert int(thin.training[fine].count()) == round(0.1 * int(whole.training[fine].count()))
    kept = thin.training[fine].notnull()
    np.testing.assert_array_equal(thin.training[fine].where(kept), whole.training[fine].where(kept))
    xr.testing.assert_identical(thin.training[coarse], whole.training[coarse])
    xr.testing.assert_identical(thin.observed, whole.observed)


@pytest.mark.parametrize("protocol", SPLITS)
@pytest.mark.parametrize("left", [False, True], ids=["masked", "left"])
def test_neighbour_anomalies_do_not_use_held_out_labels(rich, offer, monkeypatch, protocol, left):
    """They depend only on the split's labels; a held-out label left in the split would change them."""

    def careless(ds, **what):
        return mask_labels(ds, **what).assign(water_temperature_coarse=ds["water_temperature_coarse"])

    def anomalies(value):
        offer(with_held_out(rich, protocol, value))
        return fit_neighbours(make_split(run_of(protocol)).training, LENGTHS)

    if left:
        monkeypatch.setattr(protocols, "mask_labels", careless)
    low, high = anomalies(4.0), anomalies(30.0)
    gone = 0 if left or protocol == "temporal" else int(held_out(split_up(rich), protocol)["coarse"].sum())
    assert len(low.segments) == 5 - gone
    assert (low == high) is not left
