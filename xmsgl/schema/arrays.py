"""Arguments that may be a DataArray or a Dataset of one variable."""

from __future__ import annotations

import xarray as xr

from xmsgl.errors import InvalidArgumentError, shorten

__all__ = ["as_array"]


def as_array(obj: xr.DataArray | xr.Dataset, what: str = "prediction") -> xr.DataArray:
    """Return the array itself, or the only variable of a Dataset, as a written prediction opens."""
    if isinstance(obj, xr.DataArray):
        return obj
    if isinstance(obj, xr.Dataset):
        names = list(obj.data_vars)
        if len(names) == 1:
            return obj[names[0]]
        msg = f"{what} is a Dataset without variables; give the array itself"
        if names:
            msg = (
                f"{what} is a Dataset of {len(names)} variables ({shorten(names)}); give one of them: "
                f"{what}[{str(names[0])!r}]"
            )
        raise InvalidArgumentError(msg)
    msg = (  # type: ignore[unreachable]  # callers need not be type-checked
        f"{what} is a {type(obj).__name__}; give an xarray.DataArray, or a Dataset of one variable: "
        "open a file with xr.open_dataset(path), label values with xr.DataArray(values, dims=..., coords=...)"
    )
    raise InvalidArgumentError(msg)
