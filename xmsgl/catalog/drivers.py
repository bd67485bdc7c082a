"""Drivers for intake catalogs of the first kind (``sources:``), and the catalog ``intake.cat.xmsgl``.

Imported by intake through entry points, or when a catalog names a driver; needs intake. The attribute
``catalog`` is the catalogs that come with the package, opened as one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from xmsgl.catalog import entries
from xmsgl.catalog.path import catalog_path
from xmsgl.datasets import open as opening
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
    """What all drivers share: describing, and keeping what was opened."""

    version = "1"
    partition_access = False

    def __init__(self, metadata: Mapping[str, Any] | None = None) -> None:
        super().__init__(metadata=dict(metadata or {}))
        self._kept: Any = None

    def _open(self) -> Any:
        raise NotImplementedError

    def _about(self, obj: Any) -> dict[str, Any]:
        raise NotImplementedError

    def _opened(self) -> Any:
        if self._kept is None:
            self._kept = self._open()
        return self._kept

    def describe(self) -> dict[str, Any]:
        """Tell driver, arguments and metadata, also of a source that stands in no catalog."""
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
        return Schema(dtype=kind, shape=shape, npartitions=1, extra_metadata=self._about(obj))

    def _get_partition(self, _: int) -> Any:
        return self.read()

    def _close(self) -> None:
        self._kept = self._schema = None


class _XarraySource(_Source):
    """A source of something labelled, lazy or in memory."""

    container = "xarray"

    def __init__(
        self, chunks: Mapping[str, int] | None = None, metadata: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(metadata)
        self.chunks = chunks

    def _about(self, obj: xr.Dataset | xr.DataArray) -> dict[str, Any]:
        return entries.describe(obj)

    def to_dask(self) -> Any:
        """Return it lazily, in the chunks of the argument `chunks`."""
        return entries.lazy(self._opened(), self.chunks)

    def read(self) -> Any:
        """Return it with all values in memory."""
        return self._opened().compute()


class DatasetSource(_XarraySource):
    """A dataset of the package, through its downloads and its cache, or a file of the convention.

    Parameters
    ----------
    dataset
        ``"delaware"``, ``"simulated"``, or the path of a netCDF file or a Zarr folder.
    chunks
        Size of chunks by dimension for ``to_dask``. Default None: those of the store; 365 days of the
        simulated basin.
    metadata
        What the catalog says about the entry. ``discover()`` puts what the dataset says in its place.
    **arguments
        Arguments of :func:`xmsgl.datasets.delaware` or :func:`xmsgl.datasets.simulated`.
    """

    name = "xmsgl_dataset"

    def __init__(
        self,
        dataset: str | os.PathLike[str],
        *,
        chunks: Mapping[str, int] | None = None,
        metadata: Mapping[str, Any] | None = None,
        **arguments: Any,
    ) -> None:
        super().__init__(chunks, metadata)
        self._dataset, self._arguments = dataset, arguments

    def _open(self) -> xr.Dataset:
        return opening.open_data(self._dataset, **self._arguments)


class NetCDFSource(_XarraySource):
    """A dataset of the package as one netCDF-4 file that any reader of netCDF can open.

    The file lies in the cache and is written when first needed; see
    :func:`xmsgl.catalog.entries.netcdf_file`.

    Parameters
    ----------
    dataset
        ``"delaware"`` or ``"simulated"``.
    chunks
        Size of chunks by dimension for ``to_dask``. Default None: those of the file.
    metadata, **arguments
        As for :class:`DatasetSource`.
    """

    name = "xmsgl_netcdf"

    def __init__(
        self,
        dataset: str,
        *,
        chunks: Mapping[str, int] | None = None,
        metadata: Mapping[str, Any] | None = None,
        **arguments: Any,
    ) -> None:
        super().__init__(chunks, metadata)
        self._dataset, self._arguments = dataset, arguments

    @property
    def urlpath(self) -> str:
        """Path of the file, which is there once this was asked for."""
        return str(entries.netcdf_file(self._dataset, **self._arguments))

    def _open(self) -> xr.Dataset:
        return opening.open_data(self.urlpath)


class ModelSource(_Source):
    """A trained model: one that comes with the package, or a file.

    Parameters
    ----------
    model
        Name or path, see :func:`xmsgl.load_model`. Default: the packaged ``"delaware-async-msgl"``.
    metadata
        What the catalog says about the entry. ``discover()`` puts what the model says in its place.
    """

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

    def _about(self, obj: Model) -> dict[str, Any]:
        return entries.describe_model(obj)

    def read(self) -> Model:
        """Return the model."""
        model: Model = self._opened()
        return model

    def to_dask(self) -> Any:
        """Refuse: there is nothing to compute later."""
        msg = "a model is not an array that dask could hold; use read()"
        raise InvalidArgumentError(msg)


class TemperatureSource(_XarraySource):
    """A downscaled temperature: a dataset and a model, computed where and when it is looked at.

    Parameters
    ----------
    dataset
        As for :class:`DatasetSource`.
    model
        Name or path, see :func:`xmsgl.load_model`. Default: the packaged ``"delaware-async-msgl"``.
    chunks
        Size of chunks by dimension for ``to_dask``. Default None: one a window of days.
    downscale
        Further arguments of ``ds.msgl.downscale``, such as ``{"quantiles": [0.05, 0.5, 0.95]}``.
    metadata, **arguments
        As for :class:`DatasetSource`.
    """

    name = "xmsgl_temperature"

    def __init__(
        self,
        dataset: str | os.PathLike[str],
        model: str | os.PathLike[str] | None = None,
        *,
        chunks: Mapping[str, int] | None = None,
        downscale: Mapping[str, Any] | None = None,
        metadata: Mapping[str, Any] | None = None,
        **arguments: Any,
    ) -> None:
        super().__init__(chunks, metadata)
        self._dataset, self._model = dataset, model
        self._downscale, self._arguments = downscale, arguments

    def _open(self) -> xr.DataArray:
        return entries.temperature(self._dataset, self._model, downscale=self._downscale, **self._arguments)


def __getattr__(name: str) -> Any:
    # intake wants an object, not a function; files are read when somebody asks for it
    if name == "catalog":
        return YAMLFilesCatalog(
            f"{catalog_path().as_posix()}/*.yaml",
            name="xmsgl",
            description="Stream temperature at two scales, from xmsgl",
        )
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)
