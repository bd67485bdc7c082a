"""DataTrees, and lines in either form, go through every verb; what comes out can be put back in."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
import xarray as xr
import xvec

import xmsgl
from tests.small import TWO_FEATURES
from xmsgl.accessor import MsglAccessor
from xmsgl.errors import InvalidArgumentError
from xmsgl.schema.tree import as_dataset

SETTINGS = {**TWO_FEATURES, "window": 40}
KINDS = ["dataset", "tree", "geometries", "tree of geometries", "lazy tree"]


@pytest.fixture(scope="module")
def places(river_once):
    """The river with lines as text: reaches side by side, for only their number matters here."""
    lines = np.array([shapely.LineString([(-75 + k / 10, 41), (-75 + k / 10, 40.9)]) for k in range(12)])
    ds = river_once.isel(time=slice(0, 120))
    return ds.assign(geometry_fine=("fine", shapely.to_wkb(lines, hex=True).astype(object)))


@pytest.fixture(scope="module")
def model(places):
    return places.msgl.train("remap", validation=0.4, **SETTINGS)


@pytest.fixture(params=KINDS)
def obj(request, places):
    ds = places
    if "geometries" in request.param:
        lines = shapely.from_wkb(ds.geometry_fine.values)
        ds = ds.drop_vars("geometry_fine").assign_coords(geometry_fine=("fine", lines))
        ds = ds.set_xindex("geometry_fine", xvec.GeometryIndex, crs="EPSG:4326")
    ds = ds.chunk(time=50) if "lazy" in request.param else ds
    return ds.msgl.to_datatree() if "tree" in request.param else ds


VERBS = {
    "validate": lambda obj, model, prediction: obj.msgl.validate(),
    "graph": lambda obj, model, prediction: obj.msgl.graph("fine").describe(),
    "train": lambda obj, model, prediction: obj.msgl.train("remap", validation=0.4, **SETTINGS).sha256,
    "downscale": lambda obj, model, prediction: obj.msgl.downscale(model, quantiles=[0.5]).values.tolist(),
    "embed": lambda obj, model, prediction: obj.msgl.embed(model).values.tolist(),
    "evaluate": lambda obj, model, prediction: float(obj.msgl.evaluate(prediction)["rmse"]),
    "export": lambda obj, model, prediction: obj.msgl.export(prediction).water_temperature.values.tolist(),
    "compare": lambda obj, model, prediction: float(
        obj.msgl.compare({"a": prediction, "b": prediction + 1}, confidence=0.9)["rmse"][1]
    ),
    "to_datatree": lambda obj, model, prediction: sorted(obj.msgl.to_datatree()["fine"].data_vars),
}  # fmt: skip


def put_back(obj, values: dict[str, xr.DataArray]):
    """Add results the way a user would."""
    done = obj.copy()
    for name, array in values.items():
        done[f"fine/{name}" if isinstance(obj, xr.DataTree) else f"{name}_fine"] = array
    return done


@pytest.mark.parametrize("verb", list(VERBS))
def test_every_verb_gives_the_same_with_and_without_results_put_back(verb, obj, places, model):
    prediction = obj.msgl.downscale(model)
    results = {
        "predicted_temperature": prediction,
        "quantiles": obj.msgl.downscale(model, quantiles=[0.2, 0.5]),
        "error": obj.msgl.evaluate(prediction, by="reach")["rmse"],
    }
    expected = VERBS[verb](places, model, prediction)
    back = put_back(obj, results)
    if verb == "to_datatree":
        found = set(VERBS[verb](back, model, prediction))
        assert found - {"geometry"} == (set(expected) | set(results)) - {"geometry"}
        return
    assert VERBS[verb](obj, model, prediction) == expected
    assert VERBS[verb](back, model, prediction) == expected


def test_no_verb_is_forgotten():
    verbs = {name for name, member in vars(MsglAccessor).items() if callable(member) and name[0] != "_"}
    assert {"validate", "graph", "train", "downscale", "evaluate", "export", "to_datatree"} <= verbs
    assert verbs - set(VERBS) <= {"explore", "plot", "reconstruct", "state"}  # these have tests of their own


def test_what_was_put_back_is_found_again(obj, model):
    prediction = obj.msgl.downscale(model)
    back = put_back(obj, {"predicted": prediction})
    flat = as_dataset(back)
    np.testing.assert_array_equal(flat["predicted_fine"], prediction)
    assert flat["predicted_fine"].attrs["model_sha256"] == model.sha256
    found = back["fine/predicted"] if isinstance(back, xr.DataTree) else back["predicted_fine"]
    np.testing.assert_allclose(back.msgl.evaluate(found)["rmse"], obj.msgl.evaluate(prediction)["rmse"])


def test_lines_survive_the_way_there_and_back(obj, places):
    from xmsgl.schema.geometry import read_geometry

    again = as_dataset(obj).msgl.to_datatree()
    expected = read_geometry(places, "fine")
    assert shapely.equals_identical(read_geometry(as_dataset(again), "fine"), expected).all()


def test_labels_of_a_tree_can_be_masked(places):
    tree = places.msgl.to_datatree()
    xr.testing.assert_equal(
        xmsgl.evaluate.mask_labels(tree, segments=[103])["water_temperature_fine"],
        xmsgl.evaluate.mask_labels(places, segments=[103])["water_temperature_fine"],
    )


def test_two_different_coordinates_of_one_name_are_not_one(places):
    tree = places.assign_coords(lat_fine=("fine", np.arange(12.0))).msgl.to_datatree()
    tree["fine"] = tree["fine"].to_dataset().assign_coords(lat_fine=("fine", np.arange(12.0) + 1))
    with pytest.raises(InvalidArgumentError, match="both lat and the same with '_fine'"):
        tree.msgl.validate()


def test_the_byte_order_of_ids_plays_no_part(places, model):
    """As old files and instruments store them."""
    ids = {scale: places[scale].values.astype(">i4") for scale in ("coarse", "fine")}
    owner = places["coarse_segment"].astype(">i4")
    ds = places.assign(coarse_segment=owner).assign_coords(ids)
    assert str(ds.msgl.validate()) == str(places.msgl.validate())
    expected = places.msgl.downscale(model)
    np.testing.assert_array_equal(ds.msgl.downscale(model), expected)
    turned = expected.assign_coords(fine=ids["fine"])
    np.testing.assert_array_equal(ds.set_coords("coarse_segment").msgl.downscale(model), expected)
    assert as_dataset(ds.set_coords("coarse_segment"))["coarse_segment"].dtype.isnative
    scores = ds.msgl.evaluate(turned, by="segment")
    np.testing.assert_array_equal(scores["rmse"], places.msgl.evaluate(expected, by="segment")["rmse"])
    assert as_dataset(places) is places
