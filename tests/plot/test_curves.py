from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from xmsgl.errors import InvalidArgumentError
from xmsgl.plot import series


@pytest.fixture
def case():
    """Two reaches, 400 days; labels on the first 100 days, held-out observations on days 200 to 299."""
    days = pd.date_range("2001-01-01", periods=400)
    coords = {"time": days, "fine": [7, 9]}
    base = xr.DataArray(
        np.arange(800.0).reshape(400, 2) / 100, coords, ("time", "fine"), attrs={"units": "degC"}
    )
    number = xr.DataArray(np.arange(400), {"time": days}, ("time",))
    labels = (base + 1).where(number < 100)
    observed = labels.fillna((base - 2).where((number >= 200) & (number < 300)))
    return base, xr.Dataset({"water_temperature_fine": labels}), observed


def drawn(ax):
    return {line.get_label(): line for line in ax.lines}


def test_the_line_is_the_prediction_and_the_dots_the_labels(case):
    prediction, ds, _ = case
    lines = drawn(series(prediction, ds, 9))
    np.testing.assert_array_equal(lines["predicted"].get_ydata(), prediction.sel(fine=9))
    dots = lines["observed"].get_ydata()
    np.testing.assert_array_equal(dots[np.isfinite(dots)], prediction.sel(fine=9).values[:100] + 1)


def test_held_out_dots_are_distinct_and_alone_are_scored(case):
    prediction, ds, observed = case
    ax = series(prediction, ds, 9, observed=observed)
    lines = drawn(ax)
    assert set(lines) == {"predicted", "observed, label", "observed, held out"}
    assert np.isfinite(lines["observed, label"].get_ydata()).sum() == 100
    assert np.isfinite(lines["observed, held out"].get_ydata()).sum() == 100
    assert lines["observed, label"].get_color() != lines["observed, held out"].get_color()
    assert ax.get_title(loc="left") == "reach 9: RMSE 2.00 °C, n = 100"


def test_axes_carry_words_and_units(case):
    ax = series(*case[:2], 7)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("date", "water temperature [°C]")
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["predicted", "observed"]


def test_a_period_is_cut_out_and_only_its_reach_computed(case):
    prediction, ds, _ = case
    ax = series(prediction.chunk(fine=1), ds, 7, period=slice("2001-04-01", "2001-04-30"))
    assert len(drawn(ax)["predicted"].get_ydata()) == 30
    assert ax.get_title(loc="left") == "reach 7: RMSE 1.00 °C, n = 10"


def test_a_reach_that_was_never_observed_says_so(case):
    prediction, ds, _ = case
    ax = series(prediction, ds.drop_vars("water_temperature_fine"), 7)
    assert ax.get_title(loc="left") == "reach 7, never observed in this period"
    assert set(drawn(ax)) == {"predicted"}


def test_segments_can_be_drawn_too(case):
    prediction, ds, _ = case
    ax = series(
        prediction.rename(fine="coarse"),
        ds.rename(fine="coarse", water_temperature_fine="water_temperature_coarse"),
        7,
    )
    assert ax.get_title(loc="left").startswith("segment 7: RMSE 1.00")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(lambda p: (p, 8, None), "8 is not among the ids .* 7, 9", id="reach"),
        pytest.param(lambda p: (p, 7, slice("1990", "1991")), "2001-01-01 to 2002-02-04", id="period"),
        pytest.param(lambda p: (p.sel(fine=7), 7, None), "dims", id="dims"),
    ],
)
def test_faults_are_named(case, change, message):
    prediction, reach, period = change(case[0])
    with pytest.raises(InvalidArgumentError, match=message):
        series(prediction, case[1], reach, period=period)


def quantiles(prediction, offsets):
    """Make each quantile the prediction plus its own offset."""
    levels = xr.DataArray(list(offsets.values()), {"quantile": list(offsets)}, "quantile")
    return (prediction + levels).transpose("time", "quantile", "fine").assign_attrs(units="degC")


def bands(ax):
    """Lower and upper ends of each band on the first day, by label."""
    found = {}
    for band in ax.collections:
        vertices = band.get_paths()[0].vertices
        first = vertices[vertices[:, 0] == vertices[:, 0].min(), 1]
        found[band.get_label()] = (first.min(), first.max())
    return found


