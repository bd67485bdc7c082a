"""A module on a device, bound to the graphs of one river network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

from xmsgl.errors import InvalidArgumentError, InvalidDatasetError, shorten
from xmsgl.operators import Operators
from xmsgl.windows import FloatArray, Scale, ScaleInputs, Window, feature_variables

if TYPE_CHECKING:
    from collections.abc import Sequence

    import xarray as xr

    from xmsgl.features import Scaling
    from xmsgl.models.model import Model

FREEZING = np.float32(0.0)  # degC


def resolve_device(device: str) -> torch.device:
    """Return the device to compute on.

    Parameters
    ----------
    device
        ``"auto"`` (a GPU where there is one), or what torch understands.

    Raises
    ------
    InvalidArgumentError
        No such device here.

    Examples
    --------
    >>> resolve_device("cpu")
    device(type='cpu')
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
    except RuntimeError as error:
        msg = f"device {device!r} is not one that torch knows; use 'auto', 'cpu' or 'cuda'"
        raise InvalidArgumentError(msg) from error
    if chosen.type == "cuda" and not torch.cuda.is_available():
        msg = f"device {device!r} was asked for, but torch sees no GPU; use device='auto' or 'cpu'"
        raise InvalidArgumentError(msg)
    return chosen


class Engine:
    """A trained model ready to predict on one network, window by window.

    Parameters
    ----------
    model
        The model.
    fixed
        Topology and static attributes of the dataset, in memory.
    device
        As in :func:`resolve_device`.
    """

    def __init__(self, model: Model, fixed: xr.Dataset, device: str) -> None:
        target = resolve_device(device)
        self._fixed = fixed.compute()  # not load(): the arrays may be those of the caller's dataset
        self._spec = model.spec
        refuse_missing(self._fixed, feature_variables(self._fixed, self._spec.features, dynamic=False))
        self._module = model.module().to(target)
        self._operators = Operators.build(self._fixed, model.spec.graph, model.spec.segments, target)
        self._scales = self._module.input_scales

    def run(self, drivers: xr.Dataset, window: Window) -> npt.NDArray[np.float32]:
        """Predict the scored days of a window.

        Parameters
        ----------
        drivers
            The dynamic features of the window and of as many warm-up days as the record has.
        window
            Which days these are.

        Returns
        -------
        numpy.ndarray
            Temperature, degC, float32 (day, fine); never below 0, where water stays until it is ice.

        Raises
        ------
        InvalidDatasetError
            A driver is not finite on these days.
        """
        loaded = drivers.compute()
        refuse_missing(loaded, [str(name) for name in loaded.data_vars])
        n_days = loaded.sizes["time"]
        length = window.stop - window.start
        days = np.clip(np.arange(n_days - length - window.warmup, n_days, dtype=np.int64), 0, n_days - 1)[
            None
        ]
        inputs = {
            scale: gather(loaded, self._fixed, self._spec.features, scale, self._spec.scaling[scale], days)
            for scale in self._scales
        }
        with torch.no_grad():
            output = self._module.predict(self._operators.batch(inputs))
        scaling = self._spec.scaling[self._module.prediction_scale]
        values = output[window.warmup :, :, 0].float().cpu().numpy()
        degrees = values * np.float32(scaling.label_deviation) + np.float32(scaling.label_mean)
        floored: npt.NDArray[np.float32] = np.maximum(degrees, FREEZING)
        return floored


def refuse_missing(ds: xr.Dataset, names: Sequence[str]) -> None:
    """Refuse features that are not finite: the graph would carry one NaN to every reach around.

    Parameters
    ----------
    ds
        In memory.
    names
        Variables to look at.

    Raises
    ------
    InvalidDatasetError
        Naming each variable, its first ids and dates.
    """
    faults = []
    for name in names:
        gone = ~np.isfinite(ds[name].values)
        if not gone.any():
            continue
        where = []
        for axis, dim in enumerate(ds[name].dims):
            labels = ds[dim].values[gone.any(axis=tuple({*range(gone.ndim)} - {axis}))]
            days = labels.dtype.kind == "M"
            where.append(f"{dim} {shorten(np.datetime_as_string(labels, 'D') if days else labels)}")
        faults.append(
            f"{name}: {gone.sum()} values are NaN or infinite, and a prediction needs them all: "
            f"{'; '.join(where)}; fill them, or drop these ids or days"
        )
    if faults:
        raise InvalidDatasetError(faults)


def gather(
    drivers: xr.Dataset,
    fixed: xr.Dataset,
    features: Sequence[Any],
    scale: Scale,
    scaling: Scaling,
    days: npt.NDArray[np.int64],
) -> FloatArray:
    """Gather the standardised features of a scale, see :meth:`xmsgl.windows.ScaleInputs.gather`."""
    inputs = ScaleInputs(drivers, features, scale, fixed)
    inputs.use(scaling)
    return inputs.gather(days)
