"""Temperature of segments on their reaches."""

from __future__ import annotations

import numpy as np
import pytest

from xmsgl.errors import InvalidDatasetError
from xmsgl.schema.inherit import carry, fine_offset, fine_values


def test_a_lazy_temperature_stays_lazy(river, refuse_to_compute):
    coarse = river["water_temperature_coarse"].chunk(time=100)
    with refuse_to_compute():
        done = carry(coarse, river)
    assert done.dims == ("time", "fine")
    segments = river["coarse_segment"].values
    for k, segment in enumerate(segments):
        np.testing.assert_array_equal(done.isel(fine=k), river.water_temperature_coarse.sel(coarse=segment))


def test_a_missing_crosswalk_is_named(river):
    with pytest.raises(InvalidDatasetError, match="'coarse_segment' over \\(fine\\) is missing"):
        carry(river["water_temperature_coarse"], river.drop_vars("coarse_segment"))


def in_feet(ds, scale):
    name = f"elevation_{scale}"
    return ds.assign({name: (ds[name] / 0.3048).assign_attrs(units="ft")})


@pytest.mark.parametrize("scales", [("fine",), ("coarse",), ("fine", "coarse")])
def test_the_units_of_elevations_play_no_part(river, scales):
    ds = river
    for scale in scales:
        ds = in_feet(ds, scale)
    expected = fine_offset(river, "air_temperature")
    assert np.abs(expected).max() > 0.1
    np.testing.assert_allclose(fine_offset(ds, "air_temperature"), expected, atol=1e-4)
    values = fine_values(ds, "air_temperature")
    np.testing.assert_allclose(values, fine_values(river, "air_temperature"), atol=1e-4)


def test_elevations_in_unknown_units_are_refused(river):
    ds = river.assign(elevation_fine=river["elevation_fine"].assign_attrs(units="furlong"))
    for call in (fine_offset, fine_values):
        with pytest.raises(InvalidDatasetError, match="elevation_fine is in furlong, not in m"):
            call(ds, "air_temperature")


def test_the_correction_is_in_the_units_of_the_temperature(river):
    air = river["air_temperature_coarse"]
    ds = river.assign(air_temperature_coarse=(air * 1.8 + 32).assign_attrs(units="degF"))
    expected = fine_values(river, "air_temperature") * 1.8 + 32
    np.testing.assert_allclose(fine_values(ds, "air_temperature"), expected, atol=1e-4)


def test_whole_degrees_are_corrected_with_decimals(river):
    whole = river["air_temperature_coarse"].round().astype("i2").assign_attrs(units="degC")
    found = fine_values(river.assign(air_temperature_coarse=whole), "air_temperature")
    expected = fine_values(river.assign(air_temperature_coarse=whole.astype("f8")), "air_temperature")
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-4)
