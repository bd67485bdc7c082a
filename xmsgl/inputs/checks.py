"""Whether a dataset has the features of a model, complete and within the range of its training data."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import xarray as xr

from xmsgl import schema
from xmsgl.errors import ExtrapolationWarning, InvalidDatasetError, ModelMismatchError, shorten, warn
from xmsgl.inputs.choose import is_computed
from xmsgl.inputs.features import TRANSFORMS, Feature
from xmsgl.schema.advice import fill_days, fill_places
from xmsgl.schema.graphs import known_segments
from xmsgl.schema.units import advice, tidy_units
from xmsgl.schema.values import check_ranges

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from xmsgl.inputs.features import Scaling
    from xmsgl.network.known import KnownSegments
    from xmsgl.util.scales import Scale

__all__ = ["check_features", "refuse_unfit", "warn_foreign", "warn_outside"]

#: Standard deviations from the training mean beyond which a value is far outside, and the share of such
#: values that is worth a warning; of the training values themselves at most 1/36 are (Chebyshev).
FAR, SHARE = 6.0, 0.05
_BLOCK = 1 << 18


def check_features(ds: xr.Dataset, features: Sequence[Feature]) -> None:
    """Refuse a dataset without a model's features or with other units, by attributes alone."""
    # One of each, whatever its means over days.
    bases = {(feature.name, feature.units, feature.dynamic): feature for feature in features}
    names = {feature.name for feature in features}
    faults = [fault for feature in bases.values() for fault in _faults(ds, feature, names)]
    if not faults:
        return
    lines = "\n".join(f"  {number}. {fault}" for number, fault in enumerate(faults, 1))
    noun = "fault" if len(faults) == 1 else "faults"
    msg = (
        f"the dataset does not match the model, {len(faults)} {noun}:\n{lines}\n"
        "Rename, convert or add these variables, or train a model on the features of this dataset: "
        "ds.msgl.train()"
    )
    raise ModelMismatchError(msg)


def _faults(ds: xr.Dataset, feature: Feature, used: set[str]) -> list[str]:
    """List what is wrong with a feature of the dataset, at both scales."""
    faults = []
    for scale in schema.SCALES:
        name = f"{feature.name}_{scale}"
        dims = ("time", scale) if feature.dynamic else (scale,)
        if name not in ds:
            if scale == "coarse":  # a feature missing at the fine scale is inherited
                faults.append(_missing(ds, feature, used))
            continue
        found = str(ds[name].attrs.get("units", ""))
        if ds[name].dtype.kind not in "iuf":
            faults.append(f"{name} has dtype {ds[name].dtype}, the model needs numbers")
        if set(ds[name].dims) != set(dims):
            there = _written(ds[name].dims)
            faults.append(f"{name} has dimensions {there}, the model needs {_written(dims)}")
        if not schema.same_units(found, feature.units):
            what = f"is in {found!r}" if found else "has no units"
            faults.append(
                f"{name} {what}, the model needs {feature.units!r}; {_remedy(name, found, feature)}"
            )
    return faults


def _remedy(name: str, found: str, feature: Feature) -> str:
    units = tidy_units(feature.units)
    if not found:
        return f'if these are its units, ds["{name}"].attrs["units"] = "{units}"'
    return advice(name, found, units)


def _written(dims: Sequence[object]) -> str:
    return f"({', '.join(map(str, dims))})"


def _missing(ds: xr.Dataset, feature: Feature, used: set[str]) -> str:
    name, dims = f"{feature.name}_coarse", ("time", "coarse") if feature.dynamic else ("coarse",)
    fault = f"{name} is missing, {_written(dims)} in {feature.units!r}"
    alike = _alike(ds, feature, used)
    if not alike and f"{feature.name}_fine" in ds:
        return f"{fault}; the dataset has it for reaches, the model needs it for segments too"
    if not alike:
        return fault
    units = [str(ds[other].attrs.get("units", "")) for other in alike]
    there = ", ".join(f"{other} in {unit!r}" for other, unit in zip(alike, units, strict=True))
    same = schema.same_units(units[0], feature.units)
    convert = "" if same else f"; then {_remedy(name, units[0], feature)}"
    rename = f'ds = ds.rename({{"{alike[0]}": "{name}"}})'
    return f"{fault}; similar: {there}; if it is the same quantity, {rename}{convert}"


