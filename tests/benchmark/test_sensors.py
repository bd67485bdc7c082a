"""Protocols with sensors: what reports, what is scored, and that nothing hidden is used."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from tests.conftest import make_river
from xmsgl.benchmark.given import RULES, damped_persistence, predict_given, same_day
from xmsgl.benchmark.methods import Place, contender
from xmsgl.benchmark.plan import make_plan
from xmsgl.benchmark.protocols import PROTOCOLS, make_split
from xmsgl.benchmark.runner import do_runs
from xmsgl.benchmark.runs import Run
from xmsgl.benchmark.scores import pair_up, score_pairs
from xmsgl.benchmark.sensors import LEADS, WITH_SENSORS, draw_gaps, keep_some
from xmsgl.benchmark.store import Store
from xmsgl.errors import InvalidArgumentError, UnknownNameError
from xmsgl.models.file.model import load_model
from xmsgl.reconstruct import reconstruct
from xmsgl.reconstruct.given import Errors
from xmsgl.reconstruct.river import River

TREES = {"validation": "folds:2", "iterations": 8, "min_samples_leaf": 20, "features": ["default"]}
FEW = ("spatial-observed", "forecast", "gaps-30", "sensors-50")
LABELS = ("water_temperature_coarse", "water_temperature_fine")
OWN = "persistence"  # needs observations of the segment itself

pytestmark = pytest.mark.usefixtures("small_fits")


@pytest.fixture(scope="module")
def years():
    """A river of four water years, of which the last is the test."""
    return make_river(days=1400)


@pytest.fixture
def tiny(years, offer):
    offer(years)
    return years


def run_of(protocol, given=None):
    return Run("tiny", protocol, "trees", 1.0, 0, 1, TREES if given is None else {**TREES, "given": given})


def hidden_in(split, ds):
    """What is neither learned nor reported, by scale, from the datasets of a split."""
    found = {}
    for name in LABELS:
        learned = split.training[name].reindex_like(ds[name]).notnull()
        reported = split.sensors.observed[name].reindex_like(ds[name]).notnull()
        found[name] = ds[name].notnull() & ~learned & ~reported
    return found


def known(rule, protocol):
    return rule != OWN or protocol.startswith(("gaps", "forecast"))


@pytest.mark.parametrize("protocol", [name for name in FEW if name != "forecast"])
def test_what_is_hidden_changes_nothing(tiny, offer, tmp_path, protocol):
    """All observations that no sensor reports are 30 degC warmer: nothing but the truth changes."""
    split = make_split(run_of(protocol))
    other = tiny.copy()
    for name, where in hidden_in(split, tiny).items():
        assert where.any()
        other[name] = tiny[name].where(~where, tiny[name] + 30).assign_attrs(tiny[name].attrs)
    offer(other)
    warm = make_split(run_of(protocol))
    np.testing.assert_allclose(warm.observed, split.observed + 30, atol=1e-4)
    models, found = [], []
    for each, folder in ((split, "one"), (warm, "other")):
        (tmp_path / folder).mkdir()
        outcome = contender("trees").run(each, 0, TREES, Place(tmp_path / folder))
        models.append(outcome.model)
        places = each.inputs, each.sensors, each.observed, outcome.model
        rules = [predict_given(*places, rule, "cpu") for rule in RULES if known(rule, protocol)]
        found.append([outcome.prediction, *rules])
    assert models[0].sha256 == models[1].sha256
    for one, two in zip(*found, strict=True):
        np.testing.assert_array_equal(one, two)
    alone = found[0][1 + list(RULES).index("nothing")]
    scored = np.isfinite(split.observed)
    for rule, each in zip([name for name in RULES if known(name, protocol)], found[0][1:], strict=True):
        apart = np.abs(each - alone).sel(time=scored.time, fine=scored.fine).where(scored).max()
        assert (float(apart) > 0.01) == (rule != "nothing"), rule


@pytest.fixture(scope="module")
def forecasts(years, small_fits):
    """A split with a model, and its forecasts."""
    from xmsgl.benchmark.sources import SOURCES, Source, late_years

    SOURCES["river"] = Source(lambda: years, late_years)
    try:
        split = make_split(replace(run_of("forecast"), dataset="river"))
        model = split.training.msgl.train("trees", progress=False, **TREES)
        places = split.inputs, split.sensors, split.observed, model
        yield split, model, {rule: predict_given(*places, rule, "cpu") for rule in RULES}
    finally:
        SOURCES.pop("river")


def test_a_forecast_is_that_of_the_accessor_and_sees_nothing_later(forecasts):
    split, model, found = forecasts
    for issue in split.sensors.issues[[0, 5]]:
        seen = split.sensors.observed.sel(time=slice(None, issue))
        week = reconstruct(split.inputs, model, observed=seen, mode="forecast", lead=LEADS)
        own = found["sensors"].sel(time=week["time"].values)
        np.testing.assert_allclose(own, week, atol=2e-4)
    # Observations after an issue are another: its week is the same.
    issue = split.sensors.issues[3]
    late = split.sensors.observed.time > issue
    warm = replace(split.sensors, observed=split.sensors.observed.where(~late, 35.0))
    days = slice(issue + pd.Timedelta(1, "D"), issue + pd.Timedelta(LEADS, "D"))
    for rule, expected in found.items():
        again = predict_given(split.inputs, warm, split.observed, model, rule, "cpu")
        np.testing.assert_array_equal(again.sel(time=days), expected.sel(time=days))
        after = again.sel(time=slice(days.stop, None)) - expected.sel(time=slice(days.stop, None))
        assert (np.abs(after).max() > 1) == (rule != "nothing")


def test_each_day_of_the_test_has_one_lead(forecasts):
    split, _, found = forecasts
    days = split.inputs.indexes["time"]
    test = days[~split.sensors.learned]
    assert set(split.observed.indexes["time"]) <= set(test)
    pairs = pair_up(found["sensors"], split)
    issues = [day for day in test if (day - days[0]).days % 7 == 0]
    for day, lead in pairs[["day", "lead"]].drop_duplicates().itertuples(index=False):
        assert lead == min((day - issue).days for issue in issues if issue < day)
    assert set(pairs["lead"]) == set(range(1, LEADS + 1))
    scores = score_pairs(pairs).query("group == 'lead' and metric == 'rmse'").set_index("member")
    for lead, some in pairs.groupby("lead"):
        rmse = np.sqrt(((some["predicted"] - some["observed"]) ** 2).mean())
        assert scores.loc[str(lead), "value"] == pytest.approx(rmse, rel=1e-5)
        assert scores.loc[str(lead), "n"] == len(some)


@pytest.mark.parametrize("protocol", FEW)
def test_scored_is_what_neither_training_nor_a_sensor_knows(tiny, protocol):
    split = make_split(run_of(protocol))
    hidden = hidden_in(split, tiny)["water_temperature_fine"]
    scored = split.observed.reindex_like(hidden).notnull()
    assert int(scored.sum()) > 40
    if protocol == "forecast":  # everything reports, later
        assert not hidden.any()
        assert not split.training["water_temperature_fine"].where(scored).count()
    else:
        np.testing.assert_array_equal(scored, hidden)
    np.testing.assert_array_equal(
        split.observed.reindex_like(hidden).where(scored), tiny["water_temperature_fine"].where(scored)
    )


def test_the_prediction_is_that_of_the_accessor(tiny, tmp_path):
    split = make_split(run_of("sensors-50"))
    outcome = contender("trees").run(split, 0, TREES, Place(tmp_path))
    expected = tiny.msgl.reconstruct(outcome.model, observed=split.sensors.observed)
    np.testing.assert_array_equal(outcome.prediction, expected)


def test_rules_share_one_training(tiny, tmp_path, monkeypatch):
    store = Store(tmp_path / "out")
    runs = [run_of("gaps-30", given) for given in (None, "nothing", "persistence")]
    trained = []
    real = type(contender("trees"))._train
    monkeypatch.setattr(type(contender("trees")), "_train", lambda *given: trained.append(1) or real(*given))
    assert do_runs(runs, store) == []
    assert len(trained) == 1
    assert len({record["sha256"] for record in store.records()}) == 1
    assert len({float(store.pairs(run.id)["predicted"].sum()) for run in runs}) == 3
    model = load_model(store.runs / runs[0].id / "model.safetensors")
    assert model.spec.errors
    # Other sensors and gaps, but the same years for training; then other segments, labels or settings.
    do_runs([run_of("sensors-50"), replace(runs[0], draw=2)], store)
    assert len(trained) == 1
    others = run_of("spatial-observed"), replace(runs[0], fraction=0.5), replace(runs[0], seed=1)
    assert do_runs(others, store) == []
    assert len(trained) == 4


@pytest.mark.parametrize(
    ("protocol", "method", "error", "words"),
    [
        ("temporal", "trees:given=nearest", InvalidArgumentError, "given is for protocols with sensors"),
        ("gaps-30", "trees:given=yesterday", UnknownNameError, "unknown rule for given 'yesterday'"),
        ("gaps-30", "regression:given=nearest", InvalidArgumentError, "this method has no setting given"),
    ],
)
def test_what_can_not_be_given(tiny, protocol, method, error, words):
    with pytest.raises(error, match=words):
        make_plan("tiny", protocol=protocol, methods=[method])


def test_persistence_needs_the_own_segment(tiny, tmp_path):
    split = make_split(run_of("sensors-50"))
    with pytest.raises(InvalidArgumentError, match="use it in the protocols gaps and forecast"):
        contender("trees").run(split, 0, {**TREES, "given": OWN}, Place(tmp_path))


def test_the_command_knows_all_protocols():
    from xmsgl.cli.benchmark import benchmark

    (option,) = (each for each in benchmark.params if each.name == "protocol")
    assert set(option.type.choices) == set(PROTOCOLS)
    assert {name for name, each in PROTOCOLS.items() if each.sensors} == set(WITH_SENSORS)


@pytest.mark.parametrize(("days", "left"), [(911, 7), (913, 2)])
def test_the_last_week_of_a_record_may_be_short(offer, tmp_path, days, left):
    """Day 910 has a number that is a multiple of seven: of 911 days it is the last."""
    offer(make_river(days=days))
    split = make_split(run_of("forecast"))
    last = split.inputs.indexes["time"][-1]
    assert (last - split.sensors.issues[-1]).days == left
    short = replace(split.sensors, issues=split.sensors.issues[-2:])
    model = split.training.msgl.train("trees", progress=False, **TREES)
    found = predict_given(split.inputs, short, split.observed, model, "sensors", "cpu")
    assert found.sizes["time"] == 7 + left
    assert found.indexes["time"][-1] == last


@pytest.mark.parametrize(("percent", "kept"), [(5, 1), (20, 4), (50, 10)])
def test_a_share_of_the_gauges_reports_in_the_test_years(percent, kept):
    seen = np.ones((300, 25), np.bool_)
    seen[200:, 20:] = False  # not gauged in the test years
    test = np.arange(300) >= 200
    reports = keep_some(seen, test, percent, seed=0)
    assert not reports[~test].any()
    assert (reports[test] == reports[-1]).all()
    assert reports[-1].sum() == reports[-1, :20].sum() == kept
    assert (reports != keep_some(seen, test, percent, seed=1)).any()


def test_gaps_lie_in_the_test_years_between_observations():
    rng = np.random.default_rng(1)
    seen = rng.random((2000, 40)) < 0.9
    seen[:, 5] = False
    test = np.arange(2000) >= 700
    gap = draw_gaps(seen, test, 30, seed=3)
    assert not gap[~test].any()
    assert not gap[:, 5].any()
    assert 0.15 < gap[test].mean() < 0.3
    runs = np.diff(np.pad(gap, ((1, 1), (0, 0))).astype(int), axis=0)
    starts, stops = (np.argwhere(sign == runs.T) for sign in (1, -1))
    assert ((stops - starts)[:, 1] == 30).all()


def test_a_gap_needs_observations():
    seen = np.zeros((2000, 2), np.bool_)
    seen[::2, 0] = True  # 90 days of 180, 15 of 30
    seen[::4, 1] = True  # 45 days of 180
    test = np.ones(2000, np.bool_)
    assert draw_gaps(seen, test, 180, seed=0).any(axis=0).tolist() == [True, False]
    assert not draw_gaps(seen, test, 30, seed=0).any()


def test_simple_rules_by_hand():
    """Two sensors 1 and 3 km from a reach, along a river of reaches of 1 km."""
    length = np.full(6, 1000.0)
    line = River(np.array([1, 2, 3, 4, 5, -1]), length, np.arange(1.0, 7.0), np.arange(6), None)
    values = np.full((4, 2), np.nan, np.float32)
    values[1], values[2] = [2.0, -1.0], [4.0, np.nan]
    errors = Errors(values, np.array([0, 4]))
    found = same_day(errors, line, np.array([1, 1, 1]), np.array([0, 1, 2]))
    np.testing.assert_allclose(found["distance"], [np.inf, 1000, 1000])
    np.testing.assert_allclose(found["nearest"], [0, 2, 4])
    np.testing.assert_allclose(found["inverse-distance"], [0, (2 / 1 - 1 / 9) / (1 + 1 / 9), 4])
    # One pair of successive days in the years of training: damping 4 / 2 = 2.
    learned = np.array([True, True, True, False])
    late = damped_persistence(errors, line, np.array([0, 4, 2]), np.full(3, 3), np.full(3, 2), learned)
    np.testing.assert_allclose(late, [4 * 2, -1 * 4, 0])
