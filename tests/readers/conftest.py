from __future__ import annotations

import os
from pathlib import Path

import pytest

SHARED = Path(__file__).parents[2].parent / "shared" / "data" / "mirror"


@pytest.fixture(scope="session")
def mirror():
    """The folder of real files of other projects, where there is one."""
    folder = Path(os.environ.get("XMSGL_DATA_MIRROR") or SHARED)
    if not folder.is_dir():
        pytest.skip("the mirror of other projects' files is not beside the repository")
    return folder


@pytest.fixture(scope="session", params=["new_hope", "walker"])
def hydroloom(mirror, request):
    """Each of the two samples of NHDPlusV2 flowlines that hydroloom ships."""
    found = sorted(mirror.glob(f"DOI-USGS/hydroloom/*/inst/extdata/{request.param}.gpkg"))
    if not found:
        pytest.skip(f"the mirror has no hydroloom sample {request.param}")
    return found[0]
