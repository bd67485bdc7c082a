from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from sklearn.linear_model import Ridge

from xmsgl.errors import InvalidArgumentError, InvalidDatasetError
from xmsgl.evaluate.references.pooled import air_temperature_regression, climatology
from xmsgl.evaluate.splits import mask_labels

DAYS = pd.date_range("2001-03-01", periods=1200)
YEAR = 2 * np.pi * DAYS.day_of_year.to_numpy() / 365.25
METHODS = pytest.mark.parametrize("method", [climatology, air_temperature_regression])


def trailing(values, window):
    """Mean over the last days, by a loop."""
    return np.array([values[max(0, k - window + 1) : k + 1].mean(axis=0) for k in range(len(values))])


@pytest.fixture
def basin():
    """Four segments, nine reaches, three years of weather; no labels yet."""
    rng = np.random.default_rng(5)
    air = 14 - 6 * np.cos(YEAR)[:, None] + np.cumsum(rng.normal(0, 0.2, (1200, 4)), axis=0) / 4
    ds = xr.Dataset(
        {
            "coarse_segment": ("fine", [4, 4, 1, 1, 1, 3, 3, 2, 2]),
            "air_temperature_coarse": (("time", "coarse"), air, {"units": "degC"}),
            "elevation_coarse": ("coarse", [10.0, 200.0, 300.0, 50.0], {"units": "m"}),
            "drainage_area_coarse": ("coarse", [4000.0, 12.0, 9.0, 20.0], {"units": "km2"}),
        },
        {"time": DAYS, "coarse": [1, 2, 3, 4], "fine": np.arange(9) + 50},
    )
    return ds.assign(water_temperature_fine=(("time", "fine"), np.full((1200, 9), np.nan)))


def fine_air(ds):
    return ds.air_temperature_coarse.sel(coarse=ds.coarse_segment).values


def test_a_lagged_linear_function_of_air_temperature_is_recovered(basin):
    air = basin.air_temperature_coarse.values
    relation = lambda x: 3 + 0.2 * trailing(x, 1) + 0.3 * trailing(x, 7) + 0.25 * trailing(x, 30)  # noqa: E731
    truth = relation(fine_air(basin))
    labels = np.where(np.random.default_rng(0).random(air.shape) < 0.3, relation(air), np.nan)
    result = air_temperature_regression(basin.assign(water_temperature_coarse=(("time", "coarse"), labels)))
    assert truth.min() > 0
    np.testing.assert_allclose(result, truth, atol=2e-3)


def test_each_reach_has_its_own_relation_where_labels_allow(basin):
    slopes = np.linspace(0.3, 0.9, 9)
    truth = 4 + slopes * trailing(fine_air(basin), 7) + np.sin(YEAR)[:, None] * slopes
    basin["water_temperature_fine"] = (("time", "fine"), truth)
    np.testing.assert_allclose(air_temperature_regression(basin, strength=1e-6), truth, atol=5e-3)
    # With pooling it is closer than the basin's relation, the limit of a very large strength.
    near, basin_wide = (
        np.abs(air_temperature_regression(basin, strength=strength) - truth).mean() for strength in (30, 1e12)
    )
    assert near < 0.2 * basin_wide


def test_climatology_is_the_least_squares_cycle_of_each_reach(basin):
    rng = np.random.default_rng(1)
    labels = (
        12 - rng.uniform(3, 9, 9) * np.cos(YEAR[:, None] - rng.uniform(0, 1, 9)) + rng.normal(0, 1, (1200, 9))
    )
    labels[rng.random(labels.shape) < 0.5] = np.nan
    basin["water_temperature_fine"] = (("time", "fine"), labels)
    result = climatology(basin, strength=1e-6)
    waves = np.column_stack([np.ones(1200), *(f(k * YEAR) for k in (1, 2) for f in (np.cos, np.sin))])
    for reach in range(9):
        seen = np.isfinite(labels[:, reach])
        weights, *_ = np.linalg.lstsq(waves[seen], labels[seen, reach], rcond=None)
        np.testing.assert_allclose(result[:, reach], np.maximum(waves @ weights, 0), atol=1e-3)


