"""Temperature of segments on their reaches."""

from __future__ import annotations

import numpy as np
import pytest

from xmsgl.errors import InvalidDatasetError
from xmsgl.schema.inherit import carry


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
