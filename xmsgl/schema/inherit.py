"""Features that reaches inherit from their segments, corrected for height."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from xmsgl.errors import InvalidDatasetError, shorten
from xmsgl.schema.names import CROSSWALK, LABEL, positions
from xmsgl.schema.rivers import need_ids, read_small, segment_positions, unique_ids
from xmsgl.schema.roles import inherited
from xmsgl.schema.tree import as_dataset
from xmsgl.schema.units import in_units, same_units
from xmsgl.util.history import stamp
from xmsgl.util.scales import SCALES, Scale

__all__ = ["LAPSE_RATE", "carry", "fine_offset", "fine_values", "lapses"]

LAPSE_RATE = -6.5e-3
"""Change of air temperature with height, degC per m (ICAO standard atmosphere, Doc 7488)."""

_BLOCK_VALUES = 8_000_000  # of one block of the result, 32 MB in float32


def lapses(ds: xr.Dataset, base: str) -> bool:
    """Tell whether a feature is inherited with a correction for height."""
    known = all(f"elevation_{scale}" in ds.variables for scale in SCALES)
    return base.startswith("air_temperature") and f"{base}_fine" not in ds.variables and known


def fine_offset(obj: xr.Dataset | xr.DataTree, base: str) -> npt.NDArray[np.float64] | None:
    """Compute the height correction of what reaches inherit from their segments, (n_fine,).

    It is :data:`LAPSE_RATE` x (elevation of the reach - elevation of its segment) for air temperature, and
    None for other features.
    """
    ds = as_dataset(obj)
    if not lapses(ds, base):
        return None
    metric = ds.assign({height.name: height for height in _heights(ds)})
    (own,) = read_small(metric, "fine", "elevation_fine")
    (segment,) = read_small(metric, "coarse", "elevation_coarse")
    return _height_correction(own, segment[segment_positions(ds)], _degree(ds, base))


def _heights(ds: xr.Dataset) -> list[xr.DataArray]:
    """Return the elevation of reaches and of segments, m."""
    return [in_units(ds[f"elevation_{scale}"], "m") for scale in ("fine", "coarse")]


def _degree(ds: xr.Dataset, base: str) -> float:
    """Return one degC in the units of a temperature."""
    stated = f"{base}_coarse" in ds and str(ds[f"{base}_coarse"].attrs.get("units", ""))
    return 1.8 if stated and same_units(stated, "degF") else 1.0


def _height_correction(
    reach: npt.NDArray[Any], segment: npt.NDArray[Any], degree: float
) -> npt.NDArray[np.float64]:
    offset = LAPSE_RATE * degree * (reach.astype(np.float64) - segment)
    return np.where(np.isfinite(offset), offset, 0.0)


def fine_values(obj: xr.Dataset | xr.DataTree, base: str) -> xr.DataArray:
    """Return a feature at the fine scale, (time, fine): the reaches' own values, or their segments'."""
    ds = as_dataset(obj)
    if not inherited(ds, base):
        return ds[f"{base}_fine"]
    for scale in SCALES:
        need_ids(ds, scale)
    if CROSSWALK not in ds.variables:
        raise InvalidDatasetError([f"variable {CROSSWALK!r} over (fine) is missing"])
    source = ds[f"{base}_coarse"]
    if source.chunks is None:
        days = max(1, _BLOCK_VALUES // max(1, ds.sizes["fine"]))
        source = source.chunk({dim: days for dim in source.dims if dim == "time"})
    source = source.chunk({"coarse": -1}).drop_vars(_over(ds, "coarse"), errors="ignore")
    heights = _heights(ds) if lapses(ds, base) else []
    # the correction has decimals, also of whole degrees
    dtype = np.result_type(source.dtype, np.float32) if heights else source.dtype
    small = [array.drop_vars(_over(ds, *SCALES), errors="ignore") for array in (ds[CROSSWALK], *heights)]
    values: xr.DataArray = xr.apply_ufunc(
        _inherit,
        source,
        *(array.chunk(-1) if array.chunks is not None else array for array in small),
        input_core_dims=[["coarse"], ["fine"], *([["fine"], ["coarse"]] if heights else [])],
        output_core_dims=[["fine"]],
        kwargs={"segments": unique_ids(ds, "coarse"), "degree": _degree(ds, base), "dtype": dtype},
        dask="parallelized",
        output_dtypes=[dtype],
        dask_gufunc_kwargs={"output_sizes": {"fine": ds.sizes["fine"]}},
    )
    how = f"inherited from the segment{', corrected for height by -6.5 degC per km' if heights else ''}"
    attrs = {**ds[f"{base}_coarse"].attrs, "comment": how}
    coords = {name: ds.coords[name] for name in _over(ds, "fine")}
    return values.assign_coords(coords).rename(f"{base}_fine").assign_attrs(attrs)


def carry(temperature: xr.DataArray, obj: xr.Dataset | xr.DataTree) -> xr.DataArray:
    """Give each reach the temperature of its segment, (time, coarse) -> (time, fine); lazy if it is."""
    ds = as_dataset(obj).drop_dims(["time", "coarse"], errors="ignore")
    both = ds.merge(temperature.reset_coords(drop=True).to_dataset(name=LABEL))
    where = xr.DataArray(segment_positions(both), dims="fine")
    values = both[LABEL].drop_vars("coarse").isel(coarse=where).assign_coords(fine=ds["fine"])
    return stamp(values, f"carry({temperature.name})")


def _over(ds: xr.Dataset, *scales: Scale) -> list[str]:
    return [str(name) for name, coord in ds.coords.items() if set(coord.dims) & set(scales)]


def _inherit(
    values: npt.NDArray[Any],
    crosswalk: npt.NDArray[Any],
    reach_height: npt.NDArray[Any] | None = None,
    segment_height: npt.NDArray[Any] | None = None,
    *,
    segments: npt.NDArray[Any],
    degree: float,
    dtype: npt.DTypeLike,
) -> npt.NDArray[Any]:
    """Gather one block, (..., n_coarse) -> (..., n_fine)."""
    where = positions(segments, crosswalk)
    if (where < 0).any():
        lost = shorten(np.unique(crosswalk[where < 0]))
        raise InvalidDatasetError([f"{CROSSWALK} has segments that are not in the dataset: {lost}"])
    gathered = values[..., where]
    if reach_height is None or segment_height is None:
        return gathered
    offset = _height_correction(reach_height, segment_height[where], degree)
    return (gathered + offset).astype(dtype)
