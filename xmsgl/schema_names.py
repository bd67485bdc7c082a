"""Names of the dataset convention: which variable plays which role, at which scale.

Nothing here looks at daily values; see :mod:`xmsgl.schema` for the door to all of it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from xmsgl.errors import InvalidArgumentError, InvalidDatasetError, shorten

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

__all__ = [
    "CROSSWALK",
    "LABEL",
    "PLACE",
    "PROCESS_COARSE",
    "SCALES",
    "TOPOLOGY",
    "Scale",
    "as_dataset",
    "drivers",
    "features_along",
    "id_values",
    "inherited",
    "period",
    "positions",
    "rename",
    "scale_of",
    "statics",
    "suffixed",
    "to_datatree",
    "union",
]

Scale = Literal["coarse", "fine"]
SCALES: tuple[Scale, Scale] = ("coarse", "fine")
LABEL = "water_temperature"
#: A process model's temperature of the segments.
PROCESS_COARSE = "simulated_temperature_coarse"
CROSSWALK = "coarse_segment"

TOPOLOGY = {"downstream", "length"}
PLACE = {"lat", "lon", "latitude", "longitude", "x", "y", "geometry"}
# what a model is compared with or taught by, never told: observed, simulated and true states
_NOT_A_DRIVER = re.compile(r"(water_temperature|discharge)|(simulated|true|observed)_")
_IDENTIFIER = re.compile(r"(^|_)(id|ids|comid|huc\d*|index)(_|$)")


def scale_of(name: Hashable) -> tuple[str, Scale | None]:
    """Split a variable's name into base name and scale.

    Parameters
    ----------
    name
        For example ``"air_temperature_coarse"``.

    Returns
    -------
    base : str
        The name without the scale.
    scale : {"coarse", "fine"} or None
        None when the name ends with neither.

    Examples
    --------
    >>> scale_of("air_temperature_coarse")
    ('air_temperature', 'coarse')
    >>> scale_of("coarse_segment")
    ('coarse_segment', None)
    """
    text = str(name)
    for scale in SCALES:
        if text.endswith(f"_{scale}") and len(text) > len(scale) + 1:
            return text[: -len(scale) - 1], scale
    return text, None


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


def id_values(values: npt.ArrayLike) -> npt.NDArray[Any]:
    """Bring ids to one of two kinds: int64 with 0 for "none", or text with "" for "none".

    Files keep ids as floats with NaN or as objects with None; this undoes it.

    Parameters
    ----------
    values
        Ids, any shape.

    Returns
    -------
    numpy.ndarray
        int64 or str; unchanged (float or object) when they are neither whole numbers nor text
        throughout, for the caller to refuse.

    Examples
    --------
    >>> id_values([101.0, float("nan")])
    array([101,   0])
    >>> id_values(np.array(["a", None], dtype=object))
    array(['a', ''], dtype='<U1')
    """
    array = np.asarray(values)
    if array.dtype.kind in "iu":
        return array.astype(np.int64)
    if array.dtype.kind == "f":
        whole = np.where(np.isnan(array), 0.0, array)
        # beyond 2**53 a float no longer tells one whole number from the next
        exact = (whole == np.rint(whole)) & (np.abs(whole) < 2.0**53)
        return whole.astype(np.int64) if exact.all() else array
    if array.dtype.kind in "US":
        return array.astype(str)
    flat = array.astype(object).ravel()
    missing = np.array([bool(pd.isna(value)) for value in flat], dtype=bool)
    present = flat[~missing]
    if all(isinstance(value, str) for value in present) and present.size:
        return np.where(missing, "", flat).astype(str).reshape(array.shape)
    if all(isinstance(value, int | np.integer) and not isinstance(value, bool) for value in present):
        return np.where(missing, 0, flat).astype(np.int64).reshape(array.shape)
    return array


def positions(ids: npt.ArrayLike, wanted: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Find ids by value.

    Parameters
    ----------
    ids
        The ids there are, shape (n,), without duplicates.
    wanted
        Ids to find, shape (m,).

    Returns
    -------
    numpy.ndarray
        int64 (m,): the position of each wanted id in `ids`; -1 where it is not among them.

    Examples
    --------
    >>> positions([7, 5, 9], [9, 7, 1])
    array([ 2,  0, -1])
    """
    known, sought = id_values(ids), id_values(wanted)
    # pandas would call 1 and "1" different anyway; numbers against text must not be cast
    if known.dtype.kind != sought.dtype.kind:
        return np.full(sought.shape, -1, dtype=np.int64)
    return np.asarray(pd.Index(known).get_indexer(pd.Index(sought)), dtype=np.int64)


