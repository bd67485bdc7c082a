"""Forecasts of many issues are those of the issues one by one, although the model predicts once."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from tests.small import QUICK
from xmsgl.errors import UncalibratedModelError
from xmsgl.reconstruct import reconstruct, run
from xmsgl.reconstruct.issues import forecasts
from xmsgl.training.train import train

FINE, COARSE = "water_temperature_fine", "water_temperature_coarse"
LEADS = 7


@pytest.fixture(scope="module")
def trees(river_once, small_fits):
    return train(river_once, "trees", validation="folds:2", iterations=8, progress=False)


@pytest.fixture(scope="module")
def network(river_once, small_fits):
    return train(river_once, "msgl", validation="folds:2", **QUICK)


@pytest.fixture(scope="module")
def interpolation(river_once, small_fits):
    """A model whose prediction of a day depends on later days of the window."""
    return train(river_once, "msgl", validation="folds:2", tasks=["coarse", "interpolation"], **QUICK)


@pytest.fixture
def issues(river):
    """The first ones depend on the begin of the record, and predict alone; the last has a short week."""
    days = pd.DatetimeIndex(river.indexes["time"])
    return days[[4, 150, 372, 600, 607, len(days) - 4]]


def one_by_one(ds, model, observed, issues):
    """By a loop over the issues, each with no more than it may know."""
    weeks = []
    for issue in issues:
        last = issue + pd.Timedelta(LEADS, "D")
        drivers, seen = ds.sel(time=slice(None, last)), observed.sel(time=slice(None, issue))
        week = reconstruct(drivers, model, observed=seen, mode="forecast", device="cpu")
        weeks.append(week.swap_dims(lead="time").drop_vars(["lead", "issue"]))
    return xr.concat(weeks, "time")


@pytest.mark.parametrize(
    ("name", "times"),
    [("trees", 4), ("network", 3), ("interpolation", 6)],
)
def test_forecasts_are_those_of_the_issues_one_by_one(river, issues, request, monkeypatch, name, times):
    model, asked = request.getfixturevalue(name), []
    observed = river[[FINE, COARSE]]
    expected = one_by_one(river, model, observed, issues)
    real = run.weighted_means
    monkeypatch.setattr(run, "weighted_means", lambda *a, **k: asked.append(1) or real(*a, **k))
    found = forecasts(river, model, observed, issues, LEADS, "cpu")
    assert len(asked) == times
    assert found.dims == ("time", "fine")
    assert found.sizes["time"] == 5 * LEADS + 3
    pd.testing.assert_index_equal(found.indexes["time"], expected.indexes["time"], check_names=False)
    np.testing.assert_array_equal(found["fine"], expected["fine"])
    np.testing.assert_allclose(found, expected.transpose("time", "fine"), atol=1e-5)
    alone = reconstruct(river, model, observed=observed.where(False), device="cpu")
    assert np.abs(found - alone.sel(time=found.time)).max() > 0.1


def test_lazy_data_give_the_same(river, issues, trees):
    observed = river[[FINE, COARSE]]
    lazy = river.chunk(time=100)
    found = forecasts(lazy, trees, lazy[[FINE, COARSE]], issues, LEADS, "cpu")
    assert found.chunks is None
    np.testing.assert_array_equal(found, forecasts(river, trees, observed, issues, LEADS, "cpu"))


def test_a_model_without_a_covariance_is_refused(river, river_once, issues):
    plain = train(river_once, "trees", validation=None, iterations=3, progress=False)
    with pytest.raises(UncalibratedModelError, match="validation='folds'"):
        forecasts(river, plain, river[[FINE, COARSE]], issues, LEADS, "cpu")
