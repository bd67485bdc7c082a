"""The name and arguments that a dataset of the package was made with, kept in an attribute."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["ATTRIBUTE", "origin_of", "write_origin"]

ATTRIBUTE = "xmsgl_dataset"


def write_origin(dataset: str, **arguments: Any) -> str:
    """Return the attribute's text: what is needed to make the dataset again."""
    given = {name: value for name, value in arguments.items() if value is not None}
    return json.dumps({"dataset": dataset, **given})


def origin_of(ds: xr.Dataset) -> dict[str, Any]:
    """Read the attribute, which does not record later changes such as masked labels or selected days."""
    found: dict[str, Any] = json.loads(ds.attrs.get(ATTRIBUTE, "{}"))
    return found
