"""Data behind the entries of a catalog, against the datasets, models and predictions of the package."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import intake
import netCDF4
import numpy as np
import pytest
import xarray as xr
from intake.readers.entry import Catalog

import xmsgl
from tests.catalog.conftest import SMALL
from xmsgl.catalog import entries as catalog_data
from xmsgl.catalog.drivers import DatasetSource, ModelSource, NetCDFSource, TemperatureSource
from xmsgl.catalog.readers import DatasetReader, NetCDFFile, TemperatureReader
from xmsgl.errors import DataUnavailableError, InvalidArgumentError

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with other weights than a network of the packaged model."""
    packaged = xmsgl.load_model().parts[1]
    weights = {name: tensor * 0.9 for name, tensor in packaged.weights.items()}
    return xmsgl.Model(packaged.spec, weights).save(tmp_path_factory.mktemp("model") / "river.safetensors")


@pytest.fixture
def cache(tmp_path: Path) -> Any:
    with xmsgl.set_options(data_dir=tmp_path / "cache"):
        yield tmp_path / "cache"


class TestDatasets:
    def test_read_is_the_dataset(self, both: Any, small: xr.Dataset) -> None:
        read = both.simulated(**SMALL).read()
        xr.testing.assert_identical(read, small)
        assert not read.chunks

    def test_to_dask_is_lazy_in_the_chunks_asked_for(self, both: Any, small: xr.Dataset) -> None:
        source = both.simulated(**SMALL)
        assert source.to_dask().chunks["time"] == (365,)
        lazily = both.simulated(**SMALL, chunks={"time": 100, "fine": 4}).to_dask()
        assert lazily.chunks["time"] == (100, 100, 100, 65)
        reaches = lazily.water_temperature_fine.chunks[1]
        assert reaches[0] == 4
        assert sum(reaches) == small.sizes["fine"]
        assert lazily.slope_fine.chunks is None
        xr.testing.assert_identical(lazily.compute(), small)

    def test_describe_and_discover(self, both: Any, small: xr.Dataset) -> None:
        source = both.simulated(**SMALL)
        described = source.describe()
        assert described["driver"] == ["xmsgl_dataset"]
        assert described["container"] == "xarray"
        assert described["metadata"]["credit"] == small.attrs["credit"]
        found = source.discover()
        assert (found["dtype"], found["shape"]) == ("xarray.Dataset", dict(small.sizes))
        assert found["metadata"]["references"] == small.attrs["references"]
        assert source.read_partition(0).identical(small)

    def test_a_source_outside_a_catalog_describes_itself(self) -> None:
        alone = DatasetSource("simulated", **SMALL, metadata={"licence": "none"}).describe()
        assert alone["args"] == SMALL
        assert alone["metadata"] == {"licence": "none"}

    def test_a_closed_source_opens_again(self) -> None:
        source = DatasetSource("simulated", **SMALL)
        first = source.read()
        source.close()
        xr.testing.assert_identical(source.read(), first)

    @pytest.mark.parametrize("kind", ["netcdf", "zarr"])
    def test_a_file_is_opened_lazily(self, kind: str, river: xr.Dataset, tmp_path: Path) -> None:
        path = tmp_path / f"river.{kind}"
        river.to_netcdf(path) if kind == "netcdf" else river.to_zarr(path, consolidated=False)
        source = DatasetSource(str(path))
        assert source.to_dask().chunks
        xr.testing.assert_equal(source.read(), river)
        with pytest.raises(InvalidArgumentError, match="is a file, which takes no arguments; remove forcing"):
            DatasetSource(str(path), forcing="era5").read()

    def test_wrong_arguments_are_named(self) -> None:
        with pytest.raises(InvalidArgumentError, match="'n_segments'; it takes n_coarse, "):
            DatasetSource("simulated", n_segments=3).read()
        with pytest.raises(InvalidArgumentError, match="forcing must be one of"):
            DatasetSource("delaware", forcing="monthly").to_dask()
        with pytest.raises(DataUnavailableError, match=r"'missouri' is not a known dataset \(delaware, simu"):
            DatasetSource("missouri").read()

    def test_arguments_reach_the_delaware(self, both: Any, monkeypatch: Any) -> None:
        """Those of the entry and of the user; nothing is opened before it is read."""
        asked = []
        monkeypatch.setattr(
            xmsgl.datasets, "delaware", lambda **arguments: asked.append(arguments) or xr.Dataset()
        )
        source = both.delaware(forcing="era5", start="2000-01-01", region=1)
        assert asked == []
        source.to_dask()
        assert asked == [{"forcing": "era5", "fine": "mainstem", "start": "2000-01-01", "region": 1}]