def rename(
    obj: xr.Dataset | xr.DataTree, names: Mapping[str, str] | None, *, partial: bool = False
) -> xr.Dataset:
    """Give a dataset that uses other names those of the convention.

    Parameters
    ----------
    obj
        Dataset or DataTree.
    names
        Ours to theirs, for variables, coordinates and dimensions, for example
        ``{"coarse": "seg_id_nat", "water_temperature_coarse": "temp_c"}``. When a dimension's ids
        stand in an ordinary 1-D variable, name that variable: it becomes the index. None: nothing to do.
    partial
        Skip names that are not there. Default False: they are an error.

    Returns
    -------
    xarray.Dataset
        The same data under our names; nothing is computed.

    Raises
    ------
    InvalidArgumentError
        A name is not in the dataset, is used twice, or a new name is taken already.

    Examples
    --------
    >>> import xarray as xr
    >>> ds = xr.Dataset({"temp_c": (("date", "seg"), [[1.0, 2.0]])})
    >>> rename(ds, {"water_temperature_coarse": "temp_c", "time": "date", "coarse": "seg"}).sizes
    Frozen({'time': 1, 'coarse': 2})
    """
    ds = as_dataset(obj)
    there = {str(name) for name in (*ds.variables, *ds.dims)}
    wanted = {
        ours: _their_name(ours, theirs, there, tree=isinstance(obj, xr.DataTree))
        for ours, theirs in (names or {}).items()
    }
    missing = [theirs for theirs in wanted.values() if theirs not in there]
    if missing and not partial:
        msg = f"names: {shorten(missing)} not in the dataset; it has {shorten(sorted(there), 40)}"
        raise InvalidArgumentError(msg)
    wanted = {ours: theirs for ours, theirs in wanted.items() if theirs in there and ours != theirs}
    _refuse_clashes(wanted, there)
    for ours, theirs in wanted.items():
        if ours in {"time", *SCALES} and theirs not in ds.dims:
            (dim,) = ds[theirs].dims if ds[theirs].ndim == 1 else (None,)
            if dim is None:
                msg = f"names: {theirs!r} can not index {ours!r}: it has dimensions {ds[theirs].dims}"
                raise InvalidArgumentError(msg)
            ds = ds.set_coords(theirs).swap_dims({dim: theirs})
    return ds.rename({theirs: ours for ours, theirs in wanted.items()})


def _their_name(ours: str, theirs: str, there: set[str], *, tree: bool) -> str:
    """Inside a DataTree's node the name has no suffix; as_dataset has given it one."""
    scale = "fine" if ours == CROSSWALK else scale_of(ours)[1]
    if tree and theirs not in there and scale is not None:
        return f"{theirs}_{scale}"
    return theirs


def _refuse_clashes(wanted: Mapping[str, str], there: set[str]) -> None:
    theirs = list(wanted.values())
    twice = sorted({name for name in theirs if theirs.count(name) > 1})
    if twice:
        msg = f"names: {shorten(twice)} given for more than one of our names; each variable plays one role"
        raise InvalidArgumentError(msg)
    taken = sorted(name for name in wanted if name in there - set(theirs))
    if taken:
        msg = f"names: the dataset has {shorten(taken)} already; drop or rename it first"
        raise InvalidArgumentError(msg)


def as_dataset(obj: xr.Dataset | xr.DataTree) -> xr.Dataset:
    """Turn a DataTree with ``/coarse`` and ``/fine`` into the flat dataset of the convention.

    Parameters
    ----------
    obj
        A Dataset, returned as it is, or a DataTree. Variables of a node that lack the scale's suffix
        get it (``/fine/slope`` becomes ``slope_fine``); ``coarse_segment`` keeps its name.

    Returns
    -------
    xarray.Dataset
        Nothing is copied or computed.

    Raises
    ------
    InvalidDatasetError
        A node is missing, or the two have different times.
    InvalidArgumentError
        `obj` is neither a Dataset nor a DataTree, or two variables would get the same name.

    Examples
    --------
    >>> import xarray as xr
    >>> tree = xr.DataTree.from_dict({"/coarse": xr.Dataset({"slope": ("coarse", [0.1])}),
    ...                               "/fine": xr.Dataset({"slope": ("fine", [0.1, 0.2])})})
    >>> sorted(as_dataset(tree))
    ['slope_coarse', 'slope_fine']
    """
    if isinstance(obj, xr.Dataset):
        return obj
    if not isinstance(obj, xr.DataTree):  # callers need not be type-checked
        msg = f"expected an xarray.Dataset or xarray.DataTree, not {type(obj).__name__}"  # type: ignore[unreachable]
        raise InvalidArgumentError(msg)
    absent = [f"/{scale}" for scale in SCALES if scale not in obj.children]
    if absent:
        there = shorten([f"/{name}" for name in obj.children]) or "none"
        raise InvalidDatasetError(
            [f"the DataTree lacks {' and '.join(absent)} (its nodes: {there}); it needs /coarse and /fine"]
        )
    times = {scale: obj.children[scale].to_dataset().indexes.get("time") for scale in SCALES}
    coarse, fine = times["coarse"], times["fine"]
    if coarse is not None and fine is not None and not coarse.equals(fine):
        raise InvalidDatasetError(
            [
                f"/coarse has {period(coarse)}, /fine has {period(fine)}: both scales need the same times; "
                "join them by day, which fills labels with NaN: "
                'xmsgl.combine(tree["coarse"], tree["fine"], tree["fine/coarse_segment"])'
            ]
        )
    own = {scale: obj.children[scale].to_dataset(inherit=False) for scale in SCALES}
    return union([obj.to_dataset(), *(suffixed(node, scale, "all") for scale, node in own.items())])


