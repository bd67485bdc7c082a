"""The length of a kernel from labels: found again where it is known, and from training labels only."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize

import xmsgl
from xmsgl import neighbours_length, schema
from xmsgl.errors import InvalidArgumentError, InvalidDatasetError
from xmsgl.fit import train
from xmsgl.models.model import load_model
from xmsgl.neighbours_length import fit_length, fitted_kernel
from xmsgl.neighbours_regression import Rows
from xmsgl.network.distance import river_distance
from xmsgl.network.kernels import Exponential
from xmsgl.network.topology import link

LABEL = "water_temperature_coarse"
YEAR = slice("2002-10-01", None)
SMALL = {
    "features": ["air_temperature", "slope"],
    "hidden": 4,
    "window": 120,
    "warmup": 5,
    "epochs": 1,
    "device": "cpu",
    "progress": False,
}


@pytest.fixture(scope="module")
def basin():
    """Sixty segments of some 5 km, up to 100 km apart."""
    ds = xmsgl.datasets.simulated(n_coarse=60, reaches_per_segment=1, years=2, label_fraction=0.02)
    return ds.assign(length_coarse=ds["length_coarse"] * 4)


def distances(ds):
    ids = schema.id_values(ds.indexes["coarse"].to_numpy())
    below = link(ids, schema.id_values(ds["downstream_coarse"].values), what="segment")
    return river_distance(below, ds["length_coarse"].values, limit=np.inf).toarray()


def with_labels(ds, length, seed=0, *, share=0.5, common=1.0):
    """Labels that are air temperature, a field that fades over `length`, and what the whole basin shares.

    A day is like the one before; four segments in five have a thermometer, for half of the time in a run.
    """
    rng = np.random.default_rng(seed)
    n_days, n = ds.sizes["time"], ds.sizes["coarse"]
    root = np.linalg.cholesky(np.exp(-distances(ds) / length) + 1e-9 * np.eye(n))
    drawn = rng.normal(size=(n_days, n)) @ root.T
    for day in range(1, n_days):
        drawn[day] = 0.9 * drawn[day - 1] + np.sqrt(1 - 0.9**2) * drawn[day]
    air = ds["air_temperature_coarse"].transpose("time", "coarse").values
    water = 14 + 0.4 * (air - air.mean()) + drawn + common * rng.normal(size=(n_days, 1))
    seen = np.zeros((n_days, n), bool)
    for k in np.flatnonzero(rng.random(n) < 0.8):
        first = rng.integers(0, n_days - int(n_days * share) + 1)
        seen[first : first + int(n_days * share), k] = True
    labels = np.where(seen, water.clip(-4, 44), np.nan).astype("float32")
    return ds.assign({LABEL: (("time", "coarse"), labels, ds[LABEL].attrs)})


@pytest.fixture(scope="module")
def labelled(basin):
    return with_labels(basin, 10_000.0)


# ----------------------------------------------------------------- truth


@pytest.mark.parametrize("common", [0.0, 1.0], ids=["nothing-shared", "shared"])
@pytest.mark.parametrize("length", [4_000.0, 10_000.0, 20_000.0])
def test_the_length_of_simulated_labels_is_found_again(basin, length, common):
    """Within 40 % each, and within 20 % on average of three rivers."""
    found = np.array([fit_length(with_labels(basin, length, seed, common=common)) for seed in (0, 1, 2)])
    np.testing.assert_array_less(np.abs(np.log(found / length)), np.log(1.4))
    assert abs(np.log(found / length).mean()) < np.log(1.2)


def test_what_lasts_at_a_segment_and_the_order_of_the_file_play_no_part(labelled):
    length = fit_length(labelled)
    rng = np.random.default_rng(3)
    assert fit_length(labelled.isel(coarse=rng.permutation(60))) == length
    lasting = labelled.assign({LABEL: labelled[LABEL] + rng.uniform(-2, 2, 60).astype("float32")})
    assert fit_length(lasting) == pytest.approx(length, rel=0.15)


def test_pairs_against_a_plain_loop(labelled):
    residuals, places = neighbours_length._residuals(labelled, None)
    pairs = neighbours_length._pairs(labelled, residuals, places)
    apart, expected = distances(labelled), []
    for i in range(places.size):
        for j in range(i + 1, places.size):
            both = np.isfinite(residuals[:, i]) & np.isfinite(residuals[:, j])
            if both.sum() >= 60:
                rho = np.corrcoef(residuals[both, i], residuals[both, j])[0, 1]
                expected.append((apart[places[i], places[j]], rho, both.sum() / (both.sum() + 365)))
    assert 100 < len(expected) < places.size * (places.size - 1) / 2
    found = np.array(sorted(zip(*pairs, strict=True)))
    np.testing.assert_allclose(found, np.array(sorted(expected)), rtol=1e-8)


def test_residuals_are_what_a_ridge_regression_leaves(labelled):
    residuals, places = neighbours_length._residuals(labelled, None)
    rows = Rows.of(labelled, places)
    seen = np.isfinite(residuals)
    x = np.concatenate([rows(k)[seen[:, k]] for k in range(places.size)])
    y = np.concatenate([labelled[LABEL].values[seen[:, k], place] for k, place in enumerate(places)])
    moves = x.std(axis=0) > 1e-6 * (1 + np.abs(x.mean(axis=0)))
    ridge = rows.ridge(len(y))[moves]
    x = (x - x.mean(axis=0))[:, moves] / x.std(axis=0)[moves]
    wide = np.concatenate([x, np.diag(np.sqrt(ridge))])  # a ridge is as many labels of 0
    slopes = np.linalg.lstsq(wide, np.concatenate([y - y.mean(), np.zeros(len(ridge))]))[0]
    left = np.concatenate([residuals[seen[:, k], k] for k in range(places.size)])
    np.testing.assert_allclose(left, y - y.mean() - x @ slopes, atol=1e-4)


@pytest.mark.parametrize("case", ["inside", "no-fade", "no-nugget", "floor"])
def test_coefficients_against_a_general_solver(case):
    rng = np.random.default_rng(7)
    distance, weight = rng.uniform(1e3, 6e4, 80), rng.uniform(0.1, 0.7, 80)
    near, common = {
        "inside": (0.6, 0.2),
        "no-fade": (-0.4, 0.5),
        "no-nugget": (1.1, 0.1),
        "floor": (0.9, -0.8),
    }[case]
    rho = near * np.exp(-distance / 8e3) + common + rng.normal(0, 0.05, 80)
    pairs = neighbours_length._Pairs(distance, rho, weight)
    for length in (2e3, 8e3, 5e4):
        fade = np.exp(-distance / length)

        def left(c, fade=fade):
            return (weight * (rho - c[0] * fade - c[1]) ** 2).sum()

        bound = {"type": "ineq", "fun": lambda c: 1 - c[0] - c[1]}
        solved = minimize(
            left, [0.3, 0.1], bounds=[(0, None), (-0.5, 1)], constraints=[bound], options={"ftol": 1e-14}
        )
        fit = pairs.fit(length)
        assert fit.left == pytest.approx(left((fit.near, fit.common)))
        assert fit.left == pytest.approx(solved.fun, rel=1e-6)
        np.testing.assert_allclose((fit.near, fit.common), solved.x, atol=2e-3)
        assert -0.5 <= fit.common <= 1 - fit.near + 1e-12 <= 1 + 1e-12


# -------------------------------------------------------------- training


def test_the_model_carries_the_number_and_needs_no_labels(labelled, tmp_path):
    model = train(labelled, "remap", kernel="fitted", validation=YEAR, **SMALL)
    length = fit_length(labelled, labelled.time.values < np.datetime64("2002-10-01"))
    assert model.spec.graph["kernel"] == {"name": "exponential", "scale_m": length}
    assert length != fit_length(labelled)
    given = {"name": "exponential", "scale_m": length}
    told = train(labelled, "remap", kernel=given, validation=YEAR, **SMALL)
    assert all((model.weights[name] == told.weights[name]).all() for name in told.weights)
    back = load_model(model.save(tmp_path / "m.safetensors"))
    assert back.spec.graph == model.spec.graph
    weeks = labelled.isel(time=slice(0, 30))
    bare = weeks.drop_vars([LABEL, "water_temperature_fine"])
    np.testing.assert_array_equal(bare.msgl.downscale(back), weeks.msgl.downscale(model))


def test_held_out_labels_and_features_made_of_them_do_not_matter(labelled):
    """Labels of validation days may be anything: neither they nor the anomalies they make count."""
    held = (labelled.time >= np.datetime64("2002-10-01")) & labelled[LABEL].notnull()
    noise = np.random.default_rng(0).uniform(0, 30, labelled[LABEL].shape).astype("float32")
    other = labelled.assign({LABEL: labelled[LABEL].where(~held, noise).assign_attrs(labelled[LABEL].attrs)})
    lengths = {
        train(ds, "remap", kernel="fitted", validation=YEAR, neighbours=near, **SMALL).spec.graph["kernel"][
            "scale_m"
        ]
        for ds, near in ((labelled, ()), (other, ()), (other, (10_000,)))
    }
    masked = labelled.assign({LABEL: labelled[LABEL].where(~held)})
    assert lengths == {fit_length(masked)}
    moved = labelled.assign({LABEL: labelled[LABEL].where(held, noise)})
    assert fitted_or_none(moved, ~held.any("coarse").values) not in lengths


def fitted_or_none(ds, days):
    try:
        return fit_length(ds, days)
    except InvalidArgumentError:
        return None


def test_a_graph_takes_it_too_and_other_kernels_stay(labelled):
    graph = labelled.msgl.graph("coarse", kernel="fitted")
    assert graph.settings()["kernel"] == {"name": "exponential", "scale_m": fit_length(labelled)}
    for kernel in (None, "gaussian", Exponential(3.0), {"name": "inverse"}):
        assert fitted_kernel(labelled, kernel) is kernel
    with pytest.raises(InvalidDatasetError):
        labelled.drop_vars("air_temperature_coarse").drop_vars("length_coarse").msgl.graph(kernel="fitted")


# ---------------------------------------------------------------- faults


def few(ds, segments=None, days=None):
    seen = ds[LABEL].notnull()
    if segments is not None:
        places = np.flatnonzero(seen.any("time").values)[:segments]
        seen = seen & np.isin(np.arange(ds.sizes["coarse"]), places)
    if days is not None:
        seen = seen & (seen.cumsum("time") <= days)
    return ds.assign({LABEL: ds[LABEL].where(seen).assign_attrs(ds[LABEL].attrs)})


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            lambda ds: few(ds, segments=4),
            r"4 segments have labels, and [0-6] pairs days enough; give a length",
        ),
        (lambda ds: few(ds, days=40), r"4\d segments have labels, and 0 pairs"),
        (lambda ds: ds.drop_vars(LABEL), "0 segments have labels, and 0 pairs"),
        (lambda ds: with_labels(ds, 50.0, common=0.0), r"segments, [\d.]+ to 1\d\d km apart, is gone from"),
    ],
    ids=["few-segments", "few-days", "none", "noise"],
)
def test_labels_that_tell_no_length(labelled, spoil, message):
    with pytest.raises(InvalidArgumentError, match=message):
        fit_length(spoil(labelled))


def test_what_all_segments_share_does_not_fade(basin):
    with pytest.raises(InvalidArgumentError, match="does not fade with distance"):
        fit_length(with_labels(basin, 1e8))
