"""R data frames from ``.rds`` files, read with the library rdata."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from xmsgl.errors import InvalidArgumentError
from xmsgl.util.optional import require

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

__all__ = ["read_rds"]


def read_rds(path: Path) -> pd.DataFrame:
    """Read a data frame that R saved with ``saveRDS``."""
    import pandas as pd

    rdata = require("rdata", "reading R data frames")

    def moments(values: Any, _: Any) -> Any:
        return pd.to_datetime(values, unit="s")

    constructors = {**rdata.conversion.DEFAULT_CLASS_MAP, "POSIXct": moments}
    try:
        with warnings.catch_warnings():
            # "Missing constructor" for tbl and POSIXt, which add nothing to the classes below them
            warnings.filterwarnings("ignore", message="Missing constructor")
            frame = rdata.read_rds(path, constructor_dict=constructors)
    except Exception as error:  # for damaged files rdata raises many kinds
        msg = f"{path} cannot be read as an R file ({error}); write it with saveRDS"
        raise InvalidArgumentError(msg) from error
    if not isinstance(frame, pd.DataFrame):
        msg = (
            f"{path} does not hold a data frame but a {type(frame).__name__}; save a data frame with saveRDS"
        )
        raise InvalidArgumentError(msg)
    return frame
