"""The readers as an engine of :func:`xarray.open_dataset`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xarray.backends import BackendEntrypoint

from xmsgl.errors import InvalidArgumentError
from xmsgl.readers.registry import names, read
from xmsgl.util.arguments import checked

if TYPE_CHECKING:
    from collections.abc import Iterable

    import xarray as xr

__all__ = ["XmsglBackend"]


class XmsglBackend(BackendEntrypoint):
    """Open files of other projects with ``xarray.open_dataset(path, engine="xmsgl", reader=...)``.

    Keyword arguments are those of the reader; ``chunks={}`` gives dask arrays, as for other engines. Without
    `engine`, only folders ending in ``.ssn`` are opened.

    Examples
    --------
    >>> import pandas as pd, xarray as xr
    >>> reaches = pd.DataFrame({"id": [1, 2], "downstream": [2, 0], "length": [900.0, 400.0]})
    >>> ds = xr.open_dataset(reaches, engine=XmsglBackend, reader="csv", units={"length": "m"})
    >>> ds["downstream_fine"].values
    array([2, 0])
    """

    description = "Read river networks and daily series of other projects with xmsgl"
    open_dataset_parameters = ("filename_or_obj", "drop_variables", "reader")

    @checked
    def open_dataset(
        self,
        filename_or_obj: Any,
        *,
        drop_variables: str | Iterable[str] | None = None,
        reader: str | None = None,
        **options: Any,
    ) -> xr.Dataset:
        """Open a dataset of one scale with a reader; only ``.ssn`` folders need not name theirs.

        Raises
        ------
        InvalidArgumentError
            The reader is not named.
        """
        if reader is None and not self.guess_can_open(filename_or_obj):
            msg = f"the engine 'xmsgl' needs the name of a reader, reader=; known: {', '.join(names())}"
            raise InvalidArgumentError(msg)
        ds = read(reader or "ssn", filename_or_obj, **options)
        dropped = [drop_variables] if isinstance(drop_variables, str) else drop_variables or ()
        return ds.drop_vars(dropped, errors="ignore")

    def guess_can_open(self, filename_or_obj: Any) -> bool:
        """Tell whether a path is that of a ``.ssn`` folder."""
        path = isinstance(filename_or_obj, str | os.PathLike)
        return path and Path(filename_or_obj).suffix.lower() == ".ssn"
