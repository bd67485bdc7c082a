"""Late imports of optional libraries."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from xmsgl.errors import MissingDependencyError

__all__ = ["require"]


def require(name: str, purpose: str, *, extra: str = "data") -> Any:
    """Import an optional library, or say how to install it."""
    try:
        return import_module(name)
    except ImportError as error:
        library = name.partition(".")[0]
        msg = f'{purpose} needs {library}, which is not installed: pip install "xmsgl[{extra}]"'
        raise MissingDependencyError(msg) from error