class TestNetCDF:
    def test_any_reader_of_netcdf_reads_it(self, both: Any, cache: Path, small: xr.Dataset) -> None:
        source = both.simulated_netcdf(**SMALL)
        assert not cache.exists()
        path = Path(source.urlpath)
        assert path.parent == cache / "netcdf"
        with netCDF4.Dataset(path) as file:
            assert file.data_model == "NETCDF4"
            assert file.licence == small.attrs["licence"]
            values = file["air_temperature_coarse"][:].filled(np.nan)
            labels = file["water_temperature_fine"][:].filled(np.nan)
            assert file["air_temperature_coarse"].units == "degC"
        np.testing.assert_array_equal(values, small.air_temperature_coarse.values)
        np.testing.assert_array_equal(labels, small.water_temperature_fine.values)
        xr.testing.assert_identical(source.read(), small)
        assert source.to_dask().chunks["time"] == (365,)
        source.close()

    def test_it_is_written_once_for_equal_arguments(self, cache: Path) -> None:
        first = catalog_data.netcdf_file("simulated", **SMALL)
        inode = first.stat().st_ino
        assert catalog_data.netcdf_file("simulated", **SMALL, seed=0).stat().st_ino == inode
        assert catalog_data.netcdf_file("simulated", **SMALL, seed=1) != first
        assert len(list(first.parent.iterdir())) == 2

    def test_another_version_of_the_package_writes_its_own(self, cache: Path, monkeypatch: Any) -> None:
        first = catalog_data.netcdf_file("simulated", **SMALL)
        monkeypatch.setattr("xmsgl.util.version.__version__", "99.0")
        assert catalog_data.netcdf_file("simulated", **SMALL) != first

    def test_a_failure_leaves_no_file(self, cache: Path, monkeypatch: Any) -> None:
        def fail(self: xr.Dataset, path: Path, **options: Any) -> None:
            path.write_bytes(b"half")
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(xr.Dataset, "to_netcdf", fail)
        with pytest.raises(OSError, match="No space left"):
            catalog_data.netcdf_file("simulated", **SMALL)
        assert list((cache / "netcdf").iterdir()) == []

    def test_a_path_is_not_a_dataset_of_the_package(self) -> None:
        with pytest.raises(
            InvalidArgumentError, match="must be 'delaware' or 'simulated' or 'willamette' or 'yakima', not"
        ):
            NetCDFSource("my_basin.nc").to_dask()


@pytest.mark.filterwarnings("ignore::xmsgl.errors.ExtrapolationWarning")  # a basin it was not trained on
class TestModelsAndResults:
    def test_the_packaged_model(self, both: Any) -> None:
        source = both.delaware_model
        assert source.read().sha256 == xmsgl.load_model().sha256
        assert source.discover()["metadata"]["sha256"] == xmsgl.load_model().sha256
        with pytest.raises(InvalidArgumentError, match="use read"):
            source.to_dask()

    def test_a_model_by_its_path(self, both: Any, model: Path) -> None:
        assert both.delaware_model(model=str(model)).read().sha256 == xmsgl.load_model(model).sha256
        assert ModelSource(model).read().sha256 != xmsgl.load_model().sha256

    def test_a_result_is_what_downscaling_gives(
        self, both: Any, model: Path, small: xr.Dataset, refuse_to_compute: Any
    ) -> None:
        source = both.simulated_temperature(**SMALL, model=str(model))
        with refuse_to_compute():
            lazily = source.to_dask()
        assert lazily.chunks
        expected = small.msgl.downscale(model)
        np.testing.assert_array_equal(source.read().values, expected.values)
        assert source.read().attrs["model_sha256"] == xmsgl.load_model(model).sha256
        assert source.discover()["metadata"]["variables"] == {
            "water_temperature": {"units": "degC", "role": "prediction"}
        }
        assert source.discover()["shape"] == dict(expected.sizes)

    def test_arguments_of_downscaling_are_passed_on(self, model: Path, small: xr.Dataset) -> None:
        whole = TemperatureSource(
            "simulated", str(model), **SMALL, downscale={"carry": True}, chunks={"time": 73}
        )
        assert whole.to_dask().chunks[0] == (73,) * 5
        np.testing.assert_array_equal(whole.read().values, small.msgl.downscale(model, carry=True).values)

    def test_a_catalog_of_your_own(self, model: Path, small: xr.Dataset, tmp_path: Path) -> None:
        """The catalog in docs/catalogs.md, with paths relative to the catalog."""
        page = (ROOT / "docs" / "catalogs.md").read_text(encoding="utf-8")
        (body,) = [part.split("```")[0] for part in page.split("```yaml\n")[1:]]
        (tmp_path / "river.yaml").write_text(body)
        small.to_netcdf(tmp_path / "my_basin.nc")
        (tmp_path / "river.safetensors").write_bytes(model.read_bytes())
        own = intake.open_catalog(tmp_path / "river.yaml")
        assert own.model.read().sha256 == xmsgl.load_model(model).sha256
        np.testing.assert_array_equal(own.temperature.read().values, small.msgl.downscale(model).values)
        xr.testing.assert_identical(own.basin.read(), small)


