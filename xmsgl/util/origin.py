"""Where a dataset of the package comes from: its name and arguments, in an attribute that files keep."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["ATTRIBUTE", "origin_of", "write_origin"]

#: Name of the attribute.
ATTRIBUTE = "xmsgl_dataset"


def write_origin(dataset: str, **arguments: Any) -> str:
    """Write the attribute: what makes a dataset again."""
    given = {name: value for name, value in arguments.items() if value is not None}
    return json.dumps({"dataset": dataset, **given})


def origin_of(ds: xr.Dataset) -> dict[str, Any]:
    """Read the attribute.

    It tells what a dataset began as. That labels were masked or days chosen since, it does not.
    """
    found: dict[str, Any] = json.loads(ds.attrs.get(ATTRIBUTE, "{}"))
    return found