def test_levels_are_nested_ridge_fits(basin):
    """Basin, segment, reach: each the ridge fit to what the level above leaves, by scikit-learn."""
    rng = np.random.default_rng(2)
    coarse = 10 - 8 * np.cos(YEAR)[:, None] + rng.normal(0, 2, (1200, 4)) + [0, 2, -1, 3]
    fine = 10 - 8 * np.cos(YEAR)[:, None] + rng.normal(0, 2, (1200, 9)) + rng.normal(0, 1, 9)
    coarse[rng.random(coarse.shape) < 0.9] = np.nan
    fine[rng.random(fine.shape) < 0.95] = np.nan
    coarse[:, 2], fine[:, 0], fine[:, 5] = np.nan, np.nan, np.nan
    basin["water_temperature_coarse"] = (("time", "coarse"), coarse)
    basin["water_temperature_fine"] = (("time", "fine"), fine)
    waves = np.column_stack([np.ones(1200), *(f(k * YEAR) for k in (1, 2) for f in (np.cos, np.sin))])

    def fit(values, above, alpha):
        seen = np.isfinite(values)
        if not seen.any():
            return above
        ridge = Ridge(alpha, fit_intercept=False).fit(waves[seen], values[seen] - waves[seen] @ above)
        return above + ridge.coef_

    row, column = np.nonzero(np.isfinite(coarse))
    basin_wide = Ridge(1e-8, fit_intercept=False).fit(waves[row], coarse[row, column]).coef_
    result = climatology(basin, strength=40.0)
    for place, segment in enumerate(basin.coarse_segment.values):
        weights = fit(fine[:, place], fit(coarse[:, segment - 1], basin_wide, 40), 40)
        np.testing.assert_allclose(result[:, place], np.maximum(waves @ weights, 0), atol=1e-3)


def planted(basin, seed):
    """The basin with noisy labels at both scales."""
    rng = np.random.default_rng(seed)
    values = {
        scale: np.where(
            rng.random((1200, basin.sizes[scale])) < 0.4,
            rng.normal(12, 4, (1200, basin.sizes[scale])),
            np.nan,
        )
        for scale in ("coarse", "fine")
    }
    return basin.assign({f"water_temperature_{scale}": (("time", scale), v) for scale, v in values.items()})


@METHODS
def test_masked_labels_are_not_used(basin, method):
    """Change every hidden label: not one bit of the prediction may change."""
    ds = planted(basin, 3)
    hidden_days, hidden_segments = DAYS[300:700], [1, 2]
    first = mask_labels(ds, days=hidden_days, segments=hidden_segments)
    on_hidden = ds.coarse_segment.isin(hidden_segments)
    changed = ds.copy(deep=True)
    for name, places in (
        ("water_temperature_coarse", ds.coarse.isin(hidden_segments)),
        ("water_temperature_fine", on_hidden),
    ):
        hide = places | ds.time.isin(hidden_days)
        changed[name] = ds[name].where(~hide, 40.0)
    second = mask_labels(changed, days=hidden_days, segments=hidden_segments)
    xr.testing.assert_identical(method(first), method(second))
    # and labels that are visible do
    assert not np.array_equal(method(ds), method(changed))


@METHODS
def test_simulated_and_true_temperatures_are_not_used(basin, method):
    ds = planted(basin, 4)
    extra = {
        "true_temperature_fine": ds.water_temperature_fine.fillna(3),
        "true_temperature_coarse": ds.water_temperature_coarse.fillna(3),
        "simulated_temperature_coarse": ds.water_temperature_coarse.fillna(3),
    }
    xr.testing.assert_identical(method(ds.assign(extra)), method(ds))


@METHODS
def test_order_and_chunks_do_not_matter(basin, method):
    ds = planted(basin, 5)
    result = method(ds)
    other = method(ds.isel(coarse=[2, 0, 3, 1], fine=np.arange(9)[::-1]).chunk(time=250, fine=2))
    np.testing.assert_allclose(other.isel(fine=slice(None, None, -1)), result, atol=1e-4)
    assert result.dims == ("time", "fine")
    assert result.dtype == np.float32
    assert result.attrs["units"] == "degC"
    assert np.isfinite(result).all()
    assert float(result.min()) >= 0


def test_reaches_use_their_own_air_temperature_where_they_have_it(basin):
    own = fine_air(basin) + np.linspace(-4, 4, 9)
    basin["air_temperature_fine"] = (("time", "fine"), own)
    basin["water_temperature_coarse"] = 2 + 0.5 * basin.air_temperature_coarse
    np.testing.assert_allclose(air_temperature_regression(basin), 2 + 0.5 * own, atol=2e-3)


