from __future__ import annotations

import os
from pathlib import Path

import pytest

SHARED = Path(__file__).parents[2].parent / "shared" / "data" / "mirror"


@pytest.fixture(scope="session")
def mirrored():
    """Finds a real file of another project; skips the test where there is none."""
    folder = Path(os.environ.get("XMSGL_DATA_MIRROR") or SHARED)

    def find(pattern: str) -> Path:
        found = sorted(folder.glob(pattern))
        if not found:
            pytest.skip(f"there is no {pattern} in {folder}")
        return found[0]

    return find


@pytest.fixture(scope="session", params=["new_hope", "walker"])
def hydroloom(mirrored, request):
    """Each of the two samples of NHDPlusV2 flowlines in hydroloom."""
    return mirrored(f"DOI-USGS/hydroloom/*/inst/extdata/{request.param}.gpkg")
