"""Catalogs open in every documented way, and give the metadata and the data of their entries."""

from __future__ import annotations

import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import intake
import netCDF4
import numpy as np
import pytest
import xarray as xr
import yaml
from intake.readers.entry import Catalog

import xmsgl
from xmsgl.catalog import entries as catalog_data
from xmsgl.catalog.drivers import DatasetSource, ModelSource, NetCDFSource, TemperatureSource
from xmsgl.catalog.readers import DatasetReader, NetCDFFile, TemperatureReader
from xmsgl.datasets.delaware_basin import text as delaware_text
from xmsgl.datasets.pacific_northwest import text as northwest_text
from xmsgl.errors import DataUnavailableError, InvalidArgumentError, MissingDependencyError, UnknownNameError
from xmsgl.schema import roles as schema_roles
from xmsgl.schema.names import scale_of

ROOT = Path(__file__).parents[2]
SMALL = {"n_coarse": 3, "reaches_per_segment": 3, "years": 1}
ENTRIES = {
    "delaware",
    "delaware_netcdf",
    "delaware_model",
    "delaware_temperature",
    "simulated",
    "simulated_netcdf",
    "simulated_temperature",
    "willamette",
    "willamette_netcdf",
    "yakima",
    "yakima_netcdf",
}
NORTHWEST = [pytest.param(name, id=name) for name in ("willamette", "yakima")]
SOURCES = [pytest.param("delaware", id="delaware"), pytest.param("simulated", id="simulated")]


@pytest.fixture(scope="module")
def small() -> xr.Dataset:
    return xmsgl.datasets.simulated(**SMALL)


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


@pytest.fixture
def both() -> Any:
    return intake.open_catalog(xmsgl.catalog_path())


@pytest.fixture
def second() -> Any:
    return intake.open_catalog(xmsgl.catalog_path("v2"))


def raw(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(xmsgl.catalog_path(name).read_text(encoding="utf-8"))
    return found


def descriptions() -> list[Any]:
    """Metadata of every entry of every file, by file and entry."""
    found = []
    for file, entries in (
        ("delaware", "sources"),
        ("simulated", "sources"),
        ("willamette", "sources"),
        ("yakima", "sources"),
        ("v2", "entries"),
        ("v2", "data"),
    ):
        for name, entry in raw(file)[entries].items():
            found.append(pytest.param(name, entry["metadata"], id=f"{file}-{entries}-{name}"))
    return found


class TestPaths:
    def test_the_folder_holds_both(self, both: Any) -> None:
        assert set(both) == ENTRIES

    @pytest.mark.parametrize("name", SOURCES + NORTHWEST)
    def test_a_plain_path_in_the_repository_opens(self, name: str) -> None:
        plain = intake.open_catalog(str(ROOT / "catalogs" / f"{name}.yaml"))
        assert set(plain) == {entry for entry in ENTRIES if entry.startswith(name)}
        assert xmsgl.catalog_path(name) == ROOT / "catalogs" / f"{name}.yaml"

    def test_the_object_behind_the_entry_point(self) -> None:
        from xmsgl.catalog import drivers as catalog_sources

        assert set(catalog_sources.catalog) == ENTRIES
        assert catalog_sources.catalog.name == "xmsgl"
        with pytest.raises(AttributeError, match="catalogue"):
            catalog_sources.catalogue  # noqa: B018

    def test_entry_points_exist(self) -> None:
        project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        drivers = project["entry-points"]["intake.drivers"]
        found = {name: intake.import_name(place).name for name, place in drivers.items()}
        assert found == {name: name for name in drivers}
        assert len(drivers) == 4
        assert intake.import_name(project["entry-points"]["intake.catalogs"]["xmsgl"]).name == "xmsgl"

    def test_unknown_names_are_refused(self) -> None:
        with pytest.raises(
            UnknownNameError, match="'missouri'; known: delaware, simulated, v2, willamette, yakima"
        ):
            xmsgl.catalog_path("missouri")

    def test_missing_catalogs_raise_an_error(self, monkeypatch: Any, tmp_path: Path) -> None:
        from xmsgl.catalog import path as catalog

        monkeypatch.setattr(catalog, "__file__", str(tmp_path / "xmsgl" / "catalog" / "path.py"))
        with pytest.raises(DataUnavailableError, match="install xmsgl again"):
            catalog.catalog_path()

    def test_the_second_version_has_the_same_entries(self, second: Any) -> None:
        assert set(second) == {*ENTRIES, "delaware_era5_netcdf"}

    @pytest.mark.parametrize("module", ["drivers", "readers"])
    def test_without_intake_the_extra_is_named(self, module: str) -> None:
        code = f"import sys; sys.modules['intake'] = None\nimport xmsgl.catalog.{module}"
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False
        )
        assert f"{MissingDependencyError.__name__}: catalogs need intake" in done.stderr
        assert 'pip install "xmsgl[intake]"' in done.stderr

    def test_opening_and_describing_does_not_import_torch(self) -> None:
        code = (
            "import sys, intake, xmsgl\n"
            "cat = intake.open_catalog(xmsgl.catalog_path())\n"
            "[cat[name].describe() for name in cat]\n"
            "print({'torch', 'numba'} & set(sys.modules))"
        )
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True
        )
        assert done.stdout.strip() == "set()"


