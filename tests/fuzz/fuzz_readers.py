"""Damaged and hostile files are read or refused: no other exception, no GiB of memory, no file changed.

``make fuzz`` divides ``XMSGL_FUZZ_SECONDS`` among the readers. Files that failed are kept in ``.fuzz``, one
folder for each place of failure.
"""

from __future__ import annotations

import copy
import json
import os
import shutil
import sys
import time
from collections import Counter
from pathlib import Path

import dask
import intake
import netCDF4
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st

from tests.fuzz import material
from tests.fuzz.changes import VALUES, change, change_bytes
from tests.fuzz.child import OUTCOMES, Reader
from xmsgl.cli.config import to_toml
from xmsgl.errors import InvalidArgumentError
from xmsgl.models.file import storage
from xmsgl.models.file.card import model_card, model_facts
from xmsgl.models.file.model import load_model
from xmsgl.readers import read_csv
from xmsgl.training.train import train
from xmsgl.util.options import set_options

TOTAL = float(os.environ.get("XMSGL_FUZZ_SECONDS", "600"))
READERS = 11
CASES = 10  # between two looks at the clock
KEPT = Path(__file__).parents[2] / ".fuzz"
WORDS = VALUES | st.sampled_from(material.FILES)
ATTRIBUTES = [
    *("units", "calendar", "scale_factor", "add_offset", "missing_value", "coordinates", "dtype"),
    *("_Unsigned", "valid_range", "long_name", "standard_name", "bounds", "flag_values"),
]


@pytest.fixture(scope="session")
def good(tmp_path_factory):
    """A folder of valid files; nothing is fetched, and no threads are started before a fork."""
    folder = tmp_path_factory.mktemp("good")
    nowhere = tmp_path_factory.mktemp("nowhere")
    places = {"data_dir": nowhere, "data_mirror": nowhere}
    with set_options(progress=False, **places), dask.config.set(scheduler="synchronous"):
        material.fill(folder)
        yield folder


