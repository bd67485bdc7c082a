"""Which inputs a model has: from the words of a user to features of a dataset."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from xmsgl import schema
from xmsgl.errors import InvalidArgumentError, shorten
from xmsgl.inputs.features import SKEWED, Feature, parse_feature
from xmsgl.inputs.neighbours import neighbour_features
from xmsgl.inputs.neighbours_fit import assign_neighbours
from xmsgl.inputs.season import SEASON, assign_season

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import xarray as xr

    from xmsgl.inputs.neighbours import Neighbours
    from xmsgl.network.known import KnownSegments

__all__ = ["Wanted", "assign_inputs", "choose_features", "parse_features"]

# Rivers remember weeks of weather through soil and groundwater, longer than a small cell does.
_MEMORY, _MEMORY_DAYS = "air_temperature", (7, 30, 90)
_ANOMALIES = "neighbour_anomalies"
_LENGTH = re.compile(rf"{_ANOMALIES}:(\d+(?:\.\d+)?)km")


@dataclass(frozen=True)
class Wanted:
    """What a list of features asks to be computed beside what a dataset has.

    Attributes
    ----------
    season
        The time of year.
    lengths
        E-folding lengths of neighbour anomalies, m.
    """

    season: bool = False
    lengths: tuple[float, ...] = ()


def parse_features(names: Sequence[str]) -> Wanted:
    """Read what features ask for, and refuse what cannot be one."""
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
        msg = f"features must be a list of names, such as ['default', 'season'], got {names!r}"
        raise InvalidArgumentError(msg)
    if len(set(names)) < len(names):
        msg = f"features {shorten(sorted({name for name in names if names.count(name) > 1}))} are given twice"
        raise InvalidArgumentError(msg)
    lengths = []
    for name in names:
        if name.startswith(_ANOMALIES):
            found = _LENGTH.fullmatch(name)
            if found is None or not float(found[1]) > 0:
                msg = f"feature {name!r}: give a length along the river, as in '{_ANOMALIES}:10km'"
                raise InvalidArgumentError(msg)
            lengths.append(1000.0 * float(found[1]))
        else:
            parse_feature(name)
    if len(set(lengths)) < len(lengths):
        msg = f"features {shorten(names)} give the same length of {_ANOMALIES} twice"
        raise InvalidArgumentError(msg)
    return Wanted("season" in names, tuple(lengths))


def assign_inputs(
    ds: xr.Dataset, *, season: bool, neighbours: Neighbours | None, network: KnownSegments | None = None
) -> xr.Dataset:
    """Add what is computed to a dataset: the time of year, and the anomalies of observed neighbours.

    Training and prediction both come through here. `network` holds the segments that the ids of
    `neighbours` belong to, by default the dataset's own. Lazy where the dataset is.
    """
    ds = assign_neighbours(ds, neighbours, network)
    return assign_season(ds) if season else ds


def choose_features(ds: xr.Dataset, names: Sequence[str] = ("default",)) -> tuple[Feature, ...]:
    """List the inputs of a model for a dataset that has all it needs."""
    wanted = parse_features(names)
    computed = {*(SEASON if wanted.season else ()), *neighbour_features(wanted.lengths)}
    drivers, statics = schema.drivers(ds), schema.statics(ds)
    own = {
        "drivers": [name for name in drivers if name not in computed],
        "statics": [name for name in statics if name not in computed],
    }
    chosen = [parse_feature(label) for label in _expand(names, own)]
    if unknown := [name for name, _ in chosen if name not in {*drivers, *statics}]:
        has = ", ".join([*own["drivers"], *own["statics"]])
        msg = f"features {shorten(unknown)} are not in the dataset; it has {has}"
        raise InvalidArgumentError(msg)
    if fixed := [name for name, days in chosen if days > 1 and name in statics]:
        msg = f"features {shorten(fixed)} do not change in time; there is no mean over days to take"
        raise InvalidArgumentError(msg)
    if not any(name in drivers for name, _ in chosen):
        msg = "a model needs at least one driver, for example air_temperature_coarse (time, coarse)"
        raise InvalidArgumentError(msg)
    return tuple(
        Feature(
            name=name,
            units=str(ds[f"{name}_coarse"].attrs.get("units", "")),
            dynamic=name in drivers,
            transform=SKEWED.get(name, "identity"),
            days=days,
        )
        for name, days in chosen
    )


def _expand(names: Iterable[str], own: dict[str, list[str]]) -> list[str]:
    """Replace each word by the features it stands for; each feature comes once."""
    memory = [f"{_MEMORY}:{days}" for days in _MEMORY_DAYS if _MEMORY in own["drivers"]]
    words = {
        **own,
        "default": [*own["drivers"], *memory, *own["statics"]],
        "season": [*SEASON],
    }
    labels: list[str] = []
    for name in names:
        if found := _LENGTH.fullmatch(name):
            labels += neighbour_features([1000.0 * float(found[1])])
        else:
            labels += words.get(name, [name])
    return list(dict.fromkeys(labels))
