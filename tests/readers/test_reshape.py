from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import xmsgl
from xmsgl.errors import CycleError, InvalidArgumentError
from xmsgl.readers import keep, one_scale


def chain(scale="fine", ids=(1, 2, 3, 4), below=(2, 3, 4, 0)):
    return xr.Dataset(
        {
            f"downstream_{scale}": (scale, np.array(below), {"units": "1"}),
            f"length_{scale}": (scale, np.arange(1.0, len(ids) + 1), {"units": "m"}),
        },
        coords={scale: np.array(ids)},
    )


def test_keep_links_across_and_keeps_the_order_asked_for():
    kept = keep(chain(), [4, 1])
    assert kept["fine"].values.tolist() == [4, 1]
    assert kept["downstream_fine"].values.tolist() == [0, 4]
    assert kept["length_fine"].values.tolist() == [4.0, 1.0]
    assert kept["downstream_fine"].attrs == {"units": "1"}


def test_keep_takes_text_ids():
    kept = keep(chain(ids=("a", "b", "c", "d"), below=("b", "c", "d", "")), ["a", "c"])
    assert kept["downstream_fine"].values.tolist() == ["c", ""]


def test_keep_agrees_with_a_loop_downstream(river):
    fine = river[["downstream_fine", "length_fine"]]
    below = fine["downstream_fine"].to_series().to_dict()
    chosen = [3, 12, 7, 1, 8]
    expected = []
    for reach in chosen:
        step = below[reach]
        while step and step not in chosen:
            step = below[step]
        expected.append(step)
    assert keep(fine, chosen)["downstream_fine"].values.tolist() == expected


@pytest.mark.parametrize(
    ("ids", "words"),
    [
        pytest.param([1, 9], "not have the ids 9", id="unknown"),
        pytest.param([1, 1], "more than once", id="twice"),
        pytest.param(np.zeros(0, int), "no ids", id="none"),
    ],
)
def test_keep_refuses(ids, words):
    with pytest.raises(InvalidArgumentError, match=words):
        keep(chain(), ids)


def test_keep_refuses_a_circle():
    with pytest.raises(CycleError):
        keep(chain(below=(2, 3, 2, 0)), [1, 4])


def test_keep_refuses_two_scales(river):
    with pytest.raises(InvalidArgumentError, match="one scale"):
        keep(river, [1])


def one(river: xr.Dataset, scale: str) -> xr.Dataset:
    names = [name for name in river.data_vars if str(name).endswith("_coarse")]
    coarse = river[names].drop_vars("fine", errors="ignore")
    if scale == "coarse":
        return coarse
    renamed = coarse.rename({name: str(name).replace("_coarse", "_fine") for name in names})
    return renamed.rename({"coarse": "fine"})


@pytest.mark.parametrize("scale", ["coarse", "fine"])
def test_one_scale_makes_a_valid_dataset(river, scale, refuse_to_compute):
    with refuse_to_compute():
        two = one_scale(one(river, scale).chunk(time=100))
    assert two["coarse_segment"].values.tolist() == two["coarse"].values.tolist()
    report = two.msgl.validate()
    assert "air_temperature" in str(report)
    for base in ("downstream", "length", "water_temperature"):
        np.testing.assert_array_equal(two[f"{base}_fine"], two[f"{base}_coarse"])
    assert "air_temperature_fine" not in two
    assert xmsgl.evaluate.mask_labels(two, days=two.time)["water_temperature_fine"].isnull().all()


def test_one_scale_refuses_a_network_without_lengths():
    with pytest.raises(InvalidArgumentError, match="length_coarse"):
        one_scale(chain("coarse").drop_vars("length_coarse"))


def test_one_scale_refuses_a_dataset_of_two(river):
    with pytest.raises(InvalidArgumentError, match="one scale"):
        one_scale(river)
