"""The catalog's entries of the Delaware, on its real files."""

from __future__ import annotations

import intake
import netCDF4
import numpy as np
import pytest
import xarray as xr

import xmsgl
from xmsgl.catalog import entries as catalog_data

pytestmark = pytest.mark.delaware


@pytest.fixture(scope="module")
def catalog():
    return intake.open_catalog(xmsgl.catalog_path("delaware"))


@pytest.mark.parametrize("name", ["delaware", "v2"])
def test_the_catalog_says_what_the_dataset_says(name, observed):
    file = intake.open_catalog(xmsgl.catalog_path(name))
    said = {
        key: file["delaware"].metadata[key] for key in ("title", "licence", "credit", "limits", "variables")
    }
    own = catalog_data.describe(observed)
    assert said == {key: own[key] for key in said}


def test_the_source_is_the_dataset_and_lazy(catalog, delaware_cache, observed, refuse_to_compute):
    source = catalog.delaware(
        cache_dir=str(delaware_cache), forcing="observed", start="1980-01-01", end="1980-03-31"
    )
    with refuse_to_compute():
        lazily = source.to_dask()
    assert lazily.water_temperature_fine.chunks
    expected = observed.sel(time=slice("1980-01-01", "1980-03-31")).compute()
    read = source.read()
    xr.testing.assert_equal(read, expected)
    assert not read.chunks


def test_the_file_holds_the_dataset(catalog, delaware_cache, observed):
    source = catalog.delaware_netcdf(cache_dir=str(delaware_cache), forcing="observed")
    with netCDF4.Dataset(source.urlpath) as file:
        assert file.credit == observed.attrs["credit"]
        assert list(file["huc8_coarse"][:3]) == observed.huc8_coarse.values[:3].tolist()
        labels = file["water_temperature_fine"][:].filled(np.nan)
    np.testing.assert_array_equal(labels, observed.water_temperature_fine.values)
    with source.to_dask() as lazily:
        xr.testing.assert_equal(lazily.compute(), observed.compute())


def test_the_temperature_of_a_tributary(catalog, delaware_cache, observed):
    """A result of the packaged model, on the segments upstream of one."""
    outlet = int(observed.coarse[np.argmin(np.abs(observed.drainage_area_coarse.values - 300.0))])
    wanted = {"region": outlet, "start": "1980-06-01", "end": "1980-06-30"}
    source = catalog.delaware_temperature(cache_dir=str(delaware_cache), forcing="observed", **wanted)
    lazily = source.to_dask()
    assert lazily.chunks
    ds = xmsgl.datasets.delaware(forcing="observed", cache_dir=delaware_cache, **wanted)
    np.testing.assert_array_equal(source.read().values, ds.msgl.downscale().values)
    assert lazily.sizes["fine"] == ds.sizes["fine"] > 1
