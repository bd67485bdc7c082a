"""Catalogs open in every documented way, and their metadata are those of the datasets and models."""

from __future__ import annotations

import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import intake
import numpy as np
import pytest
import yaml

import xmsgl
from xmsgl.catalog import entries as catalog_data
from xmsgl.datasets.delaware_basin import text as delaware_text
from xmsgl.datasets.pacific_northwest import text as northwest_text
from xmsgl.errors import DataUnavailableError, MissingDependencyError, UnknownNameError
from xmsgl.schema import roles as schema_roles
from xmsgl.schema.names import scale_of

if TYPE_CHECKING:
    import xarray as xr

ROOT = Path(__file__).parents[2]
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
