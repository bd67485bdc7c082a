"""Progress bars, which the option ``progress`` turns off."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from importlib import import_module
from typing import TYPE_CHECKING, Any

from xmsgl.util.options import get_option

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from tqdm import tqdm

    from xmsgl.util.options import Progress

__all__ = ["PATIENCE", "dask_bar", "in_notebook", "progress_bar"]

PATIENCE = 2.0  # seconds of work before a bar is drawn where the work may be short


def progress_bar(
    total: float, what: str, *, unit: str, draw: Progress | None = None, **options: Any
) -> tqdm[Any]:
    """Make a progress bar, in a terminal or a notebook."""
    wanted = get_option("progress") if draw is None else draw
    # tqdm.auto warns about missing notebook widgets even if nothing is drawn
    library = import_module("tqdm.auto" if wanted else "tqdm")
    bar: tqdm[Any] = library.tqdm(total=total, desc=what, unit=unit, disable=not wanted, **options)
    return bar


def dask_bar(what: str) -> AbstractContextManager[Any]:
    """Draw a bar that counts the tasks that dask computes inside a ``with`` block, in this process."""
    if not get_option("progress"):
        return nullcontext()
    from tqdm.dask import TqdmCallback

    callback: AbstractContextManager[Any] = TqdmCallback(desc=what, unit="task", delay=PATIENCE)
    return callback


def in_notebook() -> bool:
    """Return whether this code runs in a Jupyter kernel, which can show HTML."""
    shell = sys.modules.get("IPython")  # a kernel has always imported it
    return getattr(shell and shell.get_ipython(), "kernel", None) is not None
