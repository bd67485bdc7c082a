"""What a model is fed: features, their transforms, and the scaling fitted on training days."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

TRANSFORMS: dict[str, Callable[[npt.NDArray[Any]], npt.NDArray[Any]]] = {
    "identity": lambda values: values,
    "log1p": lambda values: np.log1p(np.maximum(values, 0.0)),
    "sqrt": lambda values: np.sqrt(np.maximum(values, 0.0)),
}
# Quantities that spread over decades; on a linear scale a few large rivers would be all one sees.
SKEWED = {"drainage_area": "log1p", "width": "log1p", "precipitation": "log1p", "discharge": "log1p", "slope": "sqrt"}


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
    """

    name: str
    units: str
    dynamic: bool
    transform: str = "identity"

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
