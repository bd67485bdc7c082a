"""Metadata of all exports: attributes of variables and of the file, dates, storage."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr

from xmsgl.export.table import IDS
from xmsgl.schema.names import CROSSWALK
from xmsgl.schema.units import expected_units, same_units
from xmsgl.util.history import stamp

if TYPE_CHECKING:
    from xmsgl.export.table import Table

__all__ = ["describe", "pack", "prepare"]

# CF standard names by base name, with compatible units. There is none for stream temperature.
_STANDARD_NAMES = {
    "air_temperature": ("air_temperature", "degC"),
    "air_temperature_min": ("air_temperature", "degC"),
    "air_temperature_max": ("air_temperature", "degC"),
    "precipitation": ("lwe_precipitation_rate", "mm d-1"),
    "relative_humidity": ("relative_humidity", "%"),
    "solar_radiation": ("surface_downwelling_shortwave_flux_in_air", "W m-2"),
    "discharge": ("water_volume_transport_in_river_channel", "m3 s-1"),
}
_CARRIED = ("institution", "comment", "licence", "credit", "limits")
_METHOD = "Fan et al. (2025), doi:10.1609/aaai.v39i27.35014"
_OF_THE_FILE = {"source", "history"}  # attributes of a prediction that belong to the file
_STRUCTURE = {"node_count", "part_node_count", "network1d_edge_nodes", "time_bounds"}
_DAY = np.timedelta64(1, "D")


def prepare(flat: xr.Dataset) -> xr.Dataset:
    """Convert values, attributes and days to what a netCDF file can store."""
    if "time" in flat.coords and "time" not in flat.dims:  # one day was selected
        timed = [name for name in flat.data_vars if "cell_methods" in flat[name].attrs]
        flat = flat.assign({name: flat[name].expand_dims("time") for name in timed})
    done = flat.drop_encoding()
    for name in list(done.variables):
        array = done.variables[name]
        if array.dtype.kind == "T" or (array.dtype.kind == "O" and name not in done.xindexes):
            text = array.to_numpy().astype(object)  # StringDType cannot be converted to str directly
            done[name] = (array.dims, np.where(pd.isna(text), "", text).astype(str))
        done[name].attrs = _attributes(str(name), array)
    return _date(done) if "time" in done.dims else done


def _attributes(name: str, array: xr.Variable) -> dict[str, Any]:
    kept = {key: value for key, value in array.attrs.items() if value is not None and key not in _OF_THE_FILE}
    attrs = {"long_name": name.replace("_", " "), **kept}
    if array.dtype.kind in "OUST" or name in {"downstream", CROSSWALK, *IDS.values()}:
        attrs.pop("units", None)  # ids and names have no units
    if name in _STANDARD_NAMES and same_units(str(attrs.get("units")), _STANDARD_NAMES[name][1]):
        attrs["standard_name"] = _STANDARD_NAMES[name][0]
    if expected_units(name) == "degC" and same_units(str(attrs.get("units")), "degC"):
        attrs["units_metadata"] = "temperature: on_scale"
    return attrs


def _date(flat: xr.Dataset) -> xr.Dataset:
    """Describe the days and add their bounds."""
    time = flat["time"]
    if time.dtype.kind != "M":
        return flat
    start = time.to_numpy()
    attrs = {"long_name": "day", **time.attrs, "standard_name": "time", "axis": "T"}
    attrs["units_metadata"] = "leap_seconds: none"  # whole days
    done = flat.assign_coords(time=("time", start, attrs))
    if not (time == time.dt.floor("D")).all():
        return done
    done["time"].encoding = {"units": "days since 1970-01-01", "calendar": "standard", "dtype": "int32"}
    if len(start) > 1 and (np.diff(start) == _DAY).all():
        done["time"].attrs["bounds"] = "time_bounds"
        done = done.assign(time_bounds=(("time", "bounds"), np.stack([start, start + _DAY], axis=1)))
    return done


def describe(table: Table, convention: str) -> dict[str, str]:
    """Return the global attributes of a file."""
    dataset = table.network.attrs
    given = [table.values[name].attrs for name in table.given]
    model = next((attrs for attrs in given if "model_sha256" in attrs), None)
    titles = [str(dataset.get("title", "")), str(given[0].get("long_name", "")) if given else ""]
    origin = str(dataset.get("source", dataset.get("title", "")))
    references = [str(dataset.get("references", ""))]
    if model is not None:
        made = f"xmsgl, method {model.get('method')}, model sha256 {model['model_sha256']}"
        origin = f"{made}; its input: {origin}" if origin else made
        references.append(_METHOD)
    history = next(
        (str(attrs["history"]) for attrs in given if "history" in attrs), dataset.get("history", "")
    )
    attrs = {
        "Conventions": convention,
        "title": ": ".join(filter(None, titles)) or "stream network",
        "source": origin,
        "references": "; ".join(filter(None, references)),
        **{key: str(dataset[key]) for key in _CARRIED if key in dataset},
        "history": str(history),
    }
    kept = {key: value for key, value in attrs.items() if value}
    return dict(stamp(xr.Dataset(attrs=kept), f"export to {convention}").attrs)


def pack(done: xr.Dataset) -> xr.Dataset:
    """Set the storage: chunks as in memory, and no fill values where no value may be missing."""
    for name in list(done.variables):
        array = done[name]
        if array.dtype.kind in "fM" and (name in done.coords or (array.dims and array.dims[0] == "node")):
            array.encoding["_FillValue"] = None
        if name in _STRUCTURE:
            array.encoding["coordinates"] = None  # xarray then writes no list of coordinates
        if array.chunks is not None:
            array.encoding["chunksizes"] = tuple(max(sizes) for sizes in array.chunks)
    return done
