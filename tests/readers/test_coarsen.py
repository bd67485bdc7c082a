"""A coarse scale made from a fine one, against pandas and walks along the river."""

from __future__ import annotations

import dask
import numpy as np
import pytest
import xarray as xr

import xmsgl
from xmsgl.errors import InvalidArgumentError, InvalidDatasetError, NetworkError


@pytest.fixture(scope="module")
def fine():
    ds = xmsgl.datasets.simulated(n_coarse=12, reaches_per_segment=6, years=1, label_fraction=0.2, seed=4)
    weather = ds["air_temperature_coarse"].sel(coarse=ds["coarse_segment"]).drop_vars("coarse")
    alone = ds.assign(air_temperature_fine=weather.assign_attrs(units="degC"))
    return alone.drop_dims("coarse").drop_vars("true_temperature_fine")


def test_all_can_be_validated_and_trained(fine):
    two = xmsgl.coarsen(fine, length_m=6_000)
    two.msgl.validate()
    model = two.msgl.train("msgl", epochs=1, window=60, warmup=5, hidden=4, validation=None, progress=False)
    assert two.msgl.downscale(model).sizes == {"time": fine.sizes["time"], "fine": fine.sizes["fine"]}


def test_values_are_those_of_a_table(fine):
    two = xmsgl.coarsen(fine, length_m=6_000)
    segment = two["coarse_segment"].to_series()
    table = fine[["length_fine", "slope_fine", "elevation_fine"]].to_dataframe()
    for base in ("slope", "elevation"):
        product = (table[f"{base}_fine"] * table["length_fine"]).groupby(segment).sum()
        expected = product / table["length_fine"].groupby(segment).sum()
        np.testing.assert_allclose(two[f"{base}_coarse"], expected.loc[two["coarse"].values], rtol=1e-12)
    for base in ("drainage_area", "stream_order", "width"):
        np.testing.assert_array_equal(
            two[f"{base}_coarse"], fine[f"{base}_fine"].sel(fine=two["coarse"].values)
        )
    seen = fine["water_temperature_fine"].to_pandas()
    daily = seen.T.groupby(segment)
    np.testing.assert_allclose(
        two["water_temperature_coarse"], daily.mean().T[two["coarse"].values], rtol=1e-5
    )
    np.testing.assert_array_equal(two["observed_reaches_coarse"], daily.count().T[two["coarse"].values])
    assert int(two["observed_reaches_coarse"].max()) > 1
    air = fine["air_temperature_fine"].to_pandas()
    weighted = (air * table["length_fine"]).T.groupby(segment).sum().T
    weighted = weighted / table["length_fine"].groupby(segment).sum()
    np.testing.assert_allclose(two["air_temperature_coarse"], weighted[two["coarse"].values], rtol=1e-5)


def test_the_coarse_river_is_that_of_the_reaches(fine):
    two = xmsgl.coarsen(fine, length_m=6_000)
    after = dict(zip(fine["fine"].values, fine["downstream_fine"].values, strict=True))
    segment = two["coarse_segment"].to_series()
    length = fine["length_fine"].to_series()
    for name in two["coarse"].values:
        members = set(segment.index[segment == name])
        following = after[name]  # the id of a segment is that of its most downstream reach
        expected = 0 if following == 0 else segment[following]
        assert int(two["downstream_coarse"].sel(coarse=name)) == expected

        def longest(reach, members=members):
            above = [one for one in members if after[one] == reach]
            return length[reach] + max(map(longest, above), default=0.0)

        assert float(two["length_coarse"].sel(coarse=name)) == pytest.approx(longest(name))
    assert two["length_coarse"].median() == pytest.approx(6_000, rel=0.35)


def test_order_plays_no_part(fine):
    mixed = np.random.default_rng(1).permutation(fine.sizes["fine"])
    two, other = xmsgl.coarsen(fine), xmsgl.coarsen(fine.isel(fine=mixed))
    xr.testing.assert_allclose(other.sel(fine=two["fine"], coarse=two["coarse"]), two)


def test_lazy_data_stay_lazy(fine):
    def refuse(graph, keys, **options):
        raise AssertionError

    daily = [name for name, array in fine.data_vars.items() if "time" in array.dims]
    lazy = fine.assign({name: fine[name].chunk(time=100, fine=20) for name in daily})
    with dask.config.set(scheduler=refuse):
        two = xmsgl.coarsen(lazy)
    xr.testing.assert_allclose(two.compute(), xmsgl.coarsen(fine))


