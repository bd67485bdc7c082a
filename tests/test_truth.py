"""Claims about numbers, held against other libraries and against what must not change them."""

from __future__ import annotations

import cf_units
import numpy as np
import pyflwdir
import pytest
import torch
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from scores import continuous

from tests.small import SMALL, TWO_FEATURES
from xmsgl.evaluate import score
from xmsgl.network.topology import strahler, topological_order
from xmsgl.prediction.downscale import downscale
from xmsgl.schema.units import _CONVERSIONS, conversion
from xmsgl.training.losses import masked_rmse
from xmsgl.training.train import train

pytestmark = pytest.mark.filterwarnings("ignore::xmsgl.errors.ExtrapolationWarning")

METHODS = [
    ("msgl", {}),
    ("remap", {}),
    ("dynamic-msgl", {}),
    ("msgl", {"backbone": "stgcn"}),
    ("msgl", {"backbone": "gat-lstm"}),
]


# ---------------------------------------------------------- what must not change a prediction


@pytest.fixture(scope="module")
def models(river_once):
    return {
        str(case): train(river_once, case[0], validation=None, **{**TWO_FEATURES, **case[1]})
        for case in METHODS
    }


@pytest.mark.parametrize("case", METHODS, ids=str)
def test_the_order_of_the_nodes_only_orders_the_result(models, case, river):
    rng = np.random.default_rng(5)
    mixed = river.isel({scale: rng.permutation(river.sizes[scale]) for scale in ("coarse", "fine")})
    expected = downscale(river, models[str(case)])
    found = downscale(mixed, models[str(case)])
    np.testing.assert_array_equal(found.fine, mixed.fine)
    np.testing.assert_allclose(found.sel(fine=river.fine), expected, atol=1e-4)


@pytest.mark.parametrize("case", METHODS, ids=str)
def test_a_basin_that_never_meets_it_changes_nothing(models, case, river, two_rivers):
    """Selecting a whole basin before and after the prediction is the same."""
    expected = downscale(river, models[str(case)])
    together = downscale(two_rivers, models[str(case)])
    np.testing.assert_allclose(together.sel(fine=river.fine), expected, atol=1e-4)
    other = two_rivers.sel(coarse=two_rivers.coarse > 1000, fine=two_rivers.fine > 1000)
    alone = downscale(other, models[str(case)])
    np.testing.assert_allclose(together.sel(fine=other.fine), alone, atol=1e-4)


# ---------------------------------------------------------------------------- training


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**31), st.floats(0.05, 0.95))
def test_missing_labels_never_reach_a_gradient(seed, share):
    """The gradient is that of the observed pairs alone, by a plain selection in double precision."""
    rng = np.random.default_rng(seed)
    x, y = (torch.from_numpy(rng.normal(size=(7, 5))) for _ in range(2))
    missing = torch.from_numpy(rng.random((7, 5)) < share)
    one = x.clone().requires_grad_()
    loss = masked_rmse(one, torch.where(missing, torch.nan, y))
    if loss is None:
        assert missing.all()
        return
    loss.backward()
    two = x.clone().requires_grad_()
    plain = ((two - y)[~missing] ** 2).mean().sqrt()
    plain.backward()
    torch.testing.assert_close(loss, plain)
    torch.testing.assert_close(one.grad, two.grad)
    assert (one.grad[missing] == 0).all()


def test_unobserved_reaches_and_days_do_not_change_a_training(river):
    """Weather of a day without any label in reach of it, beyond the last window, is not read."""
    settings_ = {**SMALL, "validation": None}
    labels = ["water_temperature_coarse", "water_temperature_fine"]
    last = river.isel(time=slice(0, 300))
    blank = river.isel(time=slice(300, 360)).copy(deep=True)
    for name in labels:
        blank[name] = blank[name] * np.nan
    longer = xr.concat([last, blank], "time", data_vars="minimal")
    # The same scaling: that of a model which both continue.
    first = train(last, "msgl", **settings_)
    one, two = (train(ds, **settings_, start=first) for ds in (last, longer))
    assert all(torch.equal(one.weights[name], two.weights[name]) for name in one.weights)


# ------------------------------------------------------------------------ other libraries


def pairs(seed):
    rng = np.random.default_rng(seed)
    days = np.arange("2001-01-01", "2002-01-01", dtype="datetime64[D]").astype("datetime64[ns]")
    coords = {"time": days, "fine": [3, 1, 2]}
    truth = xr.DataArray(rng.gamma(4, 3, (days.size, 3)), coords, ("time", "fine"), attrs={"units": "degC"})
    observed = truth.where(rng.random(truth.shape) < 0.3)
    return truth + rng.normal(0.3, 1.5, truth.shape), observed


@pytest.mark.parametrize("seed", range(3))
def test_scores_are_those_of_the_library_scores(seed):
    prediction, observed = pairs(seed)
    found = score(prediction, observed)
    flat = [
        each.stack(pair=("time", "fine")).where(observed.stack(pair=("time", "fine")).notnull(), drop=True)
        for each in (prediction, observed)
    ]
    expected = {
        "rmse": continuous.rmse(*flat),
        "mae": continuous.mae(*flat),
        "bias": continuous.additive_bias(*flat),
        "nse": continuous.nse(*flat),
        "kge": continuous.kge(*flat),
        "kge_r": continuous.correlation.pearsonr(*flat),
    }
    for name, value in expected.items():
        assert float(found[name]) == pytest.approx(float(value), rel=1e-9), name


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_orders_are_those_of_pyflwdir(data):
    n = data.draw(st.integers(2, 60))
    below = [-1, *(data.draw(st.integers(-1, k - 1)) for k in range(1, n))]
    order = data.draw(st.permutations(range(n)))
    down = np.full(n, -1)
    for k, lower in enumerate(below):
        down[order[k]] = order[lower] if lower >= 0 else -1
    theirs = pyflwdir.Flwdir(np.where(down < 0, np.arange(n), down))
    np.testing.assert_array_equal(strahler(down), theirs.stream_order(type="strahler"))
    ours = topological_order(down)
    rank = np.empty(n, int)
    rank[ours] = np.arange(n)
    inner = np.flatnonzero(down >= 0)
    assert (rank[inner] < rank[down[inner]]).all()  # upstream first
    assert sorted(theirs.idxs_seq) == sorted(ours)


def in_udunits(units, expected):
    """Say in units of UDUNITS that sums are of a day, and that a kilogram of water is 1 mm deep."""
    sums = {"mm d-1": ("mm", "cm", "m", "in", "kg m-2"), "W m-2": ("J m-2", "kJ m-2", "MJ m-2")}
    daily = f"{units} d-1" if units in sums.get(expected, ()) else units
    water = daily.replace("kg", "mm m2") if expected == "mm d-1" else daily
    return water.replace("Wh", "W h").replace("langley", "41840 J m-2")


@pytest.mark.parametrize(("found", "expected"), sorted(_CONVERSIONS.keys() - {("degree", "1")}))
def test_conversions_are_those_of_udunits(found, expected):
    values = np.array([0.0, 1.0, 17.5])
    theirs = cf_units.Unit(in_udunits(found, expected)).convert(values, cf_units.Unit(expected))
    known = conversion(found, expected)
    assert known is not None
    np.testing.assert_allclose(known.apply(values), theirs, rtol=1e-5, atol=1e-9)  # acres of two kinds


def test_a_slope_in_degrees_is_a_tangent():
    known = conversion("degree", "1")
    assert known is not None
    assert known.apply(45.0) == pytest.approx(1.0)
