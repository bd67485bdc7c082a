"""The entries of a catalog, without intake: datasets, netCDF files, downscaled temperatures, metadata.

:mod:`xmsgl.catalog.drivers` and :mod:`xmsgl.catalog.readers` offer them to both versions of intake.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TypeVar

import xarray as xr

from xmsgl.datasets.download import cache_folder
from xmsgl.datasets.open import DATASETS, arguments_of, open_data
from xmsgl.datasets.store import build_key
from xmsgl.errors import InvalidArgumentError
from xmsgl.export.netcdf import write_netcdf
from xmsgl.schema.roles import roles
from xmsgl.util.plain import read_plain
from xmsgl.util.spec import bind
from xmsgl.util.writing import whole

if TYPE_CHECKING:
    import os
    from collections.abc import Hashable, Mapping
    from pathlib import Path

    from xmsgl.models.file.model import Model

__all__ = ["describe", "describe_model", "lazy", "netcdf_file", "temperature"]

Labelled = TypeVar("Labelled", xr.Dataset, xr.DataArray)

_DAYS = 365  # in one chunk of a dataset that is not lazy
_TEXTS = ("title", "licence", "credit", "limits", "references", "Conventions")


def lazy(obj: Labelled, chunks: Mapping[str, int] | None = None) -> Labelled:
    """Chunk the daily variables; without `chunks`, in 365 days unless they are chunked already."""
    sizes = {"time": _DAYS} if chunks is None else read_plain(dict[str, int], chunks, "chunks")
    if any(size < 1 and size != -1 for size in sizes.values()):
        msg = f"chunks must be sizes above 0 by dimension, or -1 for one chunk, not {chunks}"
        raise InvalidArgumentError(msg)
    if isinstance(obj, xr.DataArray):
        return lazy(obj.to_dataset(name="_"), chunks)["_"].rename(obj.name)
    daily = {name: variable for name, variable in obj.data_vars.items() if "time" in variable.dims}
    if chunks is None and any(variable.chunks is not None for variable in daily.values()):
        return obj
    for name, variable in daily.items():
        daily[name] = variable.chunk({dim: size for dim, size in sizes.items() if dim in variable.dims})
    return obj.assign(daily)


def netcdf_file(dataset: str, **arguments: Any) -> Path:
    """Return the path of a dataset as a netCDF file in the cache; write it if it does not exist.

    The name depends on the arguments, the code that builds the dataset and the version of the package, so
    that a file is never out of date.
    """
    if dataset not in DATASETS:
        known = " or ".join(map(repr, DATASETS))
        msg = f"dataset must be {known}, not {dataset!r}; open a file of your own directly"
        raise InvalidArgumentError(msg)
    folder = cache_folder(arguments.get("cache_dir")) / "netcdf"
    path = folder / f"{dataset}-{_version(dataset, arguments)}.nc"
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        _write(open_data(dataset, **arguments), path)
    return path


def _version(dataset: str, arguments: Mapping[str, Any]) -> str:
    from xmsgl.util.version import __version__

    bound = {name: value for name, value in arguments_of(dataset, arguments).items() if name != "cache_dir"}
    text = json.dumps(bound, sort_keys=True, default=str)
    return build_key([__version__, text])


def _write(ds: xr.Dataset, path: Path) -> None:
    """Write a compressed file, whole or not at all."""
    import dask

    encoding: dict[Hashable, dict[str, Any]] = {"time": {"dtype": "int32", "units": "days since 1970-01-01"}}
    for name, variable in ds.data_vars.items():
        if variable.dims[:1] == ("time",):
            days, *others = variable.shape
            chunks = (min(_DAYS, days), *others)
            encoding[name] = {"zlib": True, "complevel": 4, "chunksizes": chunks}
    with whole(path) as part, dask.config.set(scheduler="synchronous"):  # one block in memory at a time
        write_netcdf(ds, part, encoding)


def temperature(
    dataset: str | os.PathLike[str],
    model: str | os.PathLike[str] | None = None,
    *,
    chunks: Mapping[str, int] | None = None,
    downscale: Mapping[str, Any] | None = None,
    **arguments: Any,
) -> xr.DataArray:
    """Downscale a dataset lazily, (time, fine)."""
    from xmsgl.prediction.downscale import downscale as predict

    ds = lazy(open_data(dataset, **arguments))
    options = read_plain(dict[str, Any], downscale or {}, "downscale")
    bound = bind("downscale", predict, ds, model, **options)
    return lazy(predict(*bound.args, **bound.kwargs), chunks)


def describe(obj: xr.Dataset | xr.DataArray | Model) -> dict[str, Any]:
    """Return the metadata of a dataset, a result or a model for a catalog, from its own attributes."""
    if not isinstance(obj, xr.Dataset | xr.DataArray):
        return describe_model(obj)
    texts = {name: str(obj.attrs[name]) for name in _TEXTS if name in obj.attrs}
    if isinstance(obj, xr.DataArray):
        known = {str(obj.name): "prediction"}
        units = {str(obj.name): obj.attrs.get("units", "1")}
    else:
        known = roles(obj)
        units = {name: obj[name].attrs.get("units", "1") for name in known}
    variables = {name: {"units": str(units[name]), "role": role} for name, role in known.items()}
    return {**texts, "variables": variables}


def describe_model(model: Model) -> dict[str, Any]:
    """Return the metadata of a model for a catalog, from its own file."""
    training = model.spec.training
    period = f"{training.get('start', '?')} to {training.get('stop', '?')}"
    inputs = {
        feature.label: {"units": feature.units, "role": "driver" if feature.dynamic else "static"}
        for feature in model.spec.features
    }
    return {
        "method": model.method,
        "trained_on": f"{training.get('dataset') or 'a dataset'}, {period}",
        "sha256": model.sha256,
        "variables": {**inputs, "water_temperature": {"units": "degC", "role": "prediction"}},
    }
