from __future__ import annotations

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from matplotlib.dates import date2num, num2date

from xmsgl.errors import InvalidArgumentError
from xmsgl.plot import overview


@pytest.fixture
def case():
    """Three reaches in a row, four years; reach 2 has most labels, reach 3 most held-out observations."""
    days = pd.date_range("2001-01-01", periods=1461)
    season = 12 - 9 * np.cos(2 * np.pi * days.day_of_year.to_numpy() / 365.25)
    season[days == "2003-08-03"] = 30
    coords = {"time": days, "fine": [1, 2, 3]}
    attrs = {"units": "degC", "long_name": "water temperature, predicted"}
    prediction = xr.DataArray(season[:, None] + [0, 1, 2], coords, ("time", "fine"), attrs=attrs)
    number = xr.DataArray(np.arange(1461), {"time": days}, ("time",))
    reach = prediction.fine
    labels = prediction.where(((reach == 2) & (number < 400)) | ((reach == 1) & (number < 90)))
    observed = labels.fillna(prediction.where((reach == 3) & (number >= 800) & (number < 1100)))
    ds = xr.Dataset(
        {
            "downstream_fine": ("fine", [2, 3, 0]),
            "lat_fine": ("fine", [41.0, 40.9, 40.8]),
            "lon_fine": ("fine", [-75.0, -75.1, -75.1]),
            "water_temperature_fine": labels,
        },
        {"fine": [1, 2, 3]},
    )
    return prediction, ds, observed


def test_defaults_choose_the_reach_the_years_and_the_day_worth_seeing(case):
    prediction, ds, observed = case
    left, right = overview(prediction, ds, observed=observed).axes
    assert right.get_title(loc="left").startswith("reach 3: RMSE 0.00 °C, n = 300")
    assert left.get_title(loc="left") == "2003-08-03"
    shown = num2date(date2num(right.lines[0].get_xdata()))
    assert len(shown) == 730
    assert left.get_legend().get_texts()[0].get_text() == "reach 3"
    # without held-out observations: the most labels
    _, right = overview(prediction, ds).axes
    assert right.get_title(loc="left").startswith("reach 2: RMSE 0.00 °C, n = 400")


def test_day_and_reach_can_be_chosen(case):
    prediction, ds, _ = case
    left, right = overview(
        prediction.chunk(time=200), ds, reach=1, time="2002-07-01", period=slice("2002", "2002")
    ).axes
    assert left.get_title(loc="left") == "2002-07-01"
    np.testing.assert_allclose(np.sort(left.collections[0].get_array()), prediction.sel(time="2002-07-01"))
    assert right.get_title(loc="left") == "reach 1, never observed in this period"
    assert len(right.lines[0].get_xdata()) == 365
    assert date2num(right.lines[-1].get_xdata()[0]) == date2num(np.datetime64("2002-07-01"))
    assert left.child_axes[0].get_ylabel() == "water temperature [°C]"


def test_nothing_overlaps_on_the_page(case, tmp_path):
    figure = overview(*case[:2])
    figure.savefig(tmp_path / "overview.png")
    renderer = figure.canvas.get_renderer()
    left, right = (ax.get_tightbbox(renderer) for ax in figure.axes)
    assert left.x1 <= right.x0
    assert left.x0 >= 0
    assert right.x1 <= figure.bbox.x1
    assert (tmp_path / "overview.png").stat().st_size > 20_000


def test_notebooks_show_it_without_pyplot(case):
    assert overview(*case[:2])._repr_png_().startswith(b"\x89PNG")


def test_the_basin_of_a_dataset_without_labels_is_drawn(case):
    prediction, ds, _ = case
    _, right = overview(prediction, ds.drop_vars("water_temperature_fine")).axes
    assert right.get_title(loc="left") == "reach 1, never observed in this period"


def test_an_unknown_day_is_refused(case):
    with pytest.raises(
        InvalidArgumentError, match="has no 1999-07-01; choose a day from 2001-01-01 to 2004-12-31"
    ):
        overview(*case[:2], time="1999-07-01")


def test_importing_and_drawing_leave_pyplot_alone(case):
    code = "import sys, xmsgl.plot; assert 'matplotlib' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
    before = "matplotlib.pyplot" in sys.modules
    overview(*case[:2])
    assert ("matplotlib.pyplot" in sys.modules) == before
