"""Drivers for intake catalogs of the first version (``sources:``), and the catalog ``intake.cat.xmsgl``.

intake imports this module by its entry points, or when a catalog names a driver. The attribute
``catalog`` is all catalogs of the package opened as one.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any

from xmsgl.catalog import entries
from xmsgl.catalog.path import catalog_path
from xmsgl.datasets.open import open_data
from xmsgl.errors import InvalidArgumentError, MissingDependencyError

try:
    from intake.catalog.local import YAMLFilesCatalog
    from intake.source.base import DataSource, Schema
except ImportError as error:
    msg = 'catalogs need intake, which is not installed: pip install "xmsgl[intake]"'
    raise MissingDependencyError(msg) from error

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    import xarray as xr

    from xmsgl.models.file.model import Model

__all__ = ["DatasetSource", "ModelSource", "NetCDFSource", "TemperatureSource"]


class _Source(DataSource):  # type: ignore[misc]  # intake has no types
    """A source that keeps what it has opened; `metadata` is the metadata of the catalog."""

    version = "1"
    partition_access = False

    def __init__(self, metadata: Mapping[str, Any] | None = None) -> None:
        super().__init__(metadata=dict(metadata or {}))
        self._kept: Any = None

    @abstractmethod
    def _open(self) -> Any:
        """Open what the entry stands for."""

    def _opened(self) -> Any:
        if self._kept is None:
            self._kept = self._open()
        return self._kept

    def describe(self) -> dict[str, Any]:
        """Return driver, arguments and metadata, also of a source outside a catalog."""
        if self._entry is not None:
            described: dict[str, Any] = super().describe()
            return described
        return {
            "name": self.name,
            "container": self.container,
            "driver": [type(self).name],
            "description": self.description or "",
            "metadata": self.metadata,
            "args": {name: value for name, value in self._captured_init_kwargs.items() if name != "metadata"},
        }

    def _get_schema(self) -> Schema:
        obj = self._opened()
        shape = {str(dim): size for dim, size in obj.sizes.items()} if hasattr(obj, "sizes") else None
        kind = f"{type(obj).__module__.partition('.')[0]}.{type(obj).__name__}"
        return Schema(dtype=kind, shape=shape, npartitions=1, extra_metadata=entries.describe(obj))

    def _get_partition(self, _: int) -> Any:
        return self.read()

    def _close(self) -> None:
        self._kept = self._schema = None


class DatasetSource(_Source):
    """A dataset of the package (``"delaware"``, ``"simulated"``), or a netCDF file or Zarr folder.

    `chunks`: sizes by dimension for ``to_dask``; `arguments`: those of the function in ``xmsgl.datasets``.
    """

    name = "xmsgl_dataset"
    container = "xarray"

    def __init__(
        self,
        dataset: str | os.PathLike[str],
        *,
        chunks: Mapping[str, int] | None = None,
        metadata: Mapping[str, Any] | None = None,
        **arguments: Any,
    ) -> None:
        super().__init__(metadata)
        self._dataset, self._arguments, self.chunks = dataset, arguments, chunks

    def _open(self) -> xr.Dataset | xr.DataArray:
        return open_data(self._dataset, **self._arguments)

    def to_dask(self) -> Any:
        """Return it lazily; by default in the chunks of the store, or of 365 days."""
        return entries.lazy(self._opened(), self.chunks)

    def read(self) -> Any:
        """Return it with all values in memory."""
        return self._opened().compute()


class NetCDFSource(DatasetSource):
    """A dataset of the package as one netCDF-4 file in the cache, written when first needed."""

    name = "xmsgl_netcdf"

    @property
    def urlpath(self) -> str:
        """Path of the file, which is written if it does not exist."""
        return str(entries.netcdf_file(str(self._dataset), **self._arguments))

    def _open(self) -> xr.Dataset:
        return open_data(self.urlpath)


class TemperatureSource(DatasetSource):
    """The downscaled temperature of a dataset, computed when it is read.

    `model`: name or path, see :func:`xmsgl.load_model`; `downscale`: arguments of ``ds.msgl.downscale``.
    """

    name = "xmsgl_temperature"

    def __init__(
        self, dataset: str | os.PathLike[str], model: str | os.PathLike[str] | None = None, **options: Any
    ) -> None:
        super().__init__(dataset, model=model, **options)

    def _open(self) -> xr.DataArray:
        return entries.temperature(self._dataset, **self._arguments)


class ModelSource(_Source):
    """A trained model: the name of a packaged one, or a path, see :func:`xmsgl.load_model`."""

    name = "xmsgl_model"
    container = "python"

    def __init__(
        self,
        model: str | os.PathLike[str] | None = None,
        *,
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(metadata)
        self._model = model

    def _open(self) -> Model:
        from xmsgl.models.file.model import load_model

        return load_model(self._model)

    def read(self) -> Model:
        """Return the model."""
        model: Model = self._opened()
        return model

    def to_dask(self) -> Any:
        """Raise an error, because a model has nothing to compute lazily."""
        msg = "a model is not an array that dask could hold; use read()"
        raise InvalidArgumentError(msg)


def __getattr__(name: str) -> Any:
    # intake needs an object, not a function, and the files should be read on first use only
    if name == "catalog":
        return YAMLFilesCatalog(
            f"{catalog_path().as_posix()}/*.yaml",
            name="xmsgl",
            description="Stream temperature at two scales, from xmsgl",
        )
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)
