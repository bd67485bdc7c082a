"""Features of a model, their transforms, and the scaling fitted to training days."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from xmsgl.errors import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import xarray as xr

TRANSFORMS: dict[str, Callable[[npt.NDArray[Any]], npt.NDArray[Any]]] = {
    "identity": lambda values: values,
    "log1p": lambda values: np.log1p(np.maximum(values, 0.0)),
    "sqrt": lambda values: np.sqrt(np.maximum(values, 0.0)),
}
# Quantities that span orders of magnitude; on a linear scale a few large rivers would dominate.
SKEWED = {
    "drainage_area": "log1p",
    "width": "log1p",
    "precipitation": "log1p",
    "discharge": "log1p",
    "slope": "sqrt",
}

#: Days of the trailing means of air temperature, for models without a memory of their own; and of other
#: drivers, whose effect on water temperature lasts less long.
AIR_WINDOWS = (1, 3, 7, 30, 90)
OTHER_WINDOWS = (1, 7, 30)


#: Most days of a trailing mean, and of the warm-up before a window.
LONGEST = 3660


@dataclass(frozen=True)
class Feature:
    """One input of a model, at both scales."""

    name: str  # base name of the variable, without the scale
    units: str  # as the dataset states them
    dynamic: bool  # a driver (time, scale), or else a static attribute (scale)
    transform: str = "identity"  # key of TRANSFORMS, applied before scaling
    days: int = 1  # length of a driver's trailing mean, the day itself included

    @property
    def label(self) -> str:
        """The feature as users write it: ``name``, or ``name:days`` for a trailing mean."""
        return self.name if self.days == 1 else f"{self.name}:{self.days}"


@dataclass(frozen=True)
class Scaling:
    """Mean and standard deviation of the features and labels of one scale on training days."""

    mean: tuple[float, ...]  # of each feature, after its transform
    deviation: tuple[float, ...]
    label_mean: float  # water temperature, degC
    label_deviation: float


def parse_feature(label: str) -> tuple[str, int]:
    """Split a feature into its base name and the days of its trailing mean."""
    name, colon, days = label.partition(":")
    if not colon:
        return name, 1
    if not days.isdigit() or len(days) > 4 or not 1 <= int(days) <= LONGEST:
        msg = (
            f"feature {label!r} must have a number of days, 1 to {LONGEST}, after the colon, as in "
            "'air_temperature:30'"
        )
        raise InvalidArgumentError(msg)
    return name, int(days)


def trailing_mean(values: npt.NDArray[Any], days: int) -> npt.NDArray[np.float64]:
    """Return the mean over the last days, the day itself included and fewer at the start, (time, ...)."""
    total = np.cumsum(values, axis=0, dtype=np.float64)
    shifted = np.zeros_like(total)
    shifted[days:] = total[:-days] if days < len(total) else 0.0
    count = np.minimum(np.arange(1, len(total) + 1), days).reshape(-1, *[1] * (total.ndim - 1))
    mean: npt.NDArray[np.float64] = (total - shifted) / count
    return mean


def weather_memory(drivers: Sequence[str]) -> list[str]:
    """List means of drivers over days to months, for models without a memory of their own."""
    air = "air_temperature"
    # Its daily extremes where the mean is missing.
    temperatures = [air] if air in drivers else [name for name in drivers if name.startswith(air)]
    others = [name for name in drivers if not name.startswith(air)]
    return [
        *(f"{name}:{days}" for name in temperatures for days in AIR_WINDOWS),
        *(f"{name}:{days}" for name in others for days in OTHER_WINDOWS),
    ]


def time_of_year(day_of_year: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Return cosine and sine of the time of year, (time, 2)."""
    angle = 2 * np.pi * np.asarray(day_of_year, dtype=np.float64) / 365.25
    return np.column_stack([np.cos(angle), np.sin(angle)])


def feature_variables(ds: xr.Dataset, features: Sequence[Feature], *, dynamic: bool) -> list[str]:
    """Name the variables of the drivers (``dynamic=True``) or of the static attributes."""
    bases = [feature.name for feature in features if feature.dynamic == dynamic]
    return [
        name for base in dict.fromkeys(bases) for name in (f"{base}_coarse", f"{base}_fine") if name in ds
    ]
