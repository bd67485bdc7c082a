"""Readers for intake catalogs of the second kind (``version: 2``); needs intake 2."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from xmsgl.catalog import entries
from xmsgl.datasets import open as opening
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


class _LazyReader(BaseReader):  # type: ignore[misc]  # intake has no types
    """A reader whose result is lazy, so that asking for dask is the same as reading."""

    imports: ClassVar[set[str]] = {"xmsgl"}

    def to_dask(self) -> Any:
        """Return what ``read()`` returns; without this, intake would make a pipeline of the call."""
        return self.read()


class DatasetReader(_LazyReader):
    """Reads a dataset of the package, or a file of the convention.

    ``read`` takes the arguments of :func:`xmsgl.datasets.open.open_data` and ``chunks``.
    """

    func = "xmsgl.datasets.open:open_data"
    output_instance = "xarray:Dataset"

    def _read(
        self,
        dataset: str | os.PathLike[str],
        chunks: Mapping[str, int] | None = None,
        **arguments: Any,
    ) -> xr.Dataset:
        return entries.lazy(opening.open_data(dataset, **arguments), chunks)


class TemperatureReader(_LazyReader):
    """Reads a downscaled temperature; takes the arguments of :func:`xmsgl.catalog.entries.temperature`."""

    func = "xmsgl.catalog.entries:temperature"
    output_instance = "xarray:DataArray"

    def _read(self, dataset: str | os.PathLike[str], **arguments: Any) -> xr.DataArray:
        return entries.temperature(dataset, **arguments)


class ModelReader(BaseReader):  # type: ignore[misc]
    """Reads a trained model; takes the name or the path that :func:`xmsgl.load_model` takes."""

    imports: ClassVar[set[str]] = {"xmsgl"}
    func = "xmsgl:load_model"
    output_instance = "xmsgl.models.file.model:Model"

    def _read(self, model: str | os.PathLike[str] | None = None) -> Model:
        from xmsgl.models.file.model import load_model

        return load_model(model)


class NetCDFFile(HDF5):  # type: ignore[misc]
    """A dataset of the package as a netCDF-4 file, for intake's own readers of such files.

    Parameters
    ----------
    dataset
        ``"delaware"`` or ``"simulated"``.
    arguments
        Arguments of the dataset.
    metadata
        What the catalog says about it.
    """

    storage_options = None
    path = ""  # the group within the file: its root

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
        """Path of the file, which is there once this was asked for."""
        return str(entries.netcdf_file(self.dataset, **self.arguments))
