"""R data frames from ``.rds`` files, through the library rdata."""

from __future__ import annotations

import struct
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xmsgl.errors import InvalidArgumentError, MissingDependencyError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["read_rds"]


def read_rds(path: str | Path) -> pd.DataFrame:
    """Read a data frame that R saved with ``saveRDS``."""
    import pandas as pd

    try:
        import rdata
        from rdata.conversion import DEFAULT_CLASS_MAP
    except ImportError as error:
        msg = 'reading R data frames needs the library rdata: pip install "xmsgl[data]"'
        raise MissingDependencyError(msg) from error

    def moments(values: Any, _: Any) -> Any:
        return pd.to_datetime(values, unit="s")

    try:
        with warnings.catch_warnings():
            # "Missing constructor" for tbl and POSIXt, which add nothing to the classes below them.
            warnings.filterwarnings("ignore", message="Missing constructor")
            frame = rdata.read_rds(Path(path), constructor_dict={**DEFAULT_CLASS_MAP, "POSIXct": moments})
    except (ValueError, NotImplementedError, EOFError, OSError, struct.error) as error:
        msg = f"{path} can not be read as an R file ({error}); write it with saveRDS"
        raise InvalidArgumentError(msg) from error
    if not isinstance(frame, pd.DataFrame):
        msg = f"{path} holds no data frame but a {type(frame).__name__}; save one data frame with saveRDS"
        raise InvalidArgumentError(msg)
    return frame
