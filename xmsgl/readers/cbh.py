"""Climate-by-HRU text files of PRMS (USGS Techniques and Methods 6-B7, doi:10.3133/tm6B7)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from xmsgl.errors import InvalidArgumentError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["read_cbh"]

_DATE = ["year", "month", "day", "hour", "minute", "second"]


def read_cbh(path: Path) -> tuple[str, pd.DatetimeIndex, NDArray[np.float32]]:
    """Read the name, the days (time,) and the values (time, hru) of a climate-by-HRU file."""
    with path.open(encoding="utf-8", errors="replace") as stream:  # comments may be in any encoding
        stream.readline()
        words = stream.readline().split()
        if len(words) != 2 or not words[1].isdecimal() or not stream.readline().startswith("#"):
            msg = f"{path} is not a climate-by-HRU file: line 2 must be 'NAME COUNT', line 3 '####'"
            raise InvalidArgumentError(msg)
        try:
            table = np.loadtxt(stream, ndmin=2)
            time = pd.DatetimeIndex(pd.to_datetime(pd.DataFrame(table[:, :3], columns=_DATE[:3]))).as_unit(
                "ns"
            )
        except ValueError as error:
            msg = f"{path} is not a climate-by-HRU file: {error}"
            raise InvalidArgumentError(msg) from error
    values = table[:, len(_DATE) :].astype(np.float32)
    if values.shape[1] != int(words[1]):
        msg = f"{path} announces {words[1]} columns of values but has {values.shape[1]}"
        raise InvalidArgumentError(msg)
    return words[0], time, values
