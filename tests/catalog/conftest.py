"""Two catalogs and the small simulated basin."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import intake
import pytest

import xmsgl

if TYPE_CHECKING:
    import xarray as xr

SMALL = {"n_coarse": 3, "reaches_per_segment": 3, "years": 1}


@pytest.fixture(scope="module")
def small() -> xr.Dataset:
    return xmsgl.datasets.simulated(**SMALL)


@pytest.fixture
def both() -> Any:
    return intake.open_catalog(xmsgl.catalog_path())


@pytest.fixture
def second() -> Any:
    return intake.open_catalog(xmsgl.catalog_path("v2"))
