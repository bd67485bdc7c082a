"""The inputs of a model: from the names a user gives to features of a dataset."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from xmsgl import schema
from xmsgl.errors import InvalidArgumentError, did_you_mean, shorten
from xmsgl.inputs.features import SKEWED, Feature, parse_feature, weather_memory
from xmsgl.inputs.neighbours import neighbour_features
from xmsgl.inputs.neighbours_fit import assign_neighbours
from xmsgl.inputs.season import SEASON, assign_season

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import xarray as xr

    from xmsgl.inputs.neighbours import Neighbours
    from xmsgl.network.known import KnownSegments

__all__ = ["assign_inputs", "choose_features", "is_computed", "network_features", "parse_features"]

# Soil and groundwater respond to the weather of past weeks, which a small cell does not remember.
_MEMORY, _MEMORY_DAYS = "air_temperature", (7, 30, 90)
_ANOMALIES = "neighbour_anomalies"
# Of the segment's own gauge, and of those on the same river.
_USUAL_ANOMALIES = tuple(f"{_ANOMALIES}:{length}km" for length in (0, 40, 80))
_COMPUTED = re.compile(r"neighbour_[\d.e+]+km_(mean|warm|cold|support)")
_LENGTH = re.compile(rf"{_ANOMALIES}:(\d+(?:\.\d+)?)km")


def parse_features(names: Sequence[str]) -> tuple[float, ...]:
    """Refuse invalid features, and return the e-folding lengths of neighbour anomalies, m."""
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
            if found is None:
                msg = f"feature {name!r} must give a length along the river, as in '{_ANOMALIES}:10km'"
                raise InvalidArgumentError(msg)
            lengths.append(1000.0 * float(found[1]))
        else:
            parse_feature(name)
    if len(set(lengths)) < len(lengths):
        msg = f"features {shorten(names)} give the same length of {_ANOMALIES} twice"
        raise InvalidArgumentError(msg)
    return tuple(lengths)


def network_features(names: Sequence[str], *, coarse: bool) -> tuple[str, ...]:
    """Write out the default inputs of networks; `coarse`: they learn from coarse observations."""
    usual = ["default", "season", *(_USUAL_ANOMALIES if coarse else ())]
    return tuple(dict.fromkeys(each for name in names for each in (usual if name == "default" else [name])))


def is_computed(name: str) -> bool:
    """Say whether an input is computed from the days and the observations of training."""
    return name in SEASON or _COMPUTED.fullmatch(name) is not None


def assign_inputs(
    ds: xr.Dataset, *, season: bool, neighbours: Neighbours | None, network: KnownSegments | None = None
) -> xr.Dataset:
    """Add the computed inputs, time of year and neighbour anomalies, for training and prediction alike.

    `network` holds the segments that the ids of `neighbours` belong to, by default the dataset's own.
    """
    ds = assign_neighbours(ds, neighbours, network)
    return assign_season(ds) if season else ds


def choose_features(ds: xr.Dataset, names: Sequence[str] = ("default",)) -> tuple[Feature, ...]:
    """List the inputs of a model in a dataset with all computed inputs."""
    lengths = parse_features(names)
    computed = {*(SEASON if "season" in names else ()), *neighbour_features(lengths)}
    drivers, statics = schema.drivers(ds), schema.statics(ds)
    own = {
        group: [name for name in names if name not in computed]
        for group, names in (("drivers", drivers), ("statics", statics))
    }
    chosen = [parse_feature(label) for label in _expand(names, own)]
    if unknown := [name for name, _ in chosen if name not in {*drivers, *statics}]:
        has = ", ".join([*own["drivers"], *own["statics"]])
        msg = f"features {shorten(unknown)} are not in the dataset, which has {has}"
        raise InvalidArgumentError(msg + did_you_mean(unknown[0], ["default", "season", *drivers, *statics]))
    if fixed := [name for name, days in chosen if days > 1 and name in statics]:
        msg = f"features {shorten(fixed)} do not change in time and have no mean over days; leave out ':days'"
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
    """Replace names of groups by their features, each feature once."""
    memory = [f"{_MEMORY}:{days}" for days in _MEMORY_DAYS if _MEMORY in own["drivers"]]
    groups = {
        **own,
        "default": [*own["drivers"], *memory, *own["statics"]],
        "season": [*SEASON],
        "weather_memory": [label.removesuffix(":1") for label in weather_memory(own["drivers"])],
    }
    labels: list[str] = []
    for name in names:
        if found := _LENGTH.fullmatch(name):
            labels += neighbour_features([1000.0 * float(found[1])])
        else:
            labels += groups.get(name, [name])
    return list(dict.fromkeys(labels))
