"""The role of each variable: driver, static attribute, label, topology, and so on."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from xmsgl.errors import InvalidArgumentError
from xmsgl.schema.names import CROSSWALK, LABEL, PLACE, TOPOLOGY, scale_of
from xmsgl.schema.tree import as_dataset

if TYPE_CHECKING:
    from collections.abc import Hashable

    import xarray as xr

    from xmsgl.util.scales import Scale

__all__ = ["drivers", "features_along", "inherited", "roles", "statics"]


def roles(obj: xr.Dataset | xr.DataTree) -> dict[str, str]:
    """Name the role of every variable."""
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


# observed, simulated and true states, which are never inputs of a model
_NOT_A_DRIVER = re.compile(r"(water_temperature|discharge)|(simulated|true|observed)_")
_IDENTIFIER = re.compile(r"(^|_)(id|ids|comid|huc\d*|index)(_|$)")


def drivers(obj: xr.Dataset | xr.DataTree) -> list[str]:
    """List the daily features: base names of the variables over (time, coarse) that are not states."""
    return features_along(as_dataset(obj), "coarse", {"time", "coarse"})


def statics(obj: xr.Dataset | xr.DataTree) -> list[str]:
    """List the static features: base names over (coarse), without topology, places and identifiers."""
    return features_along(as_dataset(obj), "coarse", {"coarse"})


def features_along(ds: xr.Dataset, scale: Scale, dims: set[str]) -> list[str]:
    """List the base names of one scale's variables over `dims` that can be inputs of a model."""
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
    """Tell whether reaches inherit a feature from their segments."""
    ds = as_dataset(obj)
    if f"{base}_coarse" not in ds.variables:
        known = ", ".join(drivers(ds) + statics(ds)) or "none"
        msg = f"{base!r} is not a feature: there is no variable '{base}_coarse'; features here: {known}"
        raise InvalidArgumentError(msg)
    return f"{base}_fine" not in ds.variables
