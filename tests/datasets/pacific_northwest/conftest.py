from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.mirror import MIRROR
from xmsgl.util.options import set_options

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session")
def files() -> dict[str, Path]:
    """Path of every file in the mirror, by short name."""
    from xmsgl.datasets.registry import registry

    return {key: MIRROR / file.path for key, file in registry().items()}


@pytest.fixture(scope="session")
def northwest_cache(shared_folder):
    return shared_folder("northwest")


@pytest.fixture(scope="session")
def willamette(northwest_cache):
    from xmsgl.datasets import willamette

    with set_options(data_mirror=MIRROR, progress=False):
        return willamette(cache_dir=northwest_cache)


@pytest.fixture(scope="session")
def yakima(northwest_cache):
    from xmsgl.datasets import yakima

    with set_options(data_mirror=MIRROR, progress=False):
        return yakima(cache_dir=northwest_cache)