def test_quantiles_become_a_line_and_bands(case):
    prediction, ds, _ = case
    drawn_from = quantiles(prediction, {0.5: 0.25, 0.95: 3, 0.25: -1, 0.05: -2, 0.75: 1, 0.1: -1.5})
    ax = series(drawn_from, ds, 7)
    start = float(prediction.sel(fine=7)[0])
    assert bands(ax) == {
        "50 % interval": pytest.approx((start - 1, start + 1)),
        "90 % interval": pytest.approx((start - 2, start + 3)),
    }
    lines = drawn(ax)
    assert set(lines) == {"predicted, median", "quantile 0.1", "observed"}
    np.testing.assert_allclose(lines["predicted, median"].get_ydata(), prediction.sel(fine=7) + 0.25)
    np.testing.assert_allclose(lines["quantile 0.1"].get_ydata(), prediction.sel(fine=7) - 1.5)
    assert ax.get_title(loc="left") == "reach 7: RMSE 0.75 °C, n = 100"


def test_an_interval_alone_has_no_rmse(case):
    prediction, ds, _ = case
    ax = series(quantiles(prediction, {0.1: -1, 0.9: 1}), ds, 7)
    assert set(drawn(ax)) == {"observed"}
    assert ax.get_title(loc="left") == "reach 7: observed on 100 days"


def test_observations_alone_can_be_drawn(case):
    _, ds, observed = case
    lines = drawn(series(None, ds, 9))
    assert set(lines) == {"observed"}
    assert len(lines["observed"].get_xdata()) == 400
    ax = series(None, ds, 9, observed=observed)
    assert set(drawn(ax)) == {"observed, label", "observed, held out"}
    assert ax.get_title(loc="left") == "reach 9: observed on 100 days"
    with pytest.raises(InvalidArgumentError, match="neither a prediction"):
        series(None, ds.drop_vars("water_temperature_fine"), 9)


@pytest.mark.parametrize("lazy", [False, True], ids=["eager", "lazy"])
def test_the_segment_of_the_reach_is_drawn_where_it_was_observed(case, lazy):
    prediction, ds, _ = case
    warm = xr.DataArray(
        np.full((400, 2), np.nan), {"time": prediction["time"], "coarse": [1, 2]}, ("time", "coarse")
    )
    warm[50:60, 1] = 21.0
    ds = ds.assign(water_temperature_coarse=warm, coarse_segment=("fine", [2, 1]))
    ds = ds.chunk() if lazy else ds
    dots = drawn(series(prediction, ds, 7, segment=True))["observed, segment 2"]
    np.testing.assert_array_equal(np.flatnonzero(np.isfinite(dots.get_ydata())), np.arange(50, 60))
    assert set(drawn(series(prediction, ds, 9, segment=True))) == {"predicted", "observed"}
    assert set(drawn(series(prediction, ds, 7))) == {"predicted", "observed"}
    assert set(drawn(series(prediction, ds.drop_vars("coarse_segment"), 7, segment=True))) == {
        "predicted",
        "observed",
    }


def test_a_day_predicted_but_missing_is_no_error(case):
    prediction, ds, _ = case
    ax = series(prediction.where(prediction["time"].dt.year > 2001), ds, 7)
    assert ax.get_title(loc="left") == "reach 7: no day both predicted and observed"


def test_flagged_days_are_shaded(case):
    prediction, ds, _ = case
    flags = ("time", (np.arange(400) < 90).astype(np.int8))
    ax = series(prediction.assign_coords(spin_up=flags), ds, 7)
    assert ax.get_legend().get_texts()[0].get_text() == "spin-up"
    (shade,) = ax.patches
    first, last = (np.datetime64(int(day), "D") for day in (shade.get_x(), shade.get_x() + shade.get_width()))
    days = prediction["time"].values.astype("datetime64[D]")
    assert (first, last) == (days[0], days[90])
    settled = series(prediction.assign_coords(spin_up=flags), ds, 7, period=slice("2001-06-01", None))
    assert not settled.patches


def test_a_forecast_is_drawn_over_its_days(case):
    prediction, ds, _ = case
    forecast = prediction.assign_coords(lead=("time", np.arange(1, prediction.sizes["time"] + 1)))
    found, wanted = series(forecast.swap_dims(time="lead"), ds, 7), series(prediction, ds, 7)
    for one, other in zip(found.lines, wanted.lines, strict=True):
        np.testing.assert_array_equal(one.get_xydata(), other.get_xydata())
    assert found.get_title(loc="left") == wanted.get_title(loc="left")


def test_an_id_with_dollars_is_drawn_as_it_is(case, tmp_path):
    prediction, ds, _ = case
    named = [each.assign_coords(fine=["a$_b$", "c$^{"]) for each in (prediction, ds)]
    for reach in ("a$_b$", "c$^{"):
        ax = series(*named, reach)
        ax.figure.savefig(tmp_path / "curve.png")  # where mathematics is parsed
        assert ax.get_title(loc="left").startswith(f"reach {reach}: RMSE")
