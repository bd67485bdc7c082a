"""Climate-by-HRU text files of PRMS: one line a day, one column a hydrologic response unit."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from xmsgl.errors import InvalidArgumentError

__all__ = ["read_cbh"]

_DATE_COLUMNS = 6  # year month day hour minute second


def read_cbh(path: str | Path) -> tuple[str, np.ndarray, np.ndarray]:
    r"""Read a PRMS climate-by-HRU file.

    Shapes: returns (time,).

    References
    ----------
    Markstrom, S. L. et al. (2015), PRMS-IV, the Precipitation-Runoff Modeling System, Version 4,
    USGS Techniques and Methods 6-B7, doi:10.3133/tm6B7.
    """
    path = Path(path)
    with path.open(encoding="utf-8") as stream:
        stream.readline()
        words = stream.readline().split()
        rule = stream.readline()
        if len(words) != 2 or not words[1].isdigit() or not rule.startswith("#"):
            msg = f"{path} is not a climate-by-HRU file: line 2 must be 'NAME COUNT', line 3 '####'"
            raise InvalidArgumentError(msg)
        name, count = words[0], int(words[1])
        try:
            table = np.loadtxt(stream, dtype=np.float64, ndmin=2)
        except ValueError as error:
            msg = f"{path} is not a climate-by-HRU file: {error}"
            raise InvalidArgumentError(msg) from error
    if table.shape[1] != _DATE_COLUMNS + count:
        msg = f"{path} announces {count} columns of values and has {table.shape[1] - _DATE_COLUMNS}"
        raise InvalidArgumentError(msg)
    dates = table[:, :3].astype(np.int64)
    month = (dates[:, 0] - 1970) * 12 + dates[:, 1] - 1
    time = month.astype("datetime64[M]").astype("datetime64[D]") + (dates[:, 2] - 1).astype("timedelta64[D]")
    return name, time, table[:, _DATE_COLUMNS:].astype(np.float32)
