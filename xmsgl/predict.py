"""Downscaling: a model, a dataset, and the daily temperature of every reach, labelled.

The record is cut into the windows the model was trained with, whatever the chunks of the dataset,
so every chunking gives the same numbers. A lazy dataset gives a lazy result: one task prepares the
graphs, one task a window predicts, and nothing runs before it is asked for.

A window warms up by itself and needs no other, or it goes on where the one before has ended
(``carry=True``): then no day is computed twice, and windows wait for one another.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from tqdm import tqdm

from xmsgl import schema
from xmsgl.errors import InvalidArgumentError
from xmsgl.history import stamp
from xmsgl.models.model import Model, load_model
from xmsgl.models.storage import digest
from xmsgl.options import get_option
from xmsgl.windows import Window, cut_windows, feature_variables
from xmsgl.windows_check import check_features, warn_outside

if TYPE_CHECKING:
    import os


class ModelReference:
    """A model on its way to a worker: bytes that dask names by their digest.

    Two references to equal models are equal to dask, and each process builds the model once.
    """

    def __init__(self, payload: bytes) -> None:
        self.payload = payload
        self.sha256 = digest(payload)

    def __dask_tokenize__(self) -> tuple[str, str]:
        return "xmsgl.ModelReference", self.sha256

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ModelReference) and self.sha256 == other.sha256

    def __hash__(self) -> int:
        return hash(self.sha256)


@lru_cache(maxsize=8)
def _load(reference: ModelReference) -> Model:
    return Model.from_bytes(reference.payload, f"model {reference.sha256[:12]}")


def downscale(
    obj: xr.Dataset | xr.DataTree,
    model: Model | str | os.PathLike[str] | None = None,
    *,
    warmup: int | None = None,
    carry: bool = False,
    device: str = "auto",
) -> xr.DataArray:
    """Return the daily temperature of every fine reach.

    Parameters
    ----------
    obj
        Dataset with the drivers and the network; labels are not needed and not used.
    model
        A trained model, the name of a packaged one, or the path of a file; see
        :func:`xmsgl.load_model`. Default: the packaged ``"delaware-async-msgl"``, trained on one basin:
        on another it is a first guess, and ``ds.msgl.train`` the way to a better one.
    warmup
        Days run before each window to fill the model's memory, at least 0; default: as in training.
        At the start of the record, its first day is repeated.
    carry
        Hand the model's memory on from window to window: it reaches back to the start of the record,
        only the first window is warmed up, and days must be computed in order. A lazy result computes
        all days before the ones asked for. False: windows are independent, and any can be computed alone.
        A model that attends to the days of a window (``msgl`` without the fine task) still sees no others.
    device
        ``"auto"``, ``"cpu"`` or ``"cuda"``.

    Returns
    -------
    xarray.DataArray
        ``water_temperature`` (time, fine), float32, degC, never below 0. Lazy where the drivers are
        lazy, then one chunk a window of days; each needs the drivers of its days for the whole basin.

    Warns
    -----
    ExtrapolationWarning
        Static attributes, or drivers on the first day, lie far outside of what the model was trained on.
        What dask holds is not looked at.

    Raises
    ------
    ModelMismatchError
        Features of the model are missing in the dataset or have other units; lists all, and what to do.
    CheckpointError
        There is no such model.
    InvalidDatasetError
        A driver is NaN; of a lazy result, when the days are computed.
    InvalidArgumentError
        A negative warm-up.

    References
    ----------
    Fan et al. (2025), Multi-Scale Graph Learning for Anti-Sparse Downscaling, AAAI-25,
    doi:10.1609/aaai.v39i27.35014.
    """
    ds = schema.as_dataset(obj)
    fitted = model if isinstance(model, Model) else load_model(model)
    spec = fitted.spec
    if warmup is not None and warmup < 0:
        msg = f"warmup must be 0 days or more, got {warmup}"
        raise InvalidArgumentError(msg)
    check_features(ds, spec.features)
    warn_outside(ds, spec.features, spec.scaling)
    dynamic = feature_variables(ds, spec.features, dynamic=True)
    others = [name for name in ds.coords if name not in {"time", "coarse", "fine"}]
    drivers = ds[dynamic].drop_vars(others, errors="ignore")
    fixed = ds[[str(name) for name in ds.variables if "time" not in ds[name].dims]]
    windows = cut_windows(ds.sizes["time"], spec.window, spec.warmup if warmup is None else warmup)
    if carry:
        windows = [window if window.start == 0 else replace(window, warmup=0) for window in windows]
    memory = max(feature.days for feature in spec.features) - 1
    reference = ModelReference(fitted.payload)
    if windows and (_lazily_held(drivers) or _lazily_held(fixed)):
        values: Any = _lazy(reference, fixed, drivers, windows, memory, device, carry=carry)
    else:
        values = _eager(reference, fixed, drivers, windows, memory, device, carry=carry)
    return _label(values, ds, fitted, carry=carry)


def _lazily_held(ds: xr.Dataset) -> bool:
    # Not ds.chunks, which refuses variables that are chunked differently.
    return any(variable.chunks is not None for variable in ds.variables.values())


def _days(drivers: xr.Dataset, window: Window, memory: int) -> xr.Dataset:
    """Cut out the days of a window, its warm-up, and what the trailing means of the first look back on."""
    return drivers.isel(time=slice(max(0, window.start - window.warmup - memory), window.stop))


def _eager(
    reference: ModelReference,
    fixed: xr.Dataset,
    drivers: xr.Dataset,
    windows: list[Window],
    memory: int,
    device: str,
    *,
    carry: bool,
) -> npt.NDArray[np.float32]:
    engine = prepare(reference, fixed, device)
    values = np.empty((drivers.sizes["time"], fixed.sizes["fine"]), np.float32)
    left = None
    # Shown only where it takes a while.
    for window in tqdm(windows, "downscale", unit="window", delay=2.0, disable=not get_option("progress")):
        block, after = engine.resume(_days(drivers, window, memory), window, left)
        values[window.start : window.stop] = block
        left = after if carry else None
    return values


def _lazy(
    reference: ModelReference,
    fixed: xr.Dataset,
    drivers: xr.Dataset,
    windows: list[Window],
    memory: int,
    device: str,
    *,
    carry: bool,
) -> Any:
    import dask.array as da
    from dask.delayed import delayed

    engine = delayed(prepare, pure=True)(reference, fixed, device)
    run, resume = delayed(_run, pure=True), delayed(_resume, pure=True)
    blocks, left = [], None
    for window in windows:
        days = _days(drivers, window, memory)
        if carry:
            both = resume(engine, days, window, left)
            values, left = both[0], both[1]
        else:
            values = run(engine, days, window)
        shape = window.stop - window.start, fixed.sizes["fine"]
        blocks.append(da.from_delayed(values, shape, np.float32))
    return da.concatenate(blocks)


def _run(engine: Any, drivers: xr.Dataset, window: Window) -> npt.NDArray[np.float32]:
    values: npt.NDArray[np.float32] = engine.run(drivers, window)
    return values


def _resume(engine: Any, drivers: xr.Dataset, window: Window, left: Any) -> Any:
    return engine.resume(drivers, window, left)


def prepare(reference: ModelReference, fixed: xr.Dataset, device: str) -> Any:
    """Build what all windows share: the module, the graph operators, the static attributes."""
    from xmsgl.engine import Engine

    return Engine(_load(reference), fixed, device)


def _label(values: Any, ds: xr.Dataset, model: Model, *, carry: bool) -> xr.DataArray:
    coords = {
        name: coord
        for name, coord in ds.coords.items()
        if set(coord.dims) <= {"time", "fine"} and name != "coarse"
    }
    temperature = xr.DataArray(
        values,
        dims=("time", "fine"),
        coords=coords,
        name="water_temperature",
        attrs={
            "units": "degC",
            "long_name": "downscaled daily mean stream water temperature",
            "cell_methods": "time: mean",
            "method": model.method,
            "model_sha256": model.sha256,
            "source": str(ds.attrs.get("title", "")),
        },
    )
    ids = temperature["fine"]
    temperature = temperature.assign_coords(
        fine=("fine", ids.values, {"long_name": "reach id", **ids.attrs, "cf_role": "timeseries_id"})
    )
    if "history" in ds.attrs:
        temperature.attrs["history"] = ds.attrs["history"]
    how = f"method={model.method!r}, model sha256 {model.sha256[:12]}{', carry=True' if carry else ''}"
    return stamp(temperature, f"downscale({how})")
