"""A baseline that a model does not learn: a regression, or a process model.

Most of a river's temperature is season and air temperature, which a linear relation tells, or physics, which
a process model computes. A network that learns only what these miss has less to learn from few labels, and
where it knows nothing it falls back on them. Its labels are observed minus baseline temperature, and what it
predicts is added to it. A fine reach takes the baseline temperature of its segment, so that both scales miss
the same, and what the coarse task knows is worth as much on reaches.

Plain numbers here, which a model's file keeps; :mod:`xmsgl.residual_fit` takes them from a dataset and
computes the baseline temperature of one.

References
----------
Mohseni & Stefan (1999), doi:10.1016/S0022-1694(99)00034-7, on air temperature and stream temperature;
Willard et al. (2022), Integrating scientific knowledge with machine learning for engineering and
environmental systems, doi:10.1145/3514228, section on residual modelling.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from xmsgl.features import AIR_WINDOWS, TRANSFORMS, Feature, time_of_year, trailing_mean

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["PROCESS", "PROCESS_COARSE", "RESIDUALS", "Residual", "air_means"]

Floats: TypeAlias = npt.NDArray[np.float64]

#: Base name of a process model's temperature.
PROCESS = "simulated_temperature"
#: The variable of a dataset.
PROCESS_COARSE = f"{PROCESS}_coarse"
#: What a model can be the rest of.
RESIDUALS: dict[str, str] = {
    "regression": "water temperature regressed on air temperature, season and static attributes",
    "process": f"{PROCESS_COARSE} of the dataset",
}

_FREEZING = 0.0  # degC
_HARMONICS = (1, 2)
_HINGE_DAYS = 7  # below freezing, water no longer follows the air
_SLOW_DAYS = 30  # spring water is colder than autumn water at the same air temperature
_WITHIN = 3.0  # deviations beyond which an attribute counts as if it were there: no line reaches far
_SEGMENTS_AT_ONCE = 128  # bounds memory: a few numbers of each day


@dataclass(frozen=True)
class Residual:
    """What the baseline temperature is made of.

    Attributes
    ----------
    kind
        One of `RESIDUALS`.
    features
        What it is computed from: of a regression means of air temperature, then static attributes.
    mean, deviation
        Of each static attribute over the segments it was fitted on, after its transform.
    coefficients
        Of the intercept and of each of :meth:`columns`, degC; none before it is fitted, and none of a process
        model.
    """

    kind: str
    features: tuple[Feature, ...]
    mean: tuple[float, ...] = ()
    deviation: tuple[float, ...] = ()
    coefficients: tuple[float, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values, ready for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Residual:
        """Make one from what :meth:`to_dict` returned."""
        features = tuple(Feature.from_dict(item) for item in values["features"])
        lists = {name: tuple(values[name]) for name in ("mean", "deviation", "coefficients")}
        return cls(kind=str(values["kind"]), features=features, **lists)

    @property
    def drivers(self) -> tuple[str, ...]:
        """Base names of the drivers it is computed from."""
        return tuple(dict.fromkeys(feature.name for feature in self.features if feature.dynamic))

    @property
    def attributes(self) -> tuple[Feature, ...]:
        """Static attributes it is computed from."""
        return tuple(feature for feature in self.features if not feature.dynamic)

    def columns(self, weather: Mapping[str, Any], fixed: Mapping[str, Any], day: Any) -> Iterator[Floats]:
        """Yield what temperature is regressed on, besides the intercept.

        Parameters
        ----------
        weather
            Drivers of consecutive days by base name, degC, (time, segment).
        fixed
            Static attributes by base name, (segment,).
        day
            Day of the year, (time,).

        Yields
        ------
        numpy.ndarray
            Two harmonics of the year (time, 1); means of air temperature (time, segment), each over days that
            end with the day itself, fewer at the start; the mean over 7 days above freezing; the mean over 30
            days times the first harmonic; standardised attributes (1, segment), cut at three deviations.
        """
        waves = [wave[:, None] for k in _HARMONICS for wave in time_of_year(k * np.asarray(day)).T]
        yield from waves
        share = 1.0 / len(self.drivers)  # of daily extremes, where there is no mean
        warm, slow = np.zeros(1), np.zeros(1)
        for feature in self.features:
            if not feature.dynamic:
                continue
            smooth = trailing_mean(weather[feature.name], feature.days)
            warm = warm + share * smooth if feature.days == _HINGE_DAYS else warm
            slow = slow + share * smooth if feature.days == _SLOW_DAYS else slow
            yield smooth
        yield np.maximum(warm, _FREEZING)
        yield from (slow * wave for wave in waves[:2])
        for feature, mean, deviation in zip(self.attributes, self.mean, self.deviation, strict=True):
            values = np.asarray(TRANSFORMS[feature.transform](fixed[feature.name]), np.float64)
            yield np.clip((values - mean) / deviation, -_WITHIN, _WITHIN)[None]

    def temperature(
        self, weather: Mapping[str, Any], fixed: Mapping[str, Any], day: Any
    ) -> npt.NDArray[np.float32]:
        """Return the baseline temperature, degC, float32 (time, segment); a regression is never below 0.

        Parameters
        ----------
        weather, fixed, day
            As for :meth:`columns`.

        Examples
        --------
        >>> air = tuple(Feature("air_temperature", "degC", True, days=days) for days in (1, 3, 7, 30, 90))
        >>> half = Residual("regression", air, coefficients=(2.0, *[0.0] * 4, 0.5, *[0.0] * 7))
        >>> half.temperature({"air_temperature": np.array([[10.0], [20.0], [-20.0]])}, {}, [1, 2, 3])
        array([[ 7.],
               [12.],
               [ 0.]], dtype=float32)
        """
        if self.kind == "process":
            return np.asarray(weather[PROCESS], np.float32)
        shape = np.shape(weather[self.drivers[0]])
        found = np.empty(shape, np.float32)
        for first in range(0, shape[1], _SEGMENTS_AT_ONCE):
            some = slice(first, first + _SEGMENTS_AT_ONCE)
            sums = np.full(found[:, some].shape, self.coefficients[0])
            block = {name: values[:, some] for name, values in weather.items()}
            held = {name: values[some] for name, values in fixed.items()}
            columns = self.columns(block, held, day)
            for coefficient, column in zip(self.coefficients[1:], columns, strict=True):
                sums += coefficient * column
            found[:, some] = np.maximum(sums, _FREEZING)
        return found

    def __str__(self) -> str:
        if self.kind == "process":
            return f"of {PROCESS_COARSE}, which a prediction needs too"
        names = [*self.drivers, "season", *(feature.name for feature in self.attributes)]
        return f"of a regression on {', '.join(names)}"


def air_means(units: Mapping[str, str]) -> tuple[Feature, ...]:
    """Return the means of air temperature that water is regressed on.

    Parameters
    ----------
    units
        Units by base name of each driver that is an air temperature.

    Examples
    --------
    >>> [feature.label for feature in air_means({"air_temperature": "degC"})][:2]
    ['air_temperature', 'air_temperature:3']
    """
    return tuple(Feature(name, unit, True, days=days) for name, unit in units.items() for days in AIR_WINDOWS)