def period(time: pd.Index) -> str:
    """Write a time index's size and ends for a message."""
    return f"{len(time)} times" + (f" ({time[0]} to {time[-1]})" if len(time) else "")


def suffixed(node: xr.Dataset, scale: Scale, which: Literal["all", "placed"] = "placed") -> xr.Dataset:
    """Add the scale's suffix where it lacks: to all variables, or to those along the scale."""
    new = {
        name: f"{name}_{scale}"
        for name, variable in node.variables.items()
        if name not in node.dims
        and name != CROSSWALK
        and scale_of(name)[1] is None
        and (which == "all" or scale in variable.dims)
    }
    twice = {name for name, full in new.items() if full in node.variables}
    same = {name for name in twice if _same_coordinate(node, name, new[name])}
    node = node.drop_vars(same)  # a prediction put back brings the coordinates of its reaches along
    new = {name: full for name, full in new.items() if name not in same}
    clash = sorted(str(name) for name in twice - same)
    if clash:
        msg = f"the {scale} data has both {shorten(clash)} and the same with '_{scale}'; rename one of each"
        raise InvalidArgumentError(msg)
    return node.rename(new)


def _same_coordinate(node: xr.Dataset, name: Hashable, full: str) -> bool:
    held = node.variables[name], node.variables[full]
    stored = all(variable.chunks is None for variable in held)
    return stored and {name, full} <= set(node.coords) and bool(held[0].equals(held[1]))


def union(parts: list[xr.Dataset]) -> xr.Dataset:
    """Put datasets side by side; where variables or attributes share a name, the first one's hold."""
    variables: dict[Hashable, xr.Variable] = {}
    coords: set[Hashable] = set()
    attrs: dict[Hashable, Any] = {}
    for part in parts:
        variables |= {name: array for name, array in part.variables.items() if name not in variables}
        coords |= set(part.coords)
        attrs = {**part.attrs, **attrs}
    ds = xr.Dataset({name: array for name, array in variables.items() if name not in coords}, attrs=attrs)
    return ds.assign_coords({name: array for name, array in variables.items() if name in coords})


def to_datatree(obj: xr.Dataset | xr.DataTree) -> xr.DataTree:
    """Turn the flat dataset into a DataTree with ``/coarse`` and ``/fine``.

    Inside a node names lose the scale's suffix (``tree["fine/water_temperature"]``); the crosswalk
    stands in ``/fine``; time, and what has neither scale, stands in the root and is inherited.

    Parameters
    ----------
    obj
        Dataset of the convention (a DataTree is brought to the standard form).

    Returns
    -------
    xarray.DataTree
        Nothing is copied or computed; :func:`as_dataset` gives the dataset back.

    Raises
    ------
    InvalidArgumentError
        A variable has both scales as dimensions, or two would get the same name.

    Examples
    --------
    >>> import xarray as xr
    >>> ds = xr.Dataset({"slope_coarse": ("coarse", [0.1]), "slope_fine": ("fine", [0.1, 0.2])})
    >>> to_datatree(ds)["fine/slope"].values
    array([0.1, 0.2])
    """
    ds = as_dataset(obj)
    names: dict[str, dict[Hashable, Hashable]] = {"": {}, "coarse": {}, "fine": {}}
    for name, variable in ds.variables.items():
        both = set(SCALES) <= set(variable.dims)
        base, said = scale_of(name)
        scale = next((s for s in SCALES if s in variable.dims), said or "")
        short = base if said == scale and base not in ds.dims else name
        if both or short in names[scale].values():
            why = "spans both scales" if both else f"would share the name {str(short)!r} with another"
            msg = f"{name!r} {why} and has no place in a DataTree; {'drop' if both else 'rename'} it"
            raise InvalidArgumentError(msg)
        names[scale][name] = short
    nodes = {
        path: ds[list(table)].drop_vars(set(ds.coords) - set(table), errors="ignore").rename(table)
        for path, table in names.items()
    }
    for scale in SCALES:
        nodes[scale].attrs = {}
    return xr.DataTree.from_dict({"/": nodes[""], "/coarse": nodes["coarse"], "/fine": nodes["fine"]})
