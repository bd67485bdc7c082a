"""What each variable of a dataset is there for, in a word."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import xarray as xr

from xmsgl.errors import InvalidArgumentError
from xmsgl.schema.names import CROSSWALK, LABEL, PLACE, TOPOLOGY, scale_of
from xmsgl.schema.tree import as_dataset

if TYPE_CHECKING:
    from collections.abc import Hashable

    import xarray as xr

    from xmsgl.util.scales import Scale

__all__ = ["drivers", "features_along", "inherited", "roles", "statics"]


def roles(obj: xr.Dataset | xr.DataTree) -> dict[str, str]:
    """Name the role of every variable.

    Shapes: returns (where water flows, how far).
    """
    ds = as_dataset(obj)
    features = dict.fromkeys(drivers(ds), "driver") | dict.fromkeys(statics(ds), "static")
    return {str(name): _role(name, features) for name in ds.data_vars}


def _role(name: Hashable, features: dict[str, str]) -> str:
    if name == CROSSWALK:
        return "crosswalk"
    base, scale = scale_of(name)
    if scale is None:
        return "other"
    fixed = dict.fromkeys(TOPOLOGY, "topology") | dict.fromkeys(PLACE, "place") | {LABEL: "label"}
    return fixed.get(base) or features.get(base, "other")


# what a model is compared with or taught by, never told: observed, simulated and true states
_NOT_A_DRIVER = re.compile(r"(water_temperature|discharge)|(simulated|true|observed)_")


_IDENTIFIER = re.compile(r"(^|_)(id|ids|comid|huc\d*|index)(_|$)")


def drivers(obj: xr.Dataset | xr.DataTree) -> list[str]:
    """List the daily features: base names of the variables over (time, coarse).

    Labels, simulated, observed and true states (``water_temperature*``, ``discharge*``,
    ``simulated_*``, ``observed_*``, ``true_*``) are left out: a model must not be told them.
    """
    return features_along(as_dataset(obj), "coarse", {"time", "coarse"})


def statics(obj: xr.Dataset | xr.DataTree) -> list[str]:
    """List the static features: base names of the numeric variables over (coarse).

    Topology (``downstream``, ``length``), place (``lat``, ``lon``, ``geometry``) and identifiers are
    left out.
    """
    return features_along(as_dataset(obj), "coarse", {"coarse"})


def features_along(ds: xr.Dataset, scale: Scale, dims: set[str]) -> list[str]:
    """List the base names of one scale's variables over `dims` that a model may be told."""
    names = []
    for name, array in ds.data_vars.items():
        base, its = scale_of(name)
        if its != scale or set(array.dims) != dims or array.dtype.kind not in "iuf":
            continue
        if base in TOPOLOGY | PLACE or _NOT_A_DRIVER.match(base) or _IDENTIFIER.search(base):
            continue
        names.append(base)
    return sorted(names)


def inherited(obj: xr.Dataset | xr.DataTree, base: str) -> bool:
    """Say whether the reaches take a feature from their segments."""
    ds = as_dataset(obj)
    if f"{base}_coarse" not in ds.variables:
        known = ", ".join(drivers(ds) + statics(ds)) or "none"
        msg = f"{base!r} is not a feature: there is no variable '{base}_coarse'; features here: {known}"
        raise InvalidArgumentError(msg)
    return f"{base}_fine" not in ds.variables
