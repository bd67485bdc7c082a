"""``ds.msgl``: a door that opens on everything, holds nothing and never fails on a look."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import xmsgl.accessor
from tests.small import TWO_FEATURES
from xmsgl.accessor import MsglAccessor
from xmsgl.errors import InvalidDatasetError
from xmsgl.prediction.downscale import downscale
from xmsgl.schema.graphs import build_graph
from xmsgl.training.train import train

METHODS = ["compare", "downscale", "evaluate", "export", "graph", "reconstruct", "state"]
METHODS += ["to_datatree", "train", "validate"]


@pytest.mark.parametrize(
    "bare",
    [
        xr.Dataset(),
        xr.Dataset({"a": ("x", [1.0])}),
        xr.DataTree(),
        xr.DataTree.from_dict({"/b": xr.Dataset()}),
    ],
    ids=["empty", "foreign", "empty-tree", "foreign-tree"],
)
def test_looking_around_never_fails(bare):
    names = [name for name in dir(bare.msgl) if not name.startswith("_")]
    assert {*METHODS, "plot"} <= set(names)
    for name in names:
        getattr(bare.msgl, name)
    assert "msgl" in dir(bare)
    repr(bare.msgl)


@pytest.mark.parametrize("name", METHODS)
def test_every_method_is_documented(name):
    method = getattr(MsglAccessor, name)
    text = inspect.getdoc(method)
    assert text
    parameters = [p for p in inspect.signature(method).parameters if p != "self"]
    for parameter in parameters:
        assert parameter in text, f"{name}: {parameter} is not documented"


def test_every_method_only_delegates():
    """Nothing but imports, a look at the object and one return."""
    tree = ast.parse(Path(xmsgl.accessor.__file__).read_text(encoding="utf-8"))
    (cls,) = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    for method in (node for node in cls.body if isinstance(node, ast.FunctionDef)):
        kinds = {type(node) for node in ast.walk(method)}
        assert not kinds & {ast.For, ast.While, ast.If, ast.Try, ast.With}, method.name
    assert len(Path(xmsgl.accessor.__file__).read_text(encoding="utf-8").splitlines()) <= 280


def test_the_accessor_keeps_nothing_but_the_object(river):
    assert vars(river.msgl) == {"_obj": river}
    river.msgl.graph("coarse")
    assert set(vars(river.msgl)) == {"_obj"}


def test_missing_variables_are_told_by_the_method_that_needs_them():
    with pytest.raises(InvalidDatasetError):
        xr.Dataset().msgl.validate()
    with pytest.raises(InvalidDatasetError, match=r"downstream_coarse|coordinate 'coarse'"):
        xr.Dataset().msgl.graph("coarse")
    with pytest.raises(InvalidDatasetError):
        xr.Dataset().msgl.train()
    with pytest.raises(InvalidDatasetError, match="/coarse"):
        xr.DataTree().msgl.to_datatree()


@pytest.mark.parametrize("kind", ["dataset", "datatree"])
def test_everything_works_from_the_door(river, kind):
    ds = river.isel(time=slice(0, 120))
    obj = ds if kind == "dataset" else ds.msgl.to_datatree()
    assert obj.msgl.validate() == ds.msgl.validate()
    assert obj.msgl.graph("fine", hops=2).n == 12
    graphs, expected = obj.msgl.graph(), build_graph(ds)
    np.testing.assert_array_equal(graphs.interpolation.toarray(), expected.interpolation.toarray())
    model = obj.msgl.train("remap", seed=3, validation=None, **TWO_FEATURES)
    assert model.sha256 == train(ds, "remap", seed=3, validation=None, **TWO_FEATURES).sha256
    prediction = obj.msgl.downscale(model, warmup=9)
    xr.testing.assert_equal(prediction, downscale(ds, model, warmup=9))
    scores = obj.msgl.evaluate(prediction)
    error = (prediction - ds["water_temperature_fine"]).values
    assert float(scores["rmse"]) == pytest.approx(np.sqrt(np.nanmean(error**2)), rel=1e-5)
    assert int(scores["n"]) == int(ds["water_temperature_fine"].count())
    monthly = obj.msgl.evaluate(prediction, by="month")
    assert int(monthly["n"].sum()) == int(scores["n"])
    coarse = obj.msgl.evaluate(ds["water_temperature_coarse"].fillna(0.0) + 2)
    assert float(coarse["bias"]) == pytest.approx(2, abs=1e-5)
    assert int(coarse["n"]) == int(ds["water_temperature_coarse"].count())
    xr.testing.assert_identical(
        xmsgl.schema.rivers.as_dataset(obj.msgl.to_datatree()), xmsgl.schema.rivers.as_dataset(obj)
    )


def test_checkpoint_and_resume_go_through_the_door(river, tmp_path):
    ds = river.isel(time=slice(0, 120))
    model = ds.msgl.train("remap", checkpoint=tmp_path / "c", **TWO_FEATURES)
    assert ds.msgl.train("remap", resume=tmp_path / "c", **TWO_FEATURES).sha256 == model.sha256


def test_own_observations_can_be_scored(river):
    prediction = river["water_temperature_fine"].fillna(5.0) + 1
    observed = river["water_temperature_fine"] - 1
    assert float(river.msgl.evaluate(prediction, observed=observed)["bias"]) == pytest.approx(2, abs=1e-5)


def test_the_first_argument_alone_may_be_positional():
    for name in METHODS:
        kinds = [p.kind for p in inspect.signature(getattr(MsglAccessor, name)).parameters.values()]
        assert kinds.count(inspect.Parameter.POSITIONAL_OR_KEYWORD) <= 2, name  # self and one
