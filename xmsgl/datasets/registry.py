"""The files that datasets are built from: address, hash, size, licence and credit.

They are listed in ``registry.txt``; a path contains repository and commit, so its file never changes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import TYPE_CHECKING

from xmsgl.errors import UnknownNameError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "BASE_URL",
    "DATASETS",
    "LIBRARIES",
    "SOURCES",
    "RemoteFile",
    "common_attrs",
    "dataset_files",
    "registry",
]

BASE_URL = "https://raw.githubusercontent.com/"
"""Root of the published addresses; a mirror has the same paths below another root."""


@dataclass(frozen=True)
class Source:
    """Licence and credit of one repository."""

    licence: str
    credit: str


SOURCES: Mapping[str, Source] = MappingProxyType(
    {
        "USGS-R/drb-do-ml": Source("CC0-1.0", "U.S. Geological Survey, National Hydrologic Model segments"),
        "EC-USGS/pywatershed": Source(
            "CC0-1.0", "U.S. Geological Survey, pywatershed and National Hydrologic Model"
        ),
        "WikiWatershed/pollution-assessment": Source(
            "BSD-3-Clause (NHDPlusV2 itself: public domain)",
            "Academy of Natural Sciences of Drexel University, WikiWatershed; U.S. EPA and USGS, NHDPlusV2",
        ),
        "USGS-R/drb-network-prep": Source(
            "Public domain (work of the U.S. government)",
            "U.S. Geological Survey, crosswalk of NHM and NHDPlusV2",
        ),
        "DOI-USGS/temperature-prediction": Source(
            "CC0-1.0", "U.S. Geological Survey and its data providers, daily stream temperature"
        ),
        "Pywr-DRB/Cannonsville_CEQUALW2": Source(
            "Licence to use Copernicus products (repository: MIT)",
            "Contains modified Copernicus Climate Change Service information (ERA5, C3S/ECMWF, "
            "doi:10.24381/cds.adbb2d47); neither the European Commission nor ECMWF is responsible for any "
            "use of it. Area means prepared by the Pywr-DRB project",
        ),
        "Colinifer/weather": Source(
            "none stated (observations of a U.S. government agency)",
            "NOAA National Centers for Environmental Information, GHCN-Daily, and National Weather Service: "
            "Philadelphia International Airport, USW00013739",
        ),
        "jswade/stream-temperature-rf": Source(
            "None stated (data of the USGS: public domain; PRISM: free to use and distribute with credit, "
            "https://prism.oregonstate.edu/terms)",
            "U.S. Geological Survey, National Water Information System; PRISM Climate Group, Oregon State "
            "University, https://prism.oregonstate.edu, AN81d, created on 12 May 2021; compiled by J. Wade",
        ),
        "USGS-R/delaware-model-prep": Source(
            "Public domain (work of the U.S. government)",
            "U.S. Geological Survey, SNTemp at four segments",
        ),
        "Scaling-Watershed-Function/1-swf-knowledge.base": Source(
            "MIT (NHDPlusV2 itself: public domain)",
            "Scaling Watershed Function project; U.S. EPA and USGS, NHDPlusV2 and its catchment attributes; "
            "U.S. Army Corps of Engineers, National Inventory of Dams",
        ),
        "Scaling-Watershed-Function/2-swf-analytical.engine": Source(
            "MIT (NHDPlusV2 itself: public domain)",
            "Scaling Watershed Function project; U.S. EPA and USGS, NHDPlusV2",
        ),
        "Laura-Puckett/Stream_Temperature": Source(
            "None stated (data of the USGS: public domain)",
            "U.S. Geological Survey, National Water Information System; compiled by Laura Puckett",
        ),
        "jacqwng/Tree-phenology-analysis-with-R": Source(
            "None stated (data of NOAA: public domain)",
            "National Oceanic and Atmospheric Administration, Global Surface Summary of the Day",
        ),
    }
)
"""Licence and credit of every repository in the registry."""


@dataclass(frozen=True)
class RemoteFile:
    """One file of the registry."""

    key: str  # short name used in the package
    sha256: str
    size: int  # bytes
    path: str  # OWNER/REPO/COMMIT/PATH

    @property
    def repository(self) -> str:
        """``OWNER/REPO``, a key of :data:`SOURCES`."""
        return "/".join(self.path.split("/")[:2])

    @property
    def url(self) -> str:
        """Published address."""
        return BASE_URL + self.path

    @property
    def source(self) -> Source:
        """Licence and credit."""
        return SOURCES[self.repository]


def _lines(basin: str) -> tuple[str, ...]:
    """Name the files of a network in the Pacific Northwest, a shapefile with its parts first."""
    parts = ("lines", "lines_shx", "lines_dbf", "lines_prj", "attributes")
    return (*(f"{basin}_{part}" for part in parts), "northwest_links")


DATASETS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "delaware": (
            "segments",
            "segment_parameters",
            "hru_parameters",
            "channel_parameters",
            "tmax",
            "tmin",
            "prcp",
            "rhavg",
            "reaches",
            "crosswalk",
            "observations",
            "sites",
            "era5_temperature",
            "era5_dew_point",
            "era5_cloud_cover",
            "era5_precipitation",
            "philadelphia",
            "gauge_prism",
            "gauge_names",
        ),
        "delaware-reference": ("sntemp", "gages"),
        "willamette": (
            *_lines("willamette"),
            "oregon_sites",
            "gauge_attributes",
            "gauge_names",
            "gauge_temperature",
            "gauge_prism",
        ),
        "yakima": (
            *_lines("yakima"),
            "washington_sites",
            "washington_temperature",
            *(f"{town}_weather_{year}" for town in ("yakima", "ellensburg") for year in range(2004, 2009)),
        ),
    }
)
"""Short names of the files of each dataset; ``delaware-reference`` is only for comparisons."""


@cache
def registry() -> Mapping[str, RemoteFile]:
    """Return all files by their short names."""
    entries = {}
    text = files("xmsgl.datasets").joinpath("registry.txt").read_text(encoding="utf-8")
    for line in text.splitlines():
        if line and not line.startswith("#"):
            key, sha256, size, path = line.split(maxsplit=3)
            entries[key] = RemoteFile(key, sha256, int(size), path)
    return MappingProxyType(entries)


LIBRARIES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "delaware": ("geopandas", "pyarrow", "pyogrio", "rdata", "shapely", "zarr"),
        "willamette": ("geopandas", "pyogrio", "rdata", "shapely", "zarr"),
        "yakima": ("geopandas", "pyogrio", "rdata", "shapely", "zarr"),
    }
)
"""Optional libraries needed to build a dataset."""


def dataset_files(name: str) -> tuple[RemoteFile, ...]:
    """Return the files that a dataset is built from."""
    if name not in DATASETS:
        raise UnknownNameError("dataset", name, DATASETS)
    entries = registry()
    return tuple(entries[key] for key in DATASETS[name])


def common_attrs(name: str, title: str, limits: str) -> dict[str, str]:
    """Return the attributes that every dataset has, with addresses, licences and credits of its files."""
    from xmsgl.util.version import __version__

    files = dataset_files(name)
    sources = {file.repository: file.source for file in files}
    return {
        "title": title,
        "Conventions": "CF-1.11",
        "featureType": "timeSeries",
        "limits": limits,
        "xmsgl_version": __version__,
        "provenance": "\n".join(f"{file.url} sha256:{file.sha256}" for file in files),
        "licence": "\n".join(f"{name}: {source.licence}" for name, source in sources.items()),
        "credit": "\n".join(f"{name}: {source.credit}" for name, source in sources.items()),
    }
