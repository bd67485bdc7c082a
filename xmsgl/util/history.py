"""The ``history`` attribute: what was done to an object, when, by which version."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TypeVar

import xarray as xr

from xmsgl.errors import InvalidArgumentError

__all__ = ["stamp"]

Labelled = TypeVar("Labelled", xr.Dataset, xr.DataArray, xr.DataTree)


def stamp(obj: Labelled, line: str) -> Labelled:
    """Add a line with time (UTC) and version to the ``history`` attribute (CF-1.11, section 2.6.2)."""
    from xmsgl.util.version import __version__

    text = " ".join(line.split())
    if not text:
        msg = "the history line is empty; it must say what was done"
        raise InvalidArgumentError(msg)
    moment = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    former = str(obj.attrs.get("history", "")).rstrip("\n")
    new = f"{moment} xmsgl {__version__}: {text}"
    done = obj.copy(deep=False)
    done.attrs = {**obj.attrs, "history": f"{former}\n{new}" if former else new}
    return done