def test_segments_that_are_given(fine):
    by = xmsgl.coarsen(fine, length_m=6_000)["coarse_segment"]
    again = xmsgl.coarsen(fine.assign(mine=by), by="mine")
    first = xmsgl.coarsen(fine, length_m=6_000)
    assert set(again["coarse"].values) == set(first["coarse"].values)
    xr.testing.assert_allclose(again["length_coarse"].sel(coarse=first["coarse"]), first["length_coarse"])


@pytest.mark.parametrize(
    ("change", "arguments", "error", "message"),
    [
        ({}, {"length_m": 0}, InvalidArgumentError, "length_m must be a positive number of metres, got 0"),
        ({}, {"by": "huc12"}, InvalidArgumentError, "by='huc12' is not a variable over 'fine'"),
        ({"part": np.nan}, {"by": "part"}, InvalidArgumentError, "'part' is missing for 1 reaches: 1001"),
        ({"part": 1}, {"by": "part"}, NetworkError, "1 segments of 'part' have more than one outlet: 2"),
    ],
)
def test_what_cannot_be_coarsened_is_refused(fine, change, arguments, error, message):
    values = np.full(fine.sizes["fine"], 2.0 if change.get("part") == 1 else 1.0)
    if change:
        values[0] = change["part"]
        if change["part"] == 1:  # the reaches above the first one leave through several
            values[:] = np.where(np.arange(values.size) % 2, 2.0, 1.0)
            values[fine["downstream_fine"].values == 0] = 1.0
            message = "have more than one outlet"
    with pytest.raises(error, match=message):
        xmsgl.coarsen(fine.assign(part=("fine", values)), **arguments)


def test_an_empty_name_is_a_missing_one(fine):
    names = np.array(["", *(["west"] * (fine.sizes["fine"] - 1))])
    with pytest.raises(InvalidArgumentError, match="'part' is missing for 1 reaches: 1001"):
        xmsgl.coarsen(fine.assign(part=("fine", names)), by="part")


def test_a_dataset_of_both_scales_is_refused():
    ds = xmsgl.datasets.simulated(n_coarse=3, years=1)
    with pytest.raises(InvalidArgumentError, match="one scale"):
        xmsgl.coarsen(ds)


def test_real_flowlines_make_segments_of_about_the_length_asked_for(hydroloom):
    fine = xmsgl.readers.read("nhdplus", hydroloom)
    two = xmsgl.coarsen(fine, length_m=5_000)
    assert two["length_coarse"].median() == pytest.approx(5_000, rel=0.4)
    area = two["drainage_area_coarse"]
    flows = two["downstream_coarse"].values
    inner = flows != 0
    assert (area.sel(coarse=flows[inner]).values >= area.values[inner] * 0.999).all()


def test_a_segment_lies_where_its_longest_path_does(fine):
    two = xmsgl.coarsen(fine, length_m=6_000)
    after = dict(zip(fine["fine"].values, fine["downstream_fine"].values, strict=True))
    segment = two["coarse_segment"].to_series()
    length = fine["length_fine"].to_series()
    for name in two["coarse"].values[:5]:
        members = set(segment.index[segment == name])

        def path(reach, members=members):
            above = [path(one) for one in members if after[one] == reach]
            return [reach, *max(above, key=lambda each: length[each].sum(), default=[])]

        way = path(name)
        expected = (fine["lat_fine"].to_series()[way] * length[way]).sum() / length[way].sum()
        assert float(two["lat_coarse"].sel(coarse=name)) == pytest.approx(expected)


def test_means_of_whole_numbers_are_not_whole(fine):
    air = fine["air_temperature_fine"].round()
    whole = xmsgl.coarsen(fine.assign(air_temperature_fine=air.astype("int16").assign_attrs(units="degC")))
    expected = xmsgl.coarsen(fine.assign(air_temperature_fine=air.astype("float32")))
    np.testing.assert_allclose(whole["air_temperature_coarse"], expected["air_temperature_coarse"], atol=1e-5)


def test_lengths_in_kilometres_are_refused(fine):
    km = fine.assign(length_fine=(fine["length_fine"] / 1000).assign_attrs(units="km"))
    with pytest.raises(InvalidDatasetError, match="length_fine is in km, not in m"):
        xmsgl.coarsen(km)