def test_half_precision_does_not_overflow(basin):
    ds = planted(basin, 3)
    half = ds.assign(air_temperature_coarse=ds["air_temperature_coarse"].astype("float16"))
    single = half.assign(air_temperature_coarse=half["air_temperature_coarse"].astype("float32"))
    xr.testing.assert_identical(air_temperature_regression(half), air_temperature_regression(single))


def test_the_mean_of_the_extremes_replaces_air_temperature(basin):
    basin["water_temperature_coarse"] = 2 + 0.5 * basin.air_temperature_coarse
    extremes = basin.assign(
        air_temperature_min_coarse=basin.air_temperature_coarse - 3,
        air_temperature_max_coarse=basin.air_temperature_coarse + 3,
    ).drop_vars("air_temperature_coarse")
    np.testing.assert_allclose(
        air_temperature_regression(extremes), air_temperature_regression(basin), atol=1e-4
    )


def test_static_attributes_distinguish_places_without_labels():
    """Twenty segments, ten of them gauged; water is colder at higher elevation."""
    rng = np.random.default_rng(6)
    height = rng.uniform(0, 500, 20)
    air = 15 - 5 * np.cos(YEAR)[:, None] + rng.normal(0, 2, (1200, 20))
    water = 12 + 0.4 * air - 0.01 * height
    ds = xr.Dataset(
        {
            "coarse_segment": ("fine", np.arange(20)),
            "air_temperature_coarse": (("time", "coarse"), air),
            "elevation_coarse": ("coarse", height),
            "elevation_fine": ("fine", height),
            "water_temperature_coarse": (("time", "coarse"), np.where(np.arange(20) < 10, water, np.nan)),
        },
        {"time": DAYS, "coarse": np.arange(20), "fine": np.arange(20)},
    )
    unseen = air_temperature_regression(ds).values[:, 10:] - water[:, 10:]
    blind = (
        air_temperature_regression(ds.drop_vars(["elevation_coarse", "elevation_fine"])).values[:, 10:]
        - water[:, 10:]
    )
    assert np.sqrt((unseen**2).mean()) < 0.35 * np.sqrt((blind**2).mean())


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        pytest.param(
            lambda ds: ds.drop_vars("water_temperature_fine"),
            InvalidDatasetError,
            "no label left",
            id="no-label",
        ),
        pytest.param(
            lambda ds: ds.drop_vars("air_temperature_coarse"),
            InvalidDatasetError,
            "no driver 'air_temperature'",
            id="no-air",
        ),
        pytest.param(
            lambda ds: ds.assign(air_temperature_coarse=ds.air_temperature_coarse.where(ds.time != DAYS[3])),
            InvalidDatasetError,
            "4 values are NaN or infinite.*2001-03-04",
            id="nan-in-air",
        ),
        pytest.param(
            lambda ds: ds.drop_sel(time=DAYS[5]), InvalidDatasetError, "missing after 2001-03-05", id="gap"
        ),
        pytest.param(lambda ds: ds[{"time": [1, 0]}], InvalidDatasetError, "time is not sorted", id="order"),
        pytest.param(
            lambda ds: ds.drop_vars("coarse_segment"),
            InvalidDatasetError,
            "coarse_segment",
            id="no-crosswalk",
        ),
    ],
)
def test_faults_are_named(basin, change, error, message):
    with pytest.raises(error, match=message):
        air_temperature_regression(change(basin))


def test_a_negative_strength_is_refused(basin):
    with pytest.raises(InvalidArgumentError, match="strength is -1"):
        climatology(planted(basin, 0), strength=-1)


@pytest.mark.parametrize(
    "name", ["water_temperature_fine", "water_temperature_coarse", "air_temperature_coarse"]
)
def test_other_units_are_refused(river, name):
    kelvin = river.assign({name: (river[name] + 273.15).assign_attrs(units="K")})
    with pytest.raises(InvalidDatasetError, match=f"{name} is in K, not in degC"):
        air_temperature_regression(kelvin)


def test_impossible_labels_are_refused(river):
    bad = river.assign(water_temperature_fine=river["water_temperature_fine"].fillna(-9999.0))
    with pytest.raises(InvalidDatasetError, match="outside -5 to 45 degC"):
        climatology(bad)
