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

    Parameters
    ----------
    obj
        Dataset or DataTree of the convention; nothing is computed.

    Returns
    -------
    dict
        Variable -> ``"topology"`` (where water flows, how far), ``"crosswalk"`` (which segment a reach lies
        on), ``"place"``, ``"driver"`` (daily input of a model), ``"static"`` (its other input), ``"label"``
        (observed temperature) or ``"other"``: what a model is not told, such as ids, simulated and true
        temperatures.

    Examples
    --------
    >>> import xarray as xr
    >>> roles(xr.Dataset({"slope_coarse": ("coarse", [0.1]), "slope_fine": ("fine", [0.2]),
    ...                   "huc8_coarse": ("coarse", ["02040101"])}))
    {'slope_coarse': 'static', 'slope_fine': 'static', 'huc8_coarse': 'other'}
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

    Parameters
    ----------
    obj
        Dataset or DataTree of the convention.

    Returns
    -------
    list of str
        Base names, sorted, so that the order of features never depends on that of a file.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> ds = xr.Dataset({n: (("time", "coarse"), np.zeros((2, 3)))
    ...                  for n in ("air_temperature_coarse", "water_temperature_coarse")})
    >>> drivers(ds)
    ['air_temperature']
    """
    return features_along(as_dataset(obj), "coarse", {"time", "coarse"})


def statics(obj: xr.Dataset | xr.DataTree) -> list[str]:
    """List the static features: base names of the numeric variables over (coarse).

    Topology (``downstream``, ``length``), place (``lat``, ``lon``, ``geometry``) and identifiers are
    left out.

    Parameters
    ----------
    obj
        Dataset or DataTree of the convention.

    Returns
    -------
    list of str
        Base names, sorted.

    Examples
    --------
    >>> import xarray as xr
    >>> statics(xr.Dataset({"slope_coarse": ("coarse", [0.1]), "lat_coarse": ("coarse", [41.0])}))
    ['slope']
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
    """Say whether the reaches take a feature from their segments.

    Parameters
    ----------
    obj
        Dataset or DataTree of the convention.
    base
        Base name of a driver or static attribute, for example ``"air_temperature"``.

    Returns
    -------
    bool
        True where ``<base>_fine`` is missing, False where the fine scale has its own values.

    Raises
    ------
    InvalidArgumentError
        The coarse scale lacks the feature too.

    Examples
    --------
    >>> import xarray as xr
    >>> inherited(xr.Dataset({"slope_coarse": ("coarse", [0.1])}), "slope")
    True
    """
    ds = as_dataset(obj)
    if f"{base}_coarse" not in ds.variables:
        known = ", ".join(drivers(ds) + statics(ds)) or "none"
        msg = f"{base!r} is not a feature: there is no variable '{base}_coarse'; features here: {known}"
        raise InvalidArgumentError(msg)
    return f"{base}_fine" not in ds.variables