def _alike(ds: xr.Dataset, feature: Feature, used: set[str]) -> list[str]:
    """Find variables that could be the feature under another name; never a label."""
    dims = {"time", "coarse"} if feature.dynamic else {"coarse"}
    names = {
        schema.scale_of(name)[0].lower(): str(name)
        for name, array in ds.data_vars.items()
        if set(array.dims) == dims and name not in {f"{base}_coarse" for base in used}
    }
    as_named = xr.Dataset({f"{base}_coarse": ds[name].variable for base, name in names.items()})
    bases = schema.drivers(as_named) if feature.dynamic else schema.statics(as_named)
    return [names[base] for base in get_close_matches(feature.name.lower(), bases, n=2)]


def warn_outside(ds: xr.Dataset, features: Sequence[Feature], scaling: Mapping[Scale, Scaling]) -> None:
    """Warn if values of a dataset are far outside those a model was trained on.

    Not of computed inputs: another basin, without known neighbours, is warned of by :func:`warn_foreign`.
    """
    found: dict[str, str] = {}
    for number, feature in enumerate(features):
        for scale, fitted in scaling.items():
            own = f"{feature.name}_{scale}"
            name = own if own in ds else f"{feature.name}_coarse"  # inherited
            if feature.days > 1 or is_computed(feature.name) or name in found or name not in ds:
                continue
            mean, deviation = fitted.mean[number], fitted.deviation[number]
            far, low, high, n = 0, np.inf, -np.inf, 0
            flat = ds[name].values.ravel()
            for part in np.array_split(flat, flat.size // _BLOCK + 1):  # temporaries stay small
                values = part[np.isfinite(part)].astype(np.float64)
                scaled = (TRANSFORMS[feature.transform](values) - mean) / deviation
                far, n = far + int((np.abs(scaled) > FAR).sum()), n + values.size
                low, high = min(low, values.min(initial=np.inf)), max(high, values.max(initial=-np.inf))
            if n and far / n > SHARE:
                extent = f"{low:.4g} to {high:.4g} {feature.units}"
                found[name] = f"{name} ({far / n:.0%} of {n:,} values; range {extent})"
    if found:
        msg = (
            f"values far outside the training data, more than {FAR:g} standard deviations from its mean: "
            f"{'; '.join(found.values())}. Check the units, expect larger errors there, or train a model on "
            "this dataset: ds.msgl.train()"
        )
        warn(msg, ExtrapolationWarning)


def warn_foreign(fixed: xr.Dataset, network: KnownSegments) -> None:
    """Warn if a model was trained on none of a dataset's segments."""
    here = known_segments(fixed)
    if not network.ids or network.recognise(here).any():
        return
    shared = len(set(here.ids) & set(network.ids))
    chance = f" ({shared} ids are equal, but their lengths or links differ)" if shared else ""
    msg = (
        f"none of the {len(here.ids)} segments of this dataset is among the {len(network.ids)} that the "
        f"model was trained on{chance}: the prediction is a first guess. Train a model on observations of "
        "this basin, ds.msgl.train(), or check the prediction with ds.msgl.evaluate()"
    )
    warn(msg, ExtrapolationWarning)


def refuse_unfit(ds: xr.Dataset, names: Sequence[str]) -> None:
    """Refuse features that are not finite, which the graph would spread, or outside their physical range."""
    faults = []
    for name in names:
        gone = ~np.isfinite(ds[name].values)
        if not gone.any():
            continue
        where = []
        for axis, dim in enumerate(ds[name].dims):
            labels = ds[dim].values[gone.any(axis=tuple({*range(gone.ndim)} - {axis}))]
            days = labels.dtype.kind == "M"
            where.append(f"{dim} {shorten(np.datetime_as_string(labels, 'D') if days else labels)}")
        faults.append(
            f"{name}: {gone.sum()} values are NaN or infinite, but a prediction needs all of them: "
            f"{'; '.join(where)}; {_fill(ds[name], gone)}"
        )
    if faults := faults or list(check_ranges(ds, names)):
        raise InvalidDatasetError(faults)


def _fill(array: xr.DataArray, gone: npt.NDArray[np.bool_]) -> str:
    """Give code that fills what is not finite, of lazy arrays too."""
    name = str(array.name)
    condition = "np.isfinite({})" if np.isinf(array.values).any() else None
    if "time" not in array.dims:
        return f"fill them, as a first guess with the median: {fill_places(name, condition=condition)}"
    known = np.count_nonzero(~gone, axis=array.get_axis_num("time"))
    scale = next(str(dim) for dim in array.dims if dim != "time")
    code = fill_days(name, scale, condition=condition, lost=bool((known < 2).any()), chunked=True)
    return f"fill short gaps from the days around: {code}"
