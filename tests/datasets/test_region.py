from __future__ import annotations

import networkx as nx
import numpy as np
import pandas as pd
import pytest
import xarray as xr

from xmsgl.datasets.delaware_basin.reaches import dominant_unit
from xmsgl.datasets.region import cut
from xmsgl.errors import InvalidArgumentError


@pytest.fixture
def basin():
    """1 and 2 flow to 3, 3 to 4; each segment has two reaches, upper (10 id + 1) and lower (10 id)."""
    coarse, fine = np.array([1, 2, 3, 4]), np.array([10, 11, 20, 21, 30, 31, 40, 41])
    return xr.Dataset(
        {
            "downstream_coarse": ("coarse", np.array([3, 3, 4, 0])),
            "downstream_fine": ("fine", np.array([31, 10, 31, 20, 41, 30, 0, 40])),
            "coarse_segment": ("fine", fine // 10),
            "huc8_coarse": ("coarse", np.array(["02040101", "02040102", "02040101", ""], dtype=object)),
            "huc12_coarse": ("coarse", np.array(["020401010101"] * 3 + [""], dtype=object)),
            "huc8_fine": ("fine", np.array(["02040101"] * 6 + ["02040103"] * 2, dtype=object)),
            "huc12_fine": ("fine", np.array(["020401010101"] * 8, dtype=object)),
        },
        coords={"coarse": coarse, "fine": fine},
    )


def closed(ds):
    for scale in ("coarse", "fine"):
        below = ds[f"downstream_{scale}"].to_numpy()
        assert np.isin(below[below != 0], ds[scale]).all()
    assert np.isin(ds["coarse_segment"], ds["coarse"]).all()


def test_upstream_of_a_segment(basin):
    part = cut(basin, 3)
    assert part["coarse"].to_numpy().tolist() == [1, 2, 3]
    assert part["fine"].to_numpy().tolist() == [10, 11, 20, 21, 30, 31]
    assert part["downstream_coarse"].to_numpy().tolist() == [3, 3, 0]
    assert part["downstream_fine"].to_numpy().tolist() == [31, 10, 31, 20, 0, 30]
    assert "3 segments, 6 reaches" in part.attrs["region"]
    assert "1 coarse, 1 fine" in part.attrs["region"]
    assert basin["downstream_coarse"].to_numpy().tolist() == [3, 3, 4, 0], "the whole is left as it was"
    closed(part)


def test_unit(basin):
    part = cut(basin, "02040101")
    assert part["coarse"].to_numpy().tolist() == [1, 3]
    assert part["downstream_coarse"].to_numpy().tolist() == [3, 0]
    closed(part)


@pytest.mark.parametrize(
    ("region", "fault"),
    [
        pytest.param(7, "region 7 is not a segment id", id="unknown segment"),
        pytest.param("3", "8 or 12 digits", id="segment as text"),
        pytest.param(3.0, "8 or 12 digits", id="float"),
        pytest.param(True, "8 or 12 digits", id="bool"),
        pytest.param("Delaware", "8 or 12 digits", id="name"),
        pytest.param("02040199", "the units are 02040101, 02040102", id="unknown unit"),
        pytest.param("02040103", "only parts of segments 4", id="unit with parts only"),
    ],
)
def test_refuses(basin, region, fault):
    with pytest.raises(InvalidArgumentError, match=fault):
        cut(basin, region)


def test_dominant_unit_is_that_of_the_longest_part():
    reaches = pd.DataFrame(
        {"segment": [1, 1, 1, 2], "length": [3.0, 2.0, 2.0, 1.0], "huc8": ["a", "b", "b", "a"]}
    )
    assert dominant_unit(reaches, "huc8", pd.Index([1, 2, 3])).tolist() == ["b", "a", ""]


@pytest.mark.delaware
class TestDelaware:
    def test_upstream_agrees_with_networkx(self, observed):
        below = observed["downstream_coarse"].to_series()
        graph = nx.DiGraph([(a, b) for a, b in below.items() if b])
        sizes = {node: len(nx.ancestors(graph, node)) for node in graph}
        outlet = min(sizes, key=lambda node: abs(sizes[node] - 50))
        part = cut(observed, outlet)
        assert set(part["coarse"].to_numpy()) == nx.ancestors(graph, outlet) | {outlet}
        reaches = observed["coarse_segment"].to_series()
        expected = reaches.index[reaches.isin(part["coarse"].to_numpy())]
        assert part["fine"].to_numpy().tolist() == expected.tolist()
        closed(part)

    def test_units_share_out_the_basin(self, observed):
        units = sorted(set(observed["huc8_coarse"].to_numpy()) - {""})
        parts = [cut(observed, unit) for unit in units]
        ids = np.concatenate([part["coarse"].to_numpy() for part in parts])
        assert len(ids) == len(set(ids)) == 455
        assert sum(part.sizes["fine"] for part in parts) == 3182
        for part in parts:
            closed(part)
            inside = part["huc8_fine"].to_numpy() == part["huc8_coarse"].to_numpy()[0]
            assert inside.mean() > 0.8
