"""What a model is fed: features, their transforms, and the scaling fitted on training days."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from xmsgl.errors import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import xarray as xr

TRANSFORMS: dict[str, Callable[[npt.NDArray[Any]], npt.NDArray[Any]]] = {
    "identity": lambda values: values,
    "log1p": lambda values: np.log1p(np.maximum(values, 0.0)),
    "sqrt": lambda values: np.sqrt(np.maximum(values, 0.0)),
}
# Quantities that spread over decades; on a linear scale a few large rivers would be all one sees.
SKEWED = {
    "drainage_area": "log1p",
    "width": "log1p",
    "precipitation": "log1p",
    "discharge": "log1p",
    "slope": "sqrt",
}

#: Days over which air temperature is averaged where nothing else remembers it, each window ending on the
#: day itself; and the same of other drivers, which water forgets sooner.
AIR_WINDOWS = (1, 3, 7, 30, 90)
OTHER_WINDOWS = (1, 7, 30)


@dataclass(frozen=True)
class Feature:
    """One input of a model: a quantity that both scales know.

    Attributes
    ----------
    name
        Base name of the variable, without the scale.
    units
        Units of the values, as the dataset states them.
    dynamic
        True for a driver (time, scale), False for a static attribute (scale).
    transform
        Key of :data:`TRANSFORMS`, applied before scaling.
    days
        A driver's mean over so many days, the last one included: a memory the cell need not learn.
    """

    name: str
    units: str
    dynamic: bool
    transform: str = "identity"
    days: int = 1

    @property
    def label(self) -> str:
        """How users write the feature: ``name``, or ``name:days`` for a trailing mean."""
        return self.name if self.days == 1 else f"{self.name}:{self.days}"

    def to_dict(self) -> dict[str, Any]:
        """Return the feature as plain values, ready for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Feature:
        """Make a feature from what :meth:`to_dict` returned."""
        return cls(**values)


@dataclass(frozen=True)
class Scaling:
    """Mean and deviation of every feature and of the labels at one scale, from training days only.

    Attributes
    ----------
    mean, deviation
        One value a feature, in the order of the features, after their transform.
    label_mean, label_deviation
        Of the water temperature labels, degC.
    """

    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    label_mean: float
    label_deviation: float

    def to_dict(self) -> dict[str, Any]:
        """Return the scaling as plain values, ready for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Scaling:
        """Make a scaling from what :meth:`to_dict` returned."""
        return cls(
            tuple(values["mean"]), tuple(values["deviation"]), values["label_mean"], values["label_deviation"]
        )


def parse_feature(label: str) -> tuple[str, int]:
    """Split what a user wrote into a base name and the days of a trailing mean."""
    name, colon, days = label.partition(":")
    if not colon:
        return name, 1
    if not days.isdigit() or int(days) < 1:
        msg = f"feature {label!r}: behind the colon stands a number of days, as in 'air_temperature:30'"
        raise InvalidArgumentError(msg)
    return name, int(days)


def trailing_mean(values: npt.NDArray[Any], days: int) -> npt.NDArray[np.float64]:
    """Return the mean over the last days, the day itself included; over fewer at the start.

    Shapes: `values` (time, ...).
    """
    total = np.cumsum(values, axis=0, dtype=np.float64)
    shifted = np.zeros_like(total)
    shifted[days:] = total[:-days] if days < len(total) else 0.0
    count = np.minimum(np.arange(1, len(total) + 1), days).reshape(-1, *[1] * (total.ndim - 1))
    mean: npt.NDArray[np.float64] = (total - shifted) / count
    return mean


def weather_memory(drivers: Sequence[str]) -> list[str]:
    """List means of drivers over days to months: what a model without a memory is to be told.

    Shapes: returns (its extremes, where the mean is missing).
    """
    air = "air_temperature"
    warmth = [air] if air in drivers else [name for name in drivers if name.startswith(air)]
    others = [name for name in drivers if not name.startswith(air)]
    return [
        *(f"{name}:{days}" for name in warmth for days in AIR_WINDOWS),
        *(f"{name}:{days}" for name in others for days in OTHER_WINDOWS),
    ]


def time_of_year(day_of_year: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Return the time of the year as a point on a circle.

    Shapes: `day_of_year` (time,), returns (time, 2).
    """
    angle = 2 * np.pi * np.asarray(day_of_year, dtype=np.float64) / 365.25
    return np.column_stack([np.cos(angle), np.sin(angle)])


def feature_variables(ds: xr.Dataset, features: Sequence[Feature], *, dynamic: bool) -> list[str]:
    """Name the variables that hold the drivers (``dynamic=True``) or the static attributes."""
    names = [
        name
        for feature in features
        if feature.dynamic == dynamic
        for name in (f"{feature.name}_coarse", f"{feature.name}_fine")
        if name in ds
    ]
    return list(dict.fromkeys(names))
