"""The ``history`` attribute: what was done to an object, when, by which version."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TypeVar

import xarray as xr

from xmsgl.errors import InvalidArgumentError

__all__ = ["stamp"]

Labelled = TypeVar("Labelled", xr.Dataset, xr.DataArray, xr.DataTree)


def stamp(obj: Labelled, line: str) -> Labelled:
    """Add a line to the ``history`` attribute, as the CF conventions describe it.

    Lines stand in the order of time, newest last, each with its moment in UTC and the version of the
    package, so that a file tells how it was made.

    References
    ----------
    CF conventions 1.11, section 2.6.2, "Description of file contents".
    """
    from xmsgl.util.version import __version__

    text = " ".join(line.split())
    if not text:
        msg = "a history line must say what was done, and this one is empty"
        raise InvalidArgumentError(msg)
    moment = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    former = str(obj.attrs.get("history", "")).rstrip("\n")
    new = f"{moment} xmsgl {__version__}: {text}"
    done = obj.copy(deep=False)
    done.attrs = {**obj.attrs, "history": f"{former}\n{new}" if former else new}
    return done
