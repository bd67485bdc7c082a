"""Readers for intake catalogs of the second version (``version: 2``); needs intake 2."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from xmsgl.catalog import entries
from xmsgl.datasets.open import open_data
from xmsgl.errors import MissingDependencyError

try:
    from intake.readers.datatypes import HDF5, BaseData
    from intake.readers.readers import BaseReader
except ImportError as error:
    msg = 'catalogs need intake 2, which is not installed: pip install "xmsgl[intake]"'
    raise MissingDependencyError(msg) from error

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    import xarray as xr

    from xmsgl.models.file.model import Model

__all__ = ["DatasetReader", "ModelReader", "NetCDFFile", "TemperatureReader"]


class DatasetReader(BaseReader):  # type: ignore[misc]  # intake has no types
    """Reads a dataset with :func:`xmsgl.datasets.open.open_data`, in `chunks`."""

    imports: ClassVar[set[str]] = {"xmsgl"}
    func = "xmsgl.datasets.open:open_data"
    output_instance = "xarray:Dataset"

    def _read(
        self, dataset: str | os.PathLike[str], chunks: Mapping[str, int] | None = None, **arguments: Any
    ) -> xr.Dataset | xr.DataArray:
        return entries.lazy(open_data(dataset, **arguments), chunks)

    def to_dask(self) -> Any:
        """Return the same as ``read()``, which is lazy; intake's own would make a pipeline of it."""
        return self.read()


class TemperatureReader(DatasetReader):
    """Reads a downscaled temperature with :func:`xmsgl.catalog.entries.temperature`."""

    func = "xmsgl.catalog.entries:temperature"
    output_instance = "xarray:DataArray"

    def _read(
        self, dataset: str | os.PathLike[str], chunks: Mapping[str, int] | None = None, **arguments: Any
    ) -> xr.DataArray:
        return entries.temperature(dataset, chunks=chunks, **arguments)


class ModelReader(BaseReader):  # type: ignore[misc]
    """Reads a trained model by its name or path, see :func:`xmsgl.load_model`."""

    imports: ClassVar[set[str]] = {"xmsgl"}
    func = "xmsgl:load_model"
    output_instance = "xmsgl.models.file.model:Model"

    def _read(self, model: str | os.PathLike[str] | None = None) -> Model:
        from xmsgl.models.file.model import load_model

        return load_model(model)


class NetCDFFile(HDF5):  # type: ignore[misc]
    """A dataset of the package, with its `arguments`, as a netCDF-4 file for intake's own readers."""

    storage_options = None
    path = ""  # the root group of the file

    def __init__(
        self,
        dataset: str,
        arguments: Mapping[str, Any] | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        BaseData.__init__(self, dict(metadata or {}))
        self.dataset, self.arguments = dataset, dict(arguments or {})

    @property
    def url(self) -> str:
        """Path of the file, which is written if it does not exist."""
        return str(entries.netcdf_file(self.dataset, **self.arguments))
