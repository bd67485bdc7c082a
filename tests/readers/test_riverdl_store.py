"""The four segments of the tests of river-dl: read, trained on, scored."""

from __future__ import annotations

import numpy as np
import pytest

from tests.small import PLAIN
from xmsgl.errors import NetworkError
from xmsgl.evaluate import climatology, mask_labels, score
from xmsgl.readers import one_scale, read

pytest.importorskip("zarr")


@pytest.fixture(scope="module")
def store(mirrored):
    return mirrored("USGS-R/river-dl/*/river_dl/tests/test_data")


@pytest.fixture(scope="module")
def basin(store, mirrored):
    network = read("nhm", mirrored("EC-USGS/pywatershed/*/test_data/drb_2yr/parameters_dis_seg.nc"))
    return one_scale(read("river-dl", store / "test_data", network, store / "obs_temp_flow")).load()


def test_its_matrix_does_not_fit_its_names(store):
    with pytest.raises(NetworkError, match=r"shape \(2, 2\), but there are 4 names"):
        read("river-dl", store / "test_data", store / "test_dist_matrix.npz")


def test_values_are_plausible(basin):
    links = dict(
        zip(basin["coarse"].values.tolist(), basin["downstream_coarse"].values.tolist(), strict=True)
    )
    assert links == {2007: 2014, 2012: 2037, 2014: 2037, 2037: 0}
    assert basin["water_temperature_coarse"].notnull().sum("time").values.tolist() == [1125, 774, 804, 855]
    # discharge agrees with the gauges within a third, rain is that of a humid climate: m3 s-1, mm d-1
    ratio = basin["simulated_discharge_coarse"].mean("time") / basin["observed_discharge_coarse"].mean("time")
    assert ((ratio > 0.75) & (ratio < 4 / 3)).all()
    assert 900 < float(basin["rainfall_coarse"].mean()) * 365 < 1600
    assert basin["slope_coarse"].values == pytest.approx([0.014208, 0.001902, 0.002383, 0.000952])


def test_trains_and_beats_climatology_on_days_held_out(basin):
    held_out = basin["time"] >= np.datetime64("2005-10-01")
    seen = mask_labels(basin, days=held_out)
    model = seen.msgl.train(
        "remap",
        epochs=6,
        window=120,
        warmup=30,
        learning_rate=0.02,
        validation=None,
        features=[*PLAIN, "season"],
        backend="torch",  # nothing to compile for four segments
        seed=0,
        progress=False,
    )
    later = basin.isel(time=held_out.to_numpy())
    prediction = seen.msgl.downscale(model).isel(time=held_out.to_numpy())
    skill = later.msgl.evaluate(prediction)
    seasonal = score(climatology(seen).isel(time=held_out.to_numpy()), later["water_temperature_fine"])
    assert int(skill["n"]) == int(seasonal["n"]) == 1206
    assert float(skill["rmse"]) < float(seasonal["rmse"]) - 0.3
