"""What the package reads from a dataset: roles, topology, inheritance, DataTree."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import xmsgl
from xmsgl import schema
from xmsgl.errors import InvalidArgumentError, InvalidDatasetError, NetworkError
from xmsgl.schema.inherit import fine_offset, fine_values
from xmsgl.schema.names import positions
from xmsgl.schema.rivers import segment_positions, topology
from xmsgl.schema.roles import drivers, inherited, statics
from xmsgl.schema.tree import as_dataset, rename, to_datatree

# ------------------------------------------------------------------- roles


def test_roles(river):
    assert drivers(river) == ["air_temperature", "precipitation", "solar_radiation"]
    assert statics(river) == ["drainage_area", "elevation", "slope"]


@pytest.mark.parametrize(
    "name",
    ["true_temperature", "simulated_temperature", "observed_flow", "discharge", "water_temperature_max"],
)
def test_states_are_not_drivers(river, name):
    assert name not in drivers(river.assign({f"{name}_coarse": river.air_temperature_coarse}))


@pytest.mark.parametrize(
    "name", ["lat", "lon", "x", "huc8", "seg_id_nat", "comid", "geometry", "length", "id"]
)
def test_place_and_identifiers_are_not_statics(river, name):
    assert name not in statics(river.assign({f"{name}_coarse": ("coarse", np.arange(5))}))


def test_text_and_fine_only_variables_are_not_statics(river):
    more = river.assign(rock_coarse=("coarse", list("abcde")), shade_fine=("fine", np.ones(12)))
    assert statics(more) == statics(river)


def test_roles_do_not_depend_on_the_order_of_the_file(river):
    turned = river[sorted(river.data_vars, reverse=True)]
    assert drivers(turned) == drivers(river)
    assert statics(turned) == statics(river)


def test_inherited(river):
    assert inherited(river, "air_temperature")
    assert inherited(river, "slope")
    assert not inherited(river, "elevation")
    with pytest.raises(InvalidArgumentError, match=r"'wind' is not a feature.*air_temperature"):
        inherited(river, "wind")


# ---------------------------------------------------------------- topology


@pytest.mark.parametrize("scale", ["coarse", "fine"])
def test_topology_follows_the_ids(river, scale):
    ids, downstream, length = topology(river, scale)
    below = dict(zip(river[scale].values.tolist(), river[f"downstream_{scale}"].values.tolist(), strict=True))
    for i, j in enumerate(downstream):
        assert (ids[j] if j >= 0 else 0) == below[ids[i]]
    np.testing.assert_array_equal(length, river[f"length_{scale}"])
    assert (downstream.dtype, length.dtype) == (np.int64, np.float64)


def test_segment_positions_follow_the_ids(river):
    shuffled = river.isel(coarse=[3, 0, 4, 2, 1], fine=np.random.default_rng(0).permutation(12))
    where = segment_positions(shuffled)
    np.testing.assert_array_equal(shuffled.coarse.values[where], shuffled.coarse_segment.values)


@pytest.mark.parametrize("form", [to_datatree, lambda ds: ds.chunk()], ids=["tree", "lazy"])
def test_topology_of_other_forms(river, form):
    for left, right in zip(topology(form(river), "fine"), topology(river, "fine"), strict=True):
        np.testing.assert_array_equal(left, right)
    np.testing.assert_array_equal(segment_positions(form(river)), segment_positions(river))


def test_topology_refuses(river):
    with pytest.raises(InvalidArgumentError, match="'middle'"):
        topology(river, "middle")
    with pytest.raises(InvalidDatasetError, match="'length_fine' over"):
        topology(river.drop_vars("length_fine"), "fine")
    with pytest.raises(InvalidDatasetError, match="coordinate 'fine' is missing"):
        topology(river.drop_vars("fine"), "fine")
    with pytest.raises(NetworkError, match="99"):
        topology(river.assign(downstream_fine=river.downstream_fine.where(river.fine != 3, 99)), "fine")


@pytest.mark.parametrize("scale", ["coarse", "fine"])
def test_topology_refuses_lengths_in_km(river, scale):
    length = river[f"length_{scale}"].astype(np.float64)
    in_km = river.assign({f"length_{scale}": (length / 1000).assign_attrs(units="km")})
    with pytest.raises(InvalidDatasetError, match=rf"length_{scale} is in km.* \* 1000"):
        topology(in_km, scale)
    with pytest.raises(InvalidDatasetError, match=rf"length_{scale} is in km"):
        in_km.msgl.graph(scale)
    np.testing.assert_allclose(topology(river, scale)[2], length)


def test_segment_positions_refuse(river):
    with pytest.raises(
        InvalidDatasetError, match="1 reach lies on segments that are not in the dataset: 3 -> 999"
    ):
        segment_positions(river.assign(coarse_segment=river.coarse_segment.where(river.fine != 3, 999)))
    with pytest.raises(InvalidDatasetError, match="coarse: duplicated ids 101"):
        segment_positions(river.assign_coords(coarse=[101, 101, 103, 104, 105]))


def test_positions_do_not_confuse_text_and_numbers():
    assert positions([1, 2], ["1", "2"]).tolist() == [-1, -1]


# ------------------------------------------------------------- inheritance


def test_offset_is_the_lapse_rate(river):
    offset = fine_offset(river, "air_temperature")
    for i in range(12):
        segment = river.sel(coarse=river.coarse_segment.values[i])
        rise = river.elevation_fine.values[i] - segment.elevation_coarse.item()
        assert offset[i] == pytest.approx(-6.5 * rise / 1000)
    assert offset.dtype == np.float64


@pytest.mark.parametrize(
    ("change", "base"),
    [
        (lambda ds: ds, "precipitation"),
        (lambda ds: ds.drop_vars("elevation_fine"), "air_temperature"),
        (lambda ds: ds.drop_vars("elevation_coarse"), "air_temperature"),
        (lambda ds: ds.assign(air_temperature_fine=ds.water_temperature_fine), "air_temperature"),
    ],
    ids=["no-temperature", "no-fine-height", "no-coarse-height", "own-values"],
)
def test_no_offset(river, change, base):
    assert fine_offset(change(river), base) is None


def test_offset_is_zero_where_a_height_is_unknown(river):
    offset = fine_offset(
        river.assign(elevation_fine=river.elevation_fine.where(river.fine != 4)), "air_temperature"
    )
    assert offset[3] == 0
    assert (offset[[0, 1, 2]] != 0).all()


@pytest.mark.parametrize("base", ["air_temperature", "precipitation"])
@pytest.mark.parametrize("chunks", [None, {"time": 90}, {"time": 90, "coarse": 2, "fine": 5}], ids=str)
def test_fine_values(river, base, chunks):
    lazy = river if chunks is None else river.chunk(chunks)
    values = fine_values(lazy, base)
    assert values.dims == ("time", "fine")
    assert values.dtype == np.float32
    assert values.name == f"{base}_fine"
    assert values.attrs["units"] == river[f"{base}_coarse"].attrs["units"]
    expected = np.stack(
        [river[f"{base}_coarse"].sel(coarse=segment).values for segment in river.coarse_segment.values],
        axis=1,
    )
    if base == "air_temperature":
        heights = river.elevation_coarse.sel(coarse=river.coarse_segment).values
        expected = expected - 0.0065 * (river.elevation_fine.values - heights)
    np.testing.assert_allclose(values.values, expected, rtol=1e-5)
    np.testing.assert_array_equal(values.fine, river.fine)
    assert "coarse" not in values.coords


def test_fine_values_of_a_static(river):
    assert (
        fine_values(river, "slope").compute().sel(fine=9).item() == river.slope_coarse.sel(coarse=104).item()
    )


def test_own_fine_values_are_given_back(river):
    xr.testing.assert_identical(fine_values(river, "elevation"), river.elevation_fine)


def test_fine_values_are_always_lazy(river, refuse_to_compute):
    with refuse_to_compute():
        for ds in (river, river.chunk(), to_datatree(river.chunk())):
            assert fine_values(ds, "air_temperature").chunks is not None
            assert fine_values(ds, "slope").chunks is not None


def test_fine_values_report_unknown_segments(river):
    values = fine_values(river.assign(coarse_segment=river.coarse_segment + 1), "precipitation")
    with pytest.raises(InvalidDatasetError, match="not in the dataset: 106"):
        values.compute()


# ---------------------------------------------------------------- DataTree


def extended(river):
    return river.assign(
        note=xr.DataArray("made by hand"), month=("time", river.time.dt.month.values)
    ).assign_coords(lat_fine=("fine", np.linspace(40, 41, 12)), huc8_fine=("fine", ["02040101"] * 12))


def test_datatree_round_trip(river):
    ds = extended(river)
    tree = to_datatree(ds)
    back = as_dataset(tree)
    xr.testing.assert_identical(back[list(ds.data_vars)], ds)
    assert set(back.variables) == set(ds.variables)
    assert set(back.coords) == set(ds.coords)


def test_datatree_shares_time_and_keeps_the_crosswalk_in_fine(river):
    tree = to_datatree(extended(river))
    assert set(tree.children) == {"coarse", "fine"}
    assert "time" in tree.to_dataset().indexes
    assert "time" not in tree["coarse"].to_dataset(inherit=False).coords
    assert tree["fine/coarse_segment"].dims == ("fine",)
    assert tree["fine/water_temperature"].dims == ("time", "fine")
    assert "water_temperature" in tree["coarse"].data_vars
    assert "fine" not in tree["coarse"].dims


def test_datatree_of_a_datatree(river):
    tree = to_datatree(river)
    xr.testing.assert_identical(to_datatree(tree), tree)


def test_datatree_is_lazy(river, refuse_to_compute):
    with refuse_to_compute():
        tree = to_datatree(extended(river).chunk())
        back = as_dataset(tree)
    assert tree["fine/water_temperature"].chunks is not None
    assert back.water_temperature_fine.chunks is not None


def test_datatree_survives_a_file(river, tmp_path):
    to_datatree(river).to_netcdf(tmp_path / "tree.nc")
    with xr.open_datatree(tmp_path / "tree.nc") as tree:
        back = as_dataset(tree).load()
    assert schema.validate(back) == schema.validate(river)
    xr.testing.assert_equal(back, river)


def test_datatree_with_suffixed_names(river):
    tree = to_datatree(river)
    full = xr.DataTree.from_dict({
        "/coarse": tree["coarse"].to_dataset().rename(water_temperature="water_temperature_coarse"),
        "/fine": tree["fine"].to_dataset(),
    })  # fmt: skip
    assert set(as_dataset(full).variables) == set(river.variables)


def test_foreign_datatree_with_names(river):
    tree = to_datatree(river)
    foreign = xr.DataTree.from_dict({
        "/coarse": tree["coarse"].to_dataset().rename(coarse="seg", air_temperature="tave"),
        "/fine": tree["fine"].to_dataset().rename(coarse_segment="on", water_temperature="temp"),
    })  # fmt: skip
    names = {
        "coarse": "seg",
        "air_temperature_coarse": "tave",
        "coarse_segment": "on",
        "water_temperature_fine": "temp",
    }
    assert set(rename(foreign, names).variables) == set(river.variables)
    assert schema.validate(foreign, names=names) == schema.validate(river)


def test_datatree_refused(river):
    tree = to_datatree(river)
    with pytest.raises(InvalidDatasetError, match=r"lacks /fine \(its nodes: /coarse\)"):
        as_dataset(xr.DataTree.from_dict({"/coarse": tree["coarse"].to_dataset()}))
    with pytest.raises(InvalidDatasetError, match=r"/coarse has 800 times .* /fine has 10 times"):
        as_dataset(xr.DataTree.from_dict({
            "/coarse": tree["coarse"].to_dataset(),
            "/fine": tree["fine"].to_dataset().isel(time=slice(10)),
        }))  # fmt: skip
    with pytest.raises(InvalidArgumentError, match="not DataArray"):
        as_dataset(river.slope_coarse)
    with pytest.raises(InvalidArgumentError, match="'matrix' spans both scales"):
        to_datatree(river.assign(matrix=(("fine", "coarse"), np.ones((12, 5)))))
    with pytest.raises(InvalidArgumentError, match="share the name 'slope'"):
        to_datatree(river.assign(slope=river.slope_coarse))


# ------------------------------------------------------------------ rename


def test_rename_takes_ids_from_a_variable(river):
    theirs = river.rename_dims(coarse="station").rename_vars(coarse="seg_id_nat").reset_index("seg_id_nat")
    assert "station" in theirs.dims
    back = rename(theirs, {"coarse": "seg_id_nat"})
    np.testing.assert_array_equal(back.indexes["coarse"], river.indexes["coarse"])
    assert back.slope_coarse.dims == ("coarse",)


def test_rename_refuses(river):
    with pytest.raises(InvalidArgumentError, match="tempe not in the dataset; it has"):
        rename(river, {"water_temperature_coarse": "tempe"})
    with pytest.raises(InvalidArgumentError, match="slope_coarse given for more than one"):
        rename(river, {"shade_coarse": "slope_coarse", "depth_coarse": "slope_coarse"})
    with pytest.raises(InvalidArgumentError, match="has elevation_coarse already"):
        rename(river, {"elevation_coarse": "slope_coarse"})
    with pytest.raises(InvalidArgumentError, match="'air_temperature_coarse' cannot index 'fine'"):
        rename(river.rename(fine="reach"), {"fine": "air_temperature_coarse"})


def test_rename_can_swap(river):
    swapped = rename(river, {"slope_coarse": "elevation_coarse", "elevation_coarse": "slope_coarse"})
    xr.testing.assert_equal(swapped.slope_coarse.variable, river.elevation_coarse.variable)


# ------------------------------------------------------------------ what messages advise


def test_times_of_two_nodes_are_joined_as_advised(river):
    tree = to_datatree(river)
    tree = xr.DataTree.from_dict({
        "/coarse": tree["coarse"].to_dataset(),
        "/fine": tree["fine"].to_dataset().isel(time=slice(10)),
    })  # fmt: skip
    with pytest.raises(InvalidDatasetError) as caught:
        tree.msgl.validate()
    code = str(caught.value).split("fills labels with NaN: ")[1]
    ds = eval(code, {"xmsgl": xmsgl, "tree": tree})
    assert ds.sizes["time"] == river.sizes["time"]
    assert int(ds.water_temperature_fine.notnull().sum()) == int(
        river.water_temperature_fine[:10].notnull().sum()
    )
    ds.msgl.validate()


def test_what_has_no_place_in_a_tree_is_dropped_or_renamed_as_advised(river):
    spread = river.assign(matrix=(("fine", "coarse"), np.ones((12, 5))))
    with pytest.raises(InvalidArgumentError, match=r"no place in a DataTree; drop it$"):
        to_datatree(spread)
    assert to_datatree(spread.drop_vars("matrix"))
    alike = river.assign(slope=river.slope_coarse)
    with pytest.raises(InvalidArgumentError, match=r"no place in a DataTree; rename it$"):
        to_datatree(alike)
    assert to_datatree(alike.rename(slope="gradient"))


def test_names_that_clash_are_mended_as_advised(river):
    with pytest.raises(InvalidArgumentError, match="has elevation_coarse already; drop or rename it first"):
        rename(river, {"elevation_coarse": "slope_coarse"})
    freed = river.drop_vars("elevation_coarse")
    assert "elevation_coarse" in rename(freed, {"elevation_coarse": "slope_coarse"})
    tree = to_datatree(river)
    tree["fine"] = (
        tree["fine"].to_dataset().assign(slope_fine=("fine", np.arange(12.0)), slope=("fine", np.ones(12)))
    )
    with pytest.raises(
        InvalidArgumentError, match="both slope and the same with '_fine'; rename one of each"
    ):
        as_dataset(tree)
    tree["fine"] = tree["fine"].to_dataset().rename(slope="gradient")
    assert {"slope_fine", "gradient_fine"} <= set(as_dataset(tree))