class TestSecondVersion:
    def test_own_reader(self, second: Any, small: xr.Dataset) -> None:
        reader = second.simulated
        assert reader.metadata["licence"] == small.attrs["licence"]
        read = reader.read(**SMALL, chunks={"time": 100})
        assert read.chunks["time"] == (100, 100, 100, 65)
        xr.testing.assert_identical(read.compute(), small)
        assert DatasetReader(dataset="simulated", **SMALL).to_dask().chunks["time"] == (365,)

    def test_intakes_own_reader_reads_the_netcdf(self, second: Any, cache: Path, small: xr.Dataset) -> None:
        listed = second.simulated_netcdf
        assert type(listed).__module__ == "intake.readers.readers"
        assert listed.data.dataset == "simulated"
        assert not cache.exists()
        file = NetCDFFile("simulated", SMALL)
        reader = file.to_reader(
            reader="XArrayDataset", **{k: v for k, v in listed.kwargs.items() if k != "data"}
        )
        assert listed.metadata["credit"] == small.attrs["credit"]
        read = reader.read()
        assert read.chunks["time"] == (365,)
        xr.testing.assert_identical(read.compute(), small)
        read.close()

    def test_a_written_catalog_reads_the_same(self, cache: Path, small: xr.Dataset, tmp_path: Path) -> None:
        """Readers and files survive in a catalog that intake writes."""
        made = Catalog()
        made["file"] = NetCDFFile("simulated", SMALL).to_reader(reader="XArrayDataset", engine="netcdf4")
        made["basin"] = DatasetReader(dataset="simulated", **SMALL)
        made.to_yaml_file(str(tmp_path / "made.yaml"))
        again = intake.open_catalog(tmp_path / "made.yaml")
        xr.testing.assert_identical(again["basin"].read().compute(), small)
        with again["file"].read() as read:
            xr.testing.assert_identical(read.compute(), small)

    @pytest.mark.filterwarnings("ignore::xmsgl.errors.ExtrapolationWarning")
    def test_model_and_result(self, second: Any, model: Path, small: xr.Dataset) -> None:
        assert second.delaware_model.read().sha256 == xmsgl.load_model().sha256
        read = second.simulated_temperature.read(**SMALL, model=model)
        assert read.chunks
        np.testing.assert_array_equal(read.values, small.msgl.downscale(model).values)
        assert TemperatureReader(dataset="simulated", model=model, **SMALL).to_dask().chunks


@pytest.mark.parametrize("chunks", [3, "moon", {"time": "x"}, {"time": 0}, {"time": -2}, {1: 3}])
def test_chunks_of_an_entry_are_checked(small: xr.Dataset, chunks: Any) -> None:
    with pytest.raises(InvalidArgumentError, match="chunks"):
        catalog_data.lazy(small, chunks)


@pytest.mark.parametrize("options", [3, ["moon"], {"moon": 1}, {1: 2}])
def test_options_of_downscaling_in_an_entry_are_checked(
    small: xr.Dataset, tmp_path: Path, options: Any
) -> None:
    small.to_netcdf(tmp_path / "small.nc")
    with pytest.raises(InvalidArgumentError, match="downscale"):
        catalog_data.temperature(tmp_path / "small.nc", downscale=options)
