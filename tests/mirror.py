"""The real files: in the folder XMSGL_DATA_MIRROR names, otherwise in one beside the repository."""

from __future__ import annotations

import os
from pathlib import Path

from xmsgl.datasets.registry import registry

MIRROR = Path(
    os.environ.get("XMSGL_DATA_MIRROR") or Path(__file__).parents[2] / "shared" / "data" / "mirror"
).absolute()


def why_not() -> str:
    """Why tests marked ``delaware`` cannot run; empty if all files are there."""
    missing = [file.path for file in registry().values() if not (MIRROR / file.path).is_file()]
    if not missing:
        return ""
    return f"{MIRROR} lacks {missing[0]}; set XMSGL_DATA_MIRROR to a folder that holds the Delaware files"
