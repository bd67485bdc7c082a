"""A dataset in a repository of Icechunk, read lazily and downscaled as one in memory."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

pytest.importorskip("icechunk", reason="part of the extra `test`")
pytest.importorskip("zarr")

import icechunk

from tests.small import TWO_FEATURES
from xmsgl.training.train import train


def test_a_snapshot_is_downscaled_lazily(river, tmp_path):
    """What is committed after the snapshot that is read does not reach the prediction."""
    repository = icechunk.Repository.create(icechunk.local_filesystem_storage(str(tmp_path / "basin")))
    session = repository.writable_session("main")
    river.chunk(time=200).to_zarr(session.store, zarr_format=3, consolidated=False)
    first = session.commit("three years")
    later = repository.writable_session("main")
    warmer = river.assign(air_temperature_coarse=river.air_temperature_coarse + 5)
    warmer.chunk(time=200).to_zarr(later.store, zarr_format=3, consolidated=False, mode="w")
    later.commit("five degrees warmer")

    model = train(river, "remap", validation=None, **TWO_FEATURES)
    for session, ds in (
        (repository.readonly_session(snapshot_id=first), river),
        (repository.readonly_session("main"), warmer),
    ):
        stored = xr.open_zarr(session.store, consolidated=False)
        temperature = stored.msgl.downscale(model)
        assert temperature.chunks is not None
        np.testing.assert_array_equal(temperature.compute(), ds.msgl.downscale(model))
    assert not np.array_equal(river.msgl.downscale(model), warmer.msgl.downscale(model))
