"""Basins left out, against the same training and scores written out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from tests.small import TWO_FEATURES
from xmsgl.errors import ExtrapolationWarning, InvalidArgumentError
from xmsgl.evaluate import leave_one_basin_out
from xmsgl.training.train import train

SETTINGS = {**TWO_FEATURES, "validation": None, "steps": 1}


def test_each_basin_is_scored_by_a_model_of_the_other(two_rivers):
    found = leave_one_basin_out(two_rivers, "fine-only", **SETTINGS)
    ids = {scale: two_rivers[scale].to_numpy() for scale in ("coarse", "fine")}
    assert found.sizes == {"basin": 2}
    for basin in found["basin"].to_numpy():
        assert two_rivers["downstream_coarse"].sel(coarse=basin) == 0
        here = {scale: (every >= 1000) == (basin >= 1000) for scale, every in ids.items()}
        model = train(two_rivers.isel({k: ~v for k, v in here.items()}), "fine-only", **SETTINGS)
        left = two_rivers.isel(here)
        with pytest.warns(ExtrapolationWarning, match="none of the"):
            prediction = left.msgl.downscale(model)
        error = (prediction - left["water_temperature_fine"]).to_numpy()
        error = error[np.isfinite(error)]
        own = found.sel(basin=basin)
        assert own["n"] == error.size > 0
        np.testing.assert_allclose(own["rmse"], np.sqrt((error**2).mean()), rtol=1e-5)


def test_a_basin_without_fine_labels_is_not_scored(two_rivers):
    label = two_rivers["water_temperature_fine"]
    hidden = two_rivers.assign(water_temperature_fine=label.where(two_rivers["fine"] >= 1000))
    # The only labels of the other river are coarse, which is enough to train its coarse task.
    with pytest.raises(InvalidArgumentError, match="label"):
        leave_one_basin_out(hidden, "fine-only", **SETTINGS)
    scores = leave_one_basin_out(hidden, "remap", **SETTINGS)
    assert (scores["basin"] >= 1000).all()
    assert scores.sizes["basin"] == 1


@pytest.mark.parametrize("fault", ["one basin", "no water_temperature_fine", "no finite value"])
def test_what_cannot_be_left_out_is_refused(river, two_rivers, fault):
    name = "water_temperature_fine"
    given = {
        "one basin": river,
        "no water_temperature_fine": two_rivers.drop_vars(name),
        "no finite value": two_rivers.assign({name: two_rivers[name] * np.nan}),
    }
    with pytest.raises(InvalidArgumentError, match=fault):
        leave_one_basin_out(given[fault], "remap", **SETTINGS)
