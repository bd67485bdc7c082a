"""What each variable of a dataset is there for, in a word."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xmsgl.schema_names import (
    CROSSWALK,
    LABEL,
    PLACE,
    TOPOLOGY,
    as_dataset,
    drivers,
    scale_of,
    statics,
)

if TYPE_CHECKING:
    from collections.abc import Hashable

    import xarray as xr

__all__ = ["roles"]


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
