"""The reader of the National Hydrologic Model on the Delaware's files, against the dataset made of them."""

from __future__ import annotations

import numpy as np
import pytest

from xmsgl.datasets.delaware_basin.forcing import observed_weather
from xmsgl.datasets.delaware_basin.segments import read_subsegments
from xmsgl.readers import read

pytestmark = pytest.mark.delaware

PARAMETERS = ("segment_parameters", "hru_parameters", "channel_parameters")
DAILY = ("tmax", "tmin", "prcp", "rhavg")


@pytest.fixture(scope="module")
def nhm(files):
    """With every line at its segment: the shapefile lacks the ids of three halves."""
    lines = read_subsegments(files["segments"])
    daily = [files[name] for name in DAILY]
    return read("nhm", [files[name] for name in PARAMETERS], daily, lines, id_field="segment")


def test_segments_are_those_of_the_dataset(nhm, segments):
    table = segments.table.reindex(nhm["coarse"].to_index())
    for name in ("slope", "elevation", "width", "drainage_area", "lat", "lon", "geometry"):
        np.testing.assert_array_equal(nhm[f"{name}_coarse"], table[name])
    same = nhm["downstream_coarse"] == table["to_segment"].to_numpy()
    assert int(same.sum()) == 455  # what the shapefile and the parameters of the model agree on
    np.testing.assert_allclose(nhm["length_coarse"], table["length"], rtol=1e-3, atol=0.02)


def test_weather_is_that_of_the_dataset(nhm, hru, segments):
    drivers = observed_weather(hru, segments.table).drivers
    place = segments.table.index.get_indexer(nhm["coarse"].to_index())
    for name in ("air_temperature", "precipitation", "relative_humidity"):
        expected = drivers[name][:, place].astype(np.float32)
        np.testing.assert_array_equal(np.clip(nhm[f"{name}_coarse"], None, expected.max()), expected)
    assert nhm["precipitation_coarse"].attrs["segments_without_own_unit"] == 40


def test_shapefile_as_published(files):
    ds = read("nhm", files["segment_parameters"], fabric=files["segments"])
    assert ds["geometry_coarse"].attrs["lines_without_id"] == 3
    assert ds.sizes == {"coarse": 456}