class TestMetadata:
    @pytest.mark.parametrize(("name", "metadata"), descriptions())
    def test_every_entry_names_licence_credit_units_and_roles(self, name: str, metadata: Any) -> None:
        assert metadata["licence"]
        assert metadata["credit"]
        assert metadata["variables"]
        assert all(set(about) == {"units", "role"} for about in metadata["variables"].values())

    @pytest.mark.parametrize("file", ["simulated", "v2"])
    def test_the_simulated_basin_is_described_by_its_attributes(self, file: str, small: xr.Dataset) -> None:
        said = raw(file)["entries" if file == "v2" else "sources"]["simulated"]["metadata"]
        assert {name: said[name] for name in ("title", "licence", "credit")} == {
            name: small.attrs[name] for name in ("title", "licence", "credit")
        }
        assert said["variables"] == catalog_data.describe(small)["variables"]

    @pytest.mark.parametrize("file", ["delaware", "v2"])
    @pytest.mark.parametrize("forcing", ["stations", "era5", "observed"])
    def test_the_delaware_is_described_by_its_attributes(self, file: str, forcing: str) -> None:
        """Without the files: the texts and units of the builder. With them: tests/datasets."""
        said = raw(file)["entries" if file == "v2" else "sources"]["delaware"]["metadata"]
        attrs = delaware_text.dataset_attrs(forcing, "mainstem")
        for name in ("title", "licence", "credit", "limits"):
            assert said[name] == attrs[name]
        for name, about in said["variables"].items():
            assert about["units"] == delaware_text.describe(scale_of(name)[0])["units"], name

    @pytest.mark.parametrize("name", NORTHWEST)
    def test_the_northwest_is_described_by_its_attributes(self, name: str) -> None:
        """Without the files, the texts of the builder. With them: tests/datasets."""
        attrs = northwest_text.dataset_attrs(name)
        for said in (raw(name)["sources"][name]["metadata"], raw("v2")["entries"][name]["metadata"]):
            for text in ("title", "licence", "credit", "limits"):
                assert said[text] == attrs[text]

    @pytest.mark.parametrize("file", ["delaware", "v2"])
    def test_the_model_is_described_by_its_own_file(self, file: str) -> None:
        said = raw(file)["entries" if file == "v2" else "sources"]["delaware_model"]["metadata"]
        own = catalog_data.describe_model(xmsgl.load_model("delaware-gauged"))
        assert said["trained_on"] == own["trained_on"]
        assert said["variables"] == own["variables"]
        assert said["credit"] == delaware_text.dataset_attrs("era5", "mainstem")["credit"]
        assert said["licence"].startswith(
            tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["license"]
        )

    @pytest.mark.parametrize("name", SOURCES)
    def test_results_keep_the_licence_of_their_data(self, name: str) -> None:
        entries = raw(name)["sources"]
        for text in ("licence", "credit"):
            assert entries[f"{name}_temperature"]["metadata"][text] == entries[name]["metadata"][text]

    def test_roles_of_the_small_river(self, river: xr.Dataset) -> None:
        """Written out by hand."""
        found = schema_roles.roles(
            river.assign(comid=("fine", np.arange(12)), discharge_fine=("fine", np.ones(12)))
        )
        daily = {
            f"{name}_coarse": "driver" for name in ("air_temperature", "precipitation", "solar_radiation")
        }
        fixed = (
            "elevation_coarse",
            "elevation_fine",
            "drainage_area_coarse",
            "drainage_area_fine",
            "slope_coarse",
        )
        network = ("downstream_coarse", "downstream_fine", "length_coarse", "length_fine")
        assert found == {
            **daily,
            **dict.fromkeys(fixed, "static"),
            **dict.fromkeys(network, "topology"),
            "coarse_segment": "crosswalk",
            "water_temperature_coarse": "label",
            "water_temperature_fine": "label",
            "comid": "other",
            "discharge_fine": "other",
        }


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


INSIDE_THE_WHEEL = """
import sys, intake, xmsgl
place = sys.argv[1]
assert xmsgl.__file__.startswith(place), xmsgl.__file__
assert str(xmsgl.catalog_path()).startswith(place), xmsgl.catalog_path()
opened = {"path": intake.open_catalog(xmsgl.catalog_path()), "entry": intake.cat.xmsgl}
small = {"n_coarse": 3, "reaches_per_segment": 3, "years": 1}
for cat in opened.values():
    print(sorted(cat))
    assert cat.simulated(**small).read().sizes["coarse"] == 3
assert intake.open_xmsgl_dataset("simulated", **small).to_dask().chunks["time"] == (365,)
assert intake.open_xmsgl_model().read().method == intake.cat.xmsgl.delaware_model.read().method
second = intake.open_catalog(xmsgl.catalog_path("v2"))
assert second.simulated.read(**small).sizes["coarse"] == 3
print(second.delaware_netcdf.metadata["licence"])
"""


@pytest.mark.slow
def test_catalogs_open_from_the_wheel(tmp_path: Path) -> None:
    """Unpacked as by pip, first on the path, outside the checkout."""
    pytest.importorskip("hatchling", reason="part of the extra `test`")
    from hatchling.builders.wheel import WheelBuilder

    (wheel,) = WheelBuilder(str(ROOT)).build(directory=str(tmp_path / "dist"), versions=["standard"])
    place = tmp_path / "installed"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(place)
    done = subprocess.run(
        [sys.executable, "-c", INSIDE_THE_WHEEL, str(place)],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={
            "PYTHONPATH": str(place),
            "PATH": "/usr/bin:/bin",
            "HOME": str(tmp_path),
            "OMP_NUM_THREADS": "1",
        },
    )
    assert done.returncode == 0, done.stderr
    by_path, by_entry, licence = done.stdout.split("\n", 2)
    assert by_path == by_entry == str(sorted(ENTRIES))
    assert licence.strip() == raw("delaware")["sources"]["delaware"]["metadata"]["licence"]


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