@pytest.fixture
def search(request, good, tmp_path, monkeypatch, capsys):
    """Change the named files at random and read them, until the reader's share of the seconds is over."""
    counts = Counter()
    place, kept = tmp_path / "files", KEPT / request.node.name
    shutil.rmtree(kept, ignore_errors=True)

    def fresh(names):
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        for name in ("notes.txt", *names):
            copy_ = shutil.copytree if (good / name).is_dir() else shutil.copy
            copy_(good / name, place / name)
        return place

    def run(names, make, work, **allowed):
        reader = Reader(work, **allowed)
        faults = {}

        @settings(max_examples=CASES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
        @given(st.data())
        def some(data):
            folder = fresh(names)
            make(data.draw, folder)
            outcome, before = reader.outcome(folder), list(faults)
            counts[outcome if outcome in OUTCOMES else "failed"] += 1
            if outcome not in OUTCOMES:
                faults.setdefault("".join(outcome.splitlines()[-3:]), outcome)
            if len(faults) > len(before):
                shutil.copytree(folder, kept / str(len(faults)))

        with monkeypatch.context() as patch:
            patch.chdir(fresh(names))
            work()  # the valid files; loads the libraries before the first fork
        until = time.monotonic() + TOTAL / READERS
        try:
            while time.monotonic() < until:
                some()
        finally:
            reader.stop()
        assert not faults, f"inputs in {kept}\n" + "\n".join(faults.values())

    yield run
    with capsys.disabled():
        said = ", ".join(f"{number} {outcome}" for outcome, number in sorted(counts.items()))
        sys.stdout.write(f" {sum(counts.values())} inputs: {said}\n")


def damage(name):
    """Change the bytes of a file."""

    def make(draw, folder):
        path = folder / name
        path.write_bytes(change_bytes(draw, path.read_bytes()))

    return make


# ---------------------------------------------------------------------- models and checkpoints


def use_model():
    model = load_model("model.safetensors")
    model_card(model, "m")
    assert model_facts(model)
    assert repr(model)
    assert model._repr_html_()
    assert np.isfinite(material.river().msgl.downscale(model, device="cpu")).all()
    if model.spec.errors:
        assert np.isfinite(material.river().msgl.reconstruct(model, device="cpu")).all()


def change_tensors(draw, weights):
    """Change a value, the type, the shape or the name of a tensor."""
    name = draw(st.sampled_from(sorted(weights)))
    tensor = weights[name].clone()
    kind = draw(st.sampled_from(["value", "type", "shape", "name", "remove"]))
    if kind == "value" and tensor.numel():
        place = draw(st.integers(0, tensor.numel() - 1))
        tensor.view(-1)[place] = draw(st.sampled_from([-1, 0, 1, 100, 10**6]))
    elif kind == "type":
        tensor = tensor.to(getattr(__import__("torch"), draw(st.sampled_from(["int64", "bool", "float64"]))))
    elif kind == "shape":
        tensor = tensor.reshape(-1)[: draw(st.integers(0, 3))]
    elif kind in ("name", "remove"):
        del weights[name]
        name = draw(st.sampled_from(["", "a/b/c", "adam/-1/step", "finished/9/a", "\x1b", name]))
    if kind != "remove":
        weights[name] = tensor


def change_content(draw, weights, header):
    """Change header or weights of a file, whose checksum is that of the changed content."""
    weights, header = dict(weights), json.loads(json.dumps(header))
    for _ in range(draw(st.integers(1, 2))):
        if draw(st.integers(0, 3)):
            change(draw, header)
        else:
            change_tensors(draw, weights)
    try:
        return storage.to_bytes(weights, header)
    except (RecursionError, TypeError, ValueError):
        return reject()


def fuzz_model_bytes(search):
    search(["model.safetensors"], damage("model.safetensors"), use_model)


def fuzz_model_content(search):
    def make(draw, folder):
        weights, header = material.models()[draw(st.sampled_from(sorted(material.models())))]
        (folder / "model.safetensors").write_bytes(change_content(draw, weights, header))

    material.models()
    search(["model.safetensors"], make, use_model)


def fuzz_checkpoint(search):
    def make(draw, folder):
        if not draw(st.integers(0, 3)):
            return damage("checkpoint")(draw, folder)
        path = folder / "checkpoint"
        found = storage.from_bytes(path.read_bytes(), "c")
        return path.write_bytes(change_content(draw, *found))

    def work():
        train(material.river(), "remap", resume="checkpoint", **material.SMALL)

    search(["checkpoint"], make, work)


# ---------------------------------------------------------------------- configurations and catalogs


def configured(name, values):
    """Change a configuration as values, or as text."""

    def make(draw, folder):
        changed = copy.deepcopy(values)
        for _ in range(draw(st.integers(1, 2))):
            change(draw, changed, WORDS)
        try:
            text = to_toml(changed).encode()
        except (InvalidArgumentError, UnicodeError):
            reject()
        (folder / name).write_bytes(text if draw(st.integers(0, 2)) else change_bytes(draw, text))

    return make


def fuzz_train_config(search):
    def work():
        material.command("train", "--config", "train.toml")

    names = ["train.toml", "basin.nc", "basin.zarr", "model.safetensors"]
    search(names, configured("train.toml", material.TRAIN), work, writes=True, may_last=True)


def fuzz_benchmark_config(search):
    def work():
        material.command("benchmark", "--config", "benchmark.toml", "--list")

    search(
        ["benchmark.toml"], configured("benchmark.toml", material.BENCHMARK), work, writes=True, may_last=True
    )


def fuzz_catalog(search):
    """Exceptions that do not pass through the package are those of intake or its YAML reader."""

    def make(draw, folder):
        changed = copy.deepcopy(material.CATALOG)
        source = draw(st.sampled_from(sorted(changed["sources"])))
        change(draw, {"": changed["sources"][source]["args"]}, WORDS)
        text = material.yaml.safe_dump(changed, sort_keys=False).encode()
        (folder / "catalog.yaml").write_bytes(text if draw(st.integers(0, 3)) else change_bytes(draw, text))

    def work():
        catalog = intake.open_catalog("catalog.yaml")
        for name in list(catalog):
            catalog[name].read()

    names = ["catalog.yaml", "basin.nc", "basin.zarr", "model.safetensors"]
    search(names, make, work, foreign="intake")


# ---------------------------------------------------------------------- tables


def use_tables(kind):
    return lambda: read_csv(f"reaches.{kind}", f"daily.{kind}")


def change_cells(draw, frame):
    """Change cells, headers, rows or columns of a table of text."""
    texts = st.sampled_from(
        [
            "",
            "0",
            "-1",
            "nan",
            "inf",
            "1e400",
            "9" * 30,
            "2001-13-01",
            "9999-12-31",
            "0001-01-01",
            "00:00",
            "\x00",
        ]
    ) | st.text(max_size=6)
    for _ in range(draw(st.integers(1, 3))):
        row, column = draw(st.integers(0, len(frame) - 1)), draw(st.integers(0, frame.shape[1] - 1))
        kind = draw(st.sampled_from(["cell", "cell", "header", "row", "column"]))
        if kind == "cell":
            frame.iloc[row, column] = draw(texts)
        elif kind == "header":
            names = ["id", "time", "slope [1]", "water_temperature_coarse", "length [K]", "geometry", "fine"]
            frame.columns = [
                *frame.columns[:column],
                draw(st.sampled_from(names) | texts),
                *frame.columns[column + 1 :],
            ]
        elif kind == "row":
            frame = pd.concat([frame, frame.iloc[[row]]], ignore_index=True)
        elif frame.shape[1] > 1:
            frame = frame.iloc[:, [k for k in range(frame.shape[1]) if k != column]].copy()
    return frame


def fuzz_csv(search):
    def make(draw, folder):
        for name, frame in material.tables().items():
            try:
                text = change_cells(draw, frame).to_csv(index=False).encode()
            except (UnicodeError, ValueError):
                reject()
            text = text if draw(st.booleans()) else change_bytes(draw, text)
            (folder / f"{name}.csv").write_bytes(text)

    search(["reaches.csv", "daily.csv"], make, use_tables("csv"))


def fuzz_parquet(search):
    def make(draw, folder):
        for name, frame in material.tables().items():
            changed = change_cells(draw, frame).apply(material.typed)
            column = draw(st.sampled_from(list(changed.columns)))
            kinds = {
                "numbers": lambda values: pd.to_numeric(values, errors="coerce"),
                "days": lambda values: pd.to_datetime(values, errors="coerce"),
                "bool": lambda values: values.astype(bool),
                "category": lambda values: values.astype("category"),
                "bytes": lambda values: values.map(lambda text: str(text).encode(errors="replace")),
                "lists": lambda values: values.map(lambda text: [text]),
                "dicts": lambda values: values.map(lambda text: {"a": text}),
                "complex": lambda values: values,
            }
            try:
                changed[column] = kinds[draw(st.sampled_from(sorted(kinds)))](changed[column])
                changed.to_parquet(folder / f"{name}.parquet")
            except Exception:  # noqa: BLE001 - not every frame can be written
                reject()
            if not draw(st.integers(0, 2)):
                damage(f"{name}.parquet")(draw, folder)

    search(["reaches.parquet", "daily.parquet"], make, use_tables("parquet"))


# ---------------------------------------------------------------------- datasets


def use_dataset(name):
    def work():
        material.command("validate", name)
        material.command("downscale", name, "-m", "model.safetensors", "-o", "new.nc", "--device", "cpu")

    return work


def change_dataset(draw, ds):
    """Change values, type, dimensions or name of a variable."""
    name = draw(st.sampled_from(sorted(map(str, ds.variables))))
    variable = ds[name].variable.copy(deep=True)
    numbers = [np.nan, np.inf, -np.inf, -1, 0, 1e30, 2**31, -(2**63), 101]
    kind = draw(st.sampled_from(["value", "type", "all", "drop", "rename", "days", "flip", "scalar"]))
    if kind == "drop":
        return ds.drop_vars(name)
    if kind == "rename":
        names = [
            "time",
            "fine",
            "coarse",
            "geometry_fine",
            "lat_fine",
            "air_temperature_fine",
            "/",
            "\x1b[31m",
        ]
        return ds.rename({name: draw(st.sampled_from(names) | st.text(min_size=1, max_size=5))})
    if kind == "days" or name == "time":
        steps = [slice(0), slice(None, None, -1), slice(None, None, 2), [0, 0, 1], slice(1)]
        return ds.isel({draw(st.sampled_from(["time", "fine", "coarse"])): draw(st.sampled_from(steps))})
    if kind in ("value", "all"):
        values = variable.values.astype("float64")
        place = (
            (draw(st.integers(0, values.size - 1)) if kind == "value" else slice(None))
            if values.size
            else slice(0)
        )
        values.reshape(-1)[place] = draw(st.sampled_from(numbers))
        variable.values = values.astype(draw(st.sampled_from([values.dtype, variable.dtype])))
    elif kind == "type":
        kinds = ["int8", "uint64", "float16", "float64", "bool", "U5", "S3", "complex64", "datetime64[ns]"]
        variable = variable.astype(draw(st.sampled_from(kinds)))
    elif kind == "flip":
        variable = variable.transpose()
    else:
        variable = variable.isel(dict.fromkeys(variable.dims, 0))
    return (
        ds.assign({name: variable})
        if name not in ds.coords
        else ds.drop_vars(name).assign_coords({name: variable})
    )


def set_attribute(draw, path):
    """Set an attribute that changes how a variable is decoded."""
    numbers = st.sampled_from([0, -1, 1e300, np.nan, np.array([1, 2]), 2**31 - 1])
    texts = [
        "days since 1",
        "days since 2001-01-01",
        "hours since x",
        "K",
        "",
        "noleap",
        "360_day",
        "true",
        "fine",
    ]
    with netCDF4.Dataset(path, "r+") as file:
        name = draw(st.sampled_from(sorted(file.variables)))
        value = draw(st.sampled_from(texts) | numbers | st.text(max_size=5))
        file[name].setncattr(draw(st.sampled_from(ATTRIBUTES)), value)


def fuzz_netcdf_bytes(search):
    search(["basin.nc", "model.safetensors"], damage("basin.nc"), use_dataset("basin.nc"), writes=True)


def fuzz_netcdf_content(search):
    def make(draw, folder):
        path = folder / "basin.nc"
        ds = material.river().copy(deep=True)
        try:
            for _ in range(draw(st.integers(0, 2))):
                ds = change_dataset(draw, ds)
            path.unlink()
            ds.to_netcdf(path, format=draw(st.sampled_from(["NETCDF4", "NETCDF3_64BIT"])))
            for _ in range(draw(st.integers(0, 2))):
                set_attribute(draw, path)
        except (AttributeError, KeyError, OSError, RuntimeError, TypeError, ValueError, OverflowError):
            reject()  # not every dataset can be written

    search(["basin.nc", "model.safetensors"], make, use_dataset("basin.nc"), writes=True)


def fuzz_zarr(search):
    """Bytes of chunks, and the metadata of a group or an array."""

    def make(draw, folder):
        files = sorted(
            path.relative_to(folder) for path in (folder / "basin.zarr").rglob("*") if path.is_file()
        )
        for _ in range(draw(st.integers(1, 2))):
            described = [path for path in files if path.name == "zarr.json"]
            path = draw(st.sampled_from(described) | st.sampled_from(files))
            if path.name != "zarr.json" or not draw(st.integers(0, 3)):
                damage(path)(draw, folder)
                continue
            try:
                metadata = json.loads((folder / path).read_text())
                change(draw, metadata)
                (folder / path).write_text(json.dumps(metadata))
            except (UnicodeError, ValueError):
                continue  # damaged before

    search(["basin.zarr", "model.safetensors"], make, use_dataset("basin.zarr"), writes=True)
