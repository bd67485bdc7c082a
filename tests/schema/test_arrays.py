"""A prediction that was written and opened again is taken wherever the array itself is."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from xmsgl.errors import InvalidArgumentError
from xmsgl.evaluate import coverage, crps, pinball, score, skill_table
from xmsgl.plot import explore, network, overview, series
from xmsgl.schema.arrays import as_array


@pytest.fixture
def places(river):
    """The river with places, so that it can be drawn."""
    return river.assign_coords(
        lat_fine=("fine", 41 - 0.1 * river["fine"].values),
        lon_fine=("fine", -75 + 0.03 * river["fine"].values),
        lat_coarse=("coarse", 41 - 0.2 * np.arange(5)),
        lon_coarse=("coarse", -75 + 0.1 * np.arange(5)),
    )


@pytest.fixture
def temperature(places):
    labels = places["water_temperature_fine"]
    return labels.fillna(9.0).rename("water_temperature")


@pytest.fixture(params=["netcdf", "zarr"])
def opened(request, temperature, tmp_path):
    """What xr.open_dataset gives of a written prediction."""
    if request.param == "netcdf":
        temperature.to_netcdf(tmp_path / "t.nc")
        with xr.open_dataset(tmp_path / "t.nc") as ds:
            yield ds
    else:
        temperature.to_dataset().to_zarr(tmp_path / "t.zarr", consolidated=False)
        yield xr.open_dataset(tmp_path / "t.zarr", engine="zarr", consolidated=False, chunks={})


def quantiles(temperature):
    levels = xr.DataArray([-1.0, 0.0, 1.0], coords={"quantile": [0.1, 0.5, 0.9]})
    return (temperature + levels).transpose("quantile", "time", "fine")


# each takes the dataset, the prediction and the observations
NUMBERS = {
    "evaluate": lambda ds, p, o: ds.msgl.evaluate(p, observed=o),
    "evaluate-labels": lambda ds, p, o: ds.msgl.evaluate(p, by="month"),
    "score": lambda ds, p, o: score(p, o),
    "table": lambda ds, p, o: skill_table({"a": p, "b": p}, o).data,
    "coverage": lambda ds, p, o: coverage(quantiled(p), o),
    "pinball": lambda ds, p, o: pinball(quantiled(p), o),
    "crps": lambda ds, p, o: crps(quantiled(p), o),
    "cf": lambda ds, p, o: ds.msgl.export(p)["water_temperature"],
    "ugrid": lambda ds, p, o: ds.msgl.export(p, convention="ugrid")["water_temperature"],
}
PICTURES = {
    "network": lambda ds, p, o: ds.msgl.plot.network(p, time="2002-07-01"),
    "network-function": lambda ds, p, o: network(first_day(p), ds),
    "series": lambda ds, p, o: ds.msgl.plot.series(p, reach=5, observed=o),
    "series-function": lambda ds, p, o: series(p, ds, 5, observed=o),
    "skill": lambda ds, p, o: ds.msgl.plot.skill(p, observed=o),
    "skill-by": lambda ds, p, o: ds.msgl.plot.skill(p, by="month"),
    "skill-several": lambda ds, p, o: ds.msgl.plot.skill({"a": p, "b": p}, by="month"),
    "overview": lambda ds, p, o: overview(p, ds, observed=o),
}


def quantiled(p):
    return quantiles(p) if isinstance(p, xr.DataArray) else p.map(quantiles)


def first_day(p):
    return p.isel(time=0)


@pytest.mark.parametrize("name", NUMBERS)
def test_numbers_are_those_of_the_array(places, temperature, opened, name):
    labels = places["water_temperature_fine"]
    expected = NUMBERS[name](places, temperature, labels).compute()
    found = NUMBERS[name](places, opened, labels.to_dataset()).compute()
    xr.testing.assert_allclose(found.reset_coords(drop=True), expected.reset_coords(drop=True))


@pytest.mark.parametrize("name", PICTURES)
def test_pictures_are_drawn(places, temperature, opened, name):
    labels = places["water_temperature_fine"]
    ax, same = (
        PICTURES[name](places, p, o) for p, o in ((opened, labels.to_dataset()), (temperature, labels))
    )
    if name != "overview":
        assert ax.get_title(loc="left") == same.get_title(loc="left")
        assert len(ax.lines) == len(same.lines)


def test_explorer(places, temperature, opened, tmp_path):
    pages = [
        explore(p, places, tmp_path / f"{k}.html", observed=o).read_text(encoding="utf-8")
        for k, (p, o) in enumerate(
            (
                (opened, places["water_temperature_fine"].to_dataset()),
                (temperature, places["water_temperature_fine"]),
            )
        )
    ]
    assert len(pages[0]) == len(pages[1])
    assert places.msgl.explore(tmp_path / "door.html", prediction=opened).is_file()


WRONG = {
    "numpy": (lambda p: p.values, "is a ndarray; give an xarray.DataArray, or a Dataset of one variable"),
    "text": (lambda p: "t.nc", r"is a str; .* open a file with xr.open_dataset\(path\)"),
    "number": (lambda p: 5, "is a int; give an xarray.DataArray"),
    "several": (
        lambda p: xr.Dataset({"a": p, "b": p}),
        r"is a Dataset of 2 variables \(a, b\); give one of them: .*\['a'\]",
    ),
    "empty": (lambda p: xr.Dataset(), "is a Dataset without variables; give the array itself"),
}
TAKERS = {**NUMBERS, **PICTURES, "explore": lambda ds, p, o: explore(p, ds, "page.html")}
# these take datasets of many variables, or text as a name
OTHERS = {("cf", "several"), ("ugrid", "several"), ("network", "text"), ("cf", "empty"), ("ugrid", "empty")}
DIRECT = {"coverage": coverage, "pinball": pinball, "crps": crps, "network-function": network}


@pytest.mark.parametrize(
    ("name", "kind"), [(name, kind) for name in TAKERS for kind in WRONG if (name, kind) not in OTHERS]
)
def test_anything_else_is_refused_in_our_words(places, temperature, name, kind):
    change, says = WRONG[kind]
    labels = places["water_temperature_fine"]
    if name in DIRECT:
        other = places if name == "network-function" else labels
        with pytest.raises(InvalidArgumentError, match=says):
            DIRECT[name](change(temperature), other)
        return
    says = "to export, not" if name in {"cf", "ugrid"} else says
    with pytest.raises(InvalidArgumentError, match=says):
        TAKERS[name](places, change(temperature), labels)


@pytest.mark.parametrize("kind", WRONG)
def test_observations_are_refused_in_the_same_words(places, temperature, kind):
    change, says = WRONG[kind]
    for call in (
        lambda o: places.msgl.evaluate(temperature, observed=o),
        lambda o: score(temperature, o),
        lambda o: skill_table({"a": temperature}, o),
        lambda o: places.msgl.plot.series(temperature, reach=5, observed=o),
        lambda o: places.msgl.plot.skill(temperature, observed=o),
    ):
        with pytest.raises(InvalidArgumentError, match=f"observed {says}"):
            call(change(temperature))


def test_methods_must_be_named(places, temperature):
    with pytest.raises(InvalidArgumentError, match="predictions are a DataArray; give them by name"):
        skill_table(temperature, places["water_temperature_fine"])


def test_the_advised_variable_is_taken(temperature):
    several = xr.Dataset({"a": temperature, "b": temperature})
    with pytest.raises(InvalidArgumentError) as caught:
        as_array(several)
    code = str(caught.value).split(": ")[-1]
    assert as_array(eval(code, {"prediction": several})).name == "a"


def test_scores_are_still_drawn_as_scores(places, temperature):
    scores = places.msgl.evaluate(temperature, by="month")
    assert places.msgl.plot.skill(scores).get_ylabel()
    with pytest.raises(InvalidArgumentError, match="scores are drawn as they are"):
        places.msgl.plot.skill(scores, by="season")


def test_an_array_is_given_back_itself(temperature):
    assert as_array(temperature) is temperature
