"""Several basins in one dataset, against each alone."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import xarray as xr

import xmsgl
from tests.small import TWO_FEATURES
from xmsgl import schema
from xmsgl.errors import DataLossWarning, InvalidArgumentError, InvalidDatasetError
from xmsgl.schema.join import join_basins
from xmsgl.schema.rivers import segment_positions, topology
from xmsgl.util.origin import origin_of


def shifted(ds, by):
    """The same basin with other ids."""
    for name in ("downstream_coarse", "downstream_fine", "coarse_segment"):
        ds = ds.assign({name: ds[name].where(ds[name] == 0, ds[name] + by)})
    return ds.assign_coords({scale: ds[scale] + by for scale in ("coarse", "fine")})


@pytest.fixture
def two(river_of):
    return river_of(), shifted(river_of(seed=1), 1000)


@pytest.mark.filterwarnings("error")
def test_each_basin_is_found_again(two):
    ds = join_basins(two)
    schema.validate(ds)
    for number, part in enumerate(two):
        again = ds.isel(coarse=ds.basin_coarse == number, fine=ds.basin_fine == number)
        for name, each in part.data_vars.items():
            xr.testing.assert_identical(again[name].variable, each.variable)
    assert ds.attrs["title"] == two[0].attrs["title"]
    assert "joined 2 basins: 10 segments and 24 reaches" in ds.attrs["history"]


def test_a_model_predicts_each_as_alone(two):
    ds = join_basins(two)
    model = ds.msgl.train("msgl", validation=None, **TWO_FEATURES)
    together = ds.msgl.downscale(model)
    for part in two:
        alone = part.msgl.downscale(model)
        np.testing.assert_allclose(together.sel(fine=part.fine), alone, atol=1e-5)


def test_new_numbers_keep_the_network(two, river):
    same = [river, two[0].isel(fine=slice(None, None, -1))]
    with pytest.raises(
        InvalidArgumentError, match=r"several basins have the coarse ids .*; pass renumber=True"
    ):
        join_basins(same)
    ds = join_basins(same, renumber=True)
    schema.validate(ds)
    assert ds.fine.values.tolist() == list(range(1, 25))
    for number, part in enumerate(same):
        again = ds.isel(coarse=ds.basin_coarse == number, fine=ds.basin_fine == number)
        np.testing.assert_array_equal(again.original_fine, part.fine)
        np.testing.assert_array_equal(again.original_coarse, part.coarse)
        np.testing.assert_array_equal(segment_positions(again), segment_positions(part))
        for scale in ("coarse", "fine"):
            np.testing.assert_array_equal(topology(again, scale)[1], topology(part, scale)[1])


def test_days_and_variables_of_all(two):
    one, other = two
    one = one.isel(time=slice(0, 500))
    other = other.isel(time=slice(100, None)).drop_vars(["solar_radiation_coarse", "water_temperature_fine"])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        ds = join_basins([one, other])
    said = " ".join(str(each.message) for each in caught if each.category is DataLossWarning)
    assert "100 days of basins[0] (the small river of the tests) are left out" in said
    assert "300 days of basins[1]" in said
    assert "solar_radiation_coarse is left out, which basins[1]" in said
    np.testing.assert_array_equal(ds.time, one.time[100:])
    assert "solar_radiation_coarse" not in ds
    first = ds.water_temperature_fine.isel(fine=slice(0, 12))
    np.testing.assert_array_equal(first, one.water_temperature_fine.isel(time=slice(100, None)))
    assert ds.water_temperature_fine.isel(fine=slice(12, None)).isnull().all()
    assert ds.water_temperature_fine.attrs == one.water_temperature_fine.attrs


def test_other_units_are_refused(two):
    one, other = (each.assign(snow_coarse=each.precipitation_coarse.assign_attrs(units="mm")) for each in two)
    other.snow_coarse.attrs["units"] = "in"
    with pytest.raises(
        InvalidArgumentError, match=r"snow_coarse is in 'mm' in basins\[0\].*'in' in basins\[1\]"
    ):
        join_basins([one, other])


def test_other_dimensions_are_refused(two):
    one, other = two
    shade = one.precipitation_coarse.assign_attrs(units="1")
    parts = [
        one.assign(shade_coarse=shade),
        other.assign(shade_coarse=shade.isel(time=0, drop=True).variable),
    ]
    with pytest.raises(
        InvalidArgumentError, match=r"shade_coarse is over \('time', 'coarse'\) in basins\[0\]"
    ):
        join_basins(parts)


def test_what_cannot_be_joined_is_refused(two):
    one, other = two
    with pytest.raises(InvalidArgumentError, match="give two or more basins to join, not 1"):
        join_basins([one])
    later = other.assign_coords(time=other.indexes["time"] + np.timedelta64(3650, "D"))
    with pytest.raises(InvalidArgumentError, match=r"no day in common: basins\[0\].*2001-10-01"):
        join_basins([one, later])
    with pytest.raises(InvalidDatasetError) as raised:
        join_basins([one, other.drop_vars("length_fine")])
    assert raised.value.__notes__ == ["in basins[1]"]
    below = [f"r{k}" if k else "" for k in other.downstream_fine.values]
    named = other.assign_coords(fine=[f"r{k}" for k in other.fine.values])
    named["downstream_fine"] = ("fine", np.array(below, object))
    with pytest.raises(InvalidArgumentError, match="numbers in some basins and text in others"):
        join_basins([one, named])


def test_lazy_basins_stay_lazy(two, refuse_to_compute):
    daily = [str(name) for name in two[0].data_vars if "time" in two[0][name].dims]
    lazy = [each.assign({name: each[name].chunk(time=100) for name in daily}) for each in two]
    with refuse_to_compute():
        ds = join_basins(lazy)
    assert all(ds[name].chunks for name in daily)
    xr.testing.assert_identical(ds.load().drop_attrs(), join_basins(two).drop_attrs())


@pytest.mark.parametrize("first", [0, 1])
def test_a_lazy_basin_joins_one_in_memory(first):
    """Its lines are lazy, too."""
    parts = [xmsgl.datasets.simulated(n_coarse=n, years=1, seed=n) for n in (3, 4)]
    expected = join_basins(parts, renumber=True)
    parts[first] = parts[first].chunk(time=100)
    found = join_basins(parts, renumber=True)
    assert found["geometry_fine"].chunks
    xr.testing.assert_identical(found.load().drop_attrs(), expected.drop_attrs())


def test_a_simulated_one_and_another():
    parts = [xmsgl.datasets.simulated(n_coarse=n, years=1, seed=n) for n in (3, 4)]
    ds = join_basins(parts, renumber=True)
    schema.validate(ds)
    assert origin_of(ds) == {}
    assert ds.sizes["fine"] == sum(part.sizes["fine"] for part in parts)
