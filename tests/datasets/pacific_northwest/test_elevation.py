from __future__ import annotations

import numpy as np
import pytest

from xmsgl.datasets.pacific_northwest.elevation import elevation_along
from xmsgl.datasets.pacific_northwest.sites import read_sites
from xmsgl.errors import DataLossWarning


def test_true_slopes_and_one_altitude_give_all_elevations():
    """Two tributaries and a main stem, half-way elevations worked out by hand."""
    downstream = np.array([2, 2, 3, -1])
    length, slope = np.array([1000.0, 500, 2000, 4000]), np.array([0.05, 0.1, 0.01, 0.002])
    outlet = 100.0
    ends = {3: outlet, 2: outlet + 8.0, 0: outlet + 28.0, 1: outlet + 28.0}
    expected = [ends[k] + slope[k] * length[k] / 2 for k in range(4)]
    found = elevation_along(downstream, length, slope, np.array([3]), np.array([outlet + 4.0]))
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_altitudes_correct_slopes_that_are_rounded_to_zero():
    downstream, flat = np.array([1, 2, -1]), np.zeros(3)
    found = elevation_along(downstream, np.full(3, 1e4), flat, np.array([0, 2]), np.array([130.0, 100.0]))
    assert found[1] == pytest.approx(115.0, abs=1e-6)
    np.testing.assert_allclose(found[[0, 2]], [130, 100], atol=1.0)


@pytest.mark.delaware
def test_gauges_of_the_yakima_left_out_of_the_fit(files, yakima):
    from xmsgl.network.topology import link
    from xmsgl.readers.sites import place_sites

    sites = read_sites(files["washington_sites"], "1703")
    water = sites[["site"]].assign(date="2004-01-01", water_temperature=1.0)
    with pytest.warns(DataLossWarning, match="no reach within 150 m"):
        report = place_sites(sites, water, yakima.drop_vars("drainage_area_fine"), max_distance=150).report
    report = report.join(sites.set_index("site")["elevation"]).dropna(subset=["reach", "elevation"])
    ids = yakima.indexes["fine"]
    river = (
        link(ids, yakima["downstream_fine"].values),
        yakima["length_fine"].values,
        yakima["slope_fine"].values,
    )
    reach, altitude = ids.get_indexer(report["reach"].astype(int)), report["elevation"].to_numpy()
    part = np.random.default_rng(0).integers(0, 10, altitude.size)
    error = np.concatenate(
        [
            elevation_along(*river, reach[part != k], altitude[part != k])[reach[part == k]]
            - altitude[part == k]
            for k in range(10)
        ]
    )
    assert altitude.size > 150
    assert np.median(np.abs(error)) < 9
    assert np.sqrt((error**2).mean()) < 50
