"""Bad files, catalogs and command lines, one case a row of the page on reliability."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING, Any

import intake

import xmsgl
from tests.bad_inputs import Case, write
from tests.readers.test_riverdl import drivers as dl_drivers
from xmsgl import readers

if TYPE_CHECKING:
    from collections.abc import Callable

DRIVER = "xmsgl.catalog.drivers.DatasetSource"
INVALID = "InvalidArgumentError"
FILES = [
    Case(
        "a missing dataset",
        "DataUnavailableError",
        "no.csv",
        "the path of a file",
        lambda t: readers.read_csv("no.csv"),
    ),
    Case(
        "a folder that does not exist",
        "OutputError",
        "make it first",
        "make the folder",
        lambda t: t.single.save(t.folder / "no" / "m"),
        lambda t: ((t.folder / "no").mkdir(), t.single.save(t.folder / "no" / "m")),
    ),
    Case(
        "a folder in place of a file",
        "OutputError",
        "there is a folder of that name; choose another name",
        "another name",
        lambda t: t.single.save(t.folder / "sub"),
        lambda t: t.single.save(t.folder / "sub2"),
        lambda t: (t.folder / "sub").mkdir(),
    ),
    Case(
        "a path with NUL",
        INVALID,
        "path must not contain a NUL",
        "a path without it",
        lambda t: t.single.save("a\0b"),
    ),
    Case(
        "a page that is not `.html`",
        "OutputError",
        ".html",
        "an ending `.html`",
        lambda t: t.ds.msgl.explore("page.txt", prediction=t.prediction),
    ),
    Case(
        "a full disk while a result is written",
        "exit 1",
        "make room on the disk, or choose another folder",
        "make room; nothing is left under the final name",
        "downscale x.nc -m m -o full.nc",
        "downscale x.nc -m m -o full.nc",
    ),
    Case(
        "a result over an unrelated file",
        "exit 1",
        "it exists and is not",
        "another name",
        "downscale x.nc -m m -o other.nc",
        "downscale x.nc -m m -o new.nc",
        write("other.nc", "mine"),
    ),
    Case(
        "a result over its own input",
        "exit 1",
        "which is read; choose another name",
        "another name",
        "downscale x.nc -m m -o x.nc",
    ),
]
C = "CheckpointError"
CHECKPOINTS = [
    Case(
        "a model's file that is text",
        C,
        "text.model",
        "copy the file again",
        lambda t: xmsgl.load_model(t.folder / "text.model"),
        None,
        write("text.model", "not one"),
    ),
    Case(
        "an empty model's file",
        C,
        "empty.model",
        "copy the file again",
        lambda t: xmsgl.load_model(t.folder / "empty.model"),
        None,
        write("empty.model", ""),
    ),
    Case(
        "half a model's file",
        C,
        "half.model",
        "copy the file again",
        lambda t: xmsgl.load_model(t.folder / "half.model"),
        None,
        lambda t: (t.folder / "half.model").write_bytes(t.single.payload[:-100]),
    ),
    Case(
        "an unknown packaged model",
        C,
        "there is no packaged model of that name",
        "a name in the message, or a path",
        lambda t: xmsgl.load_model("delawere"),
        lambda t: xmsgl.load_model("delaware-gauged"),
    ),
    Case(
        "bytes that are not a model",
        C,
        "the payload",
        "the bytes of a model's file",
        lambda t: xmsgl.Model.from_bytes(b"x"),
        lambda t: xmsgl.Model.from_bytes(t.single.payload),
    ),
    Case(
        "a member that does not exist",
        INVALID,
        "member",
        "a number below `members`",
        lambda t: t.single.member(7),
        lambda t: t.single.member(0),
    ),
    Case(
        "intervals of a model without them",
        "UncalibratedModelError",
        "intervals",
        "train with validation days",
        lambda t: t.ds.msgl.downscale(t.single, quantiles=[0.5]),
    ),
    Case(
        "reconstruction with a model without covariance",
        "UncalibratedModelError",
        "validation='folds'",
        "train with folds",
        lambda t: t.ds.msgl.reconstruct(t.single),
        lambda t: t.ds.msgl.reconstruct(t.model),
    ),
    Case(
        "a checkpoint that is text",
        "exit 1",
        "c.ckpt",
        "train without `--resume`",
        "train x.nc -o n --resume c.ckpt --method msgl --epochs 1",
        None,
        write("c.ckpt", "x"),
    ),
]


def catalog(text: str) -> Callable[[Any], Any]:
    return write("c.yaml", text)


def entry(driver: str, **args: Any) -> Callable[[Any], Any]:
    return catalog(json.dumps({"sources": {"a": {"driver": driver, "args": args}}}))


def opened(t: Any) -> Any:
    return intake.open_catalog(str(t.folder / "c.yaml"))["a"].read()


#: Missing and wrong catalogs are refused by intake and YAML, which the user calls; entries by the package.
CATALOGS = [
    Case("a missing catalog", "FileNotFoundError", "c.yaml", "the path of a catalog", opened),
    Case(
        "a catalog that is not YAML",
        "ParserError",
        "expected ',' or ']'",
        "correct the line in the message",
        opened,
        None,
        catalog("a: [b"),
    ),
    Case(
        "a catalog without entries",
        "KeyError",
        "a",
        "an entry of the catalog",
        opened,
        None,
        catalog("sources: {}"),
    ),
    Case(
        "an entry whose driver is unknown",
        "ValueError",
        "nothing",
        "a driver of the page on catalogs",
        opened,
        None,
        entry("nothing", dataset="simulated"),
    ),
    Case(
        "an entry with a wrong argument",
        INVALID,
        "it takes n_coarse",
        "an argument in the message",
        opened,
        lambda t: (entry(DRIVER, dataset="simulated", n_coarse=2, years=1)(t), opened(t)),
        entry(DRIVER, dataset="simulated", coarse=2),
    ),
    Case(
        "an entry with a wrong value",
        INVALID,
        "n_coarse must be a whole number, not 'x'",
        "a whole number",
        opened,
        None,
        entry(DRIVER, dataset="simulated", n_coarse="x"),
    ),
    Case(
        "an entry whose file is missing",
        "DataUnavailableError",
        "no.nc",
        "the path of a file",
        opened,
        lambda t: (entry(DRIVER, dataset=str(t.folder / "x.nc"))(t), opened(t)),
        entry(DRIVER, dataset="no.nc"),
    ),
    Case(
        "an entry whose model is missing",
        C,
        "no.model",
        "a model's name or path",
        opened,
        None,
        entry("xmsgl.catalog.drivers.ModelSource", model="no.model"),
    ),
    Case(
        "an unknown name of a catalog",
        "UnknownNameError",
        "'v3'",
        "a name in the message",
        lambda t: xmsgl.catalog_path("v3"),
        lambda t: xmsgl.catalog_path("v2"),
    ),
]
DAILY = "id,time,air_temperature [degC]\n1,2001-10-01,3\n"
CSV = "id,downstream,length [m]\n1,2,900\n2,0,400\n"


def frame(name: str, content: str | bytes) -> tuple[Callable[[Any], Any], Callable[[Any], Any]]:
    """How a table is read, and how its file is written."""
    return lambda t: readers.read_csv(t.folder / name), write(name, content)


def table(
    wrong: str,
    error: str,
    says: str,
    repair: str,
    content: str | bytes,
    name: str = "a.csv",
    fixed: Any = None,
) -> Case:
    return Case(
        wrong,
        error,
        says,
        repair,
        lambda t: readers.read_csv(t.folder / name),
        fixed and (lambda t: (write(name, fixed)(t), readers.read_csv(t.folder / name))),
        write(name, content),
    )


READERS = [
    table(
        "a damaged `.gz`",
        INVALID,
        "cannot be read as .gz",
        "copy the file again",
        gzip.compress(CSV.encode())[:-9],
        "a.csv.gz",
        gzip.compress(CSV.encode()),
    ),
    table(
        "text with the ending `.zip`", INVALID, "cannot be read as .zip", "the right ending", CSV, "a.csv.zip"
    ),
    table(
        "text with the ending `.xz`", INVALID, "cannot be read as .xz", "the right ending", CSV, "a.csv.xz"
    ),
    table(
        "a Parquet file that is text",
        INVALID,
        "cannot be read as .parquet",
        "the right ending",
        CSV,
        "a.parquet",
    ),
    table("a table without lengths", INVALID, "length", "add the column", "id,downstream\n1,0\n", fixed=CSV),
    table("a table without ids", INVALID, "id", "add the column", "downstream,length [m]\n0,900\n"),
    table(
        "lengths that are text",
        INVALID,
        "must be numbers",
        "correct the lines in the message",
        CSV.replace("900", "x"),
        fixed=CSV,
    ),
    table("an id twice", "NetworkError", "1", "keep one of each", CSV.replace("2,0", "1,0")),
    table(
        "a reach downstream that is missing",
        "NetworkError",
        "3",
        "add the reach, or 0",
        CSV.replace("1,2", "1,3"),
        fixed=CSV,
    ),
    Case(
        "days that are not dates",
        INVALID,
        "line 2 of the file has 'x'",
        "write them as 2001-01-31, or give `date_format`",
        lambda t: readers.read_csv(t.table, t.folder / "d.csv", units={"length": "m"}),
        lambda t: (
            write("d.csv", DAILY)(t),
            readers.read_csv(t.table, t.folder / "d.csv", units={"length": "m"}),
        ),
        write("d.csv", DAILY.replace("2001-10-01", "x")),
    ),
    Case(
        "an unknown reader",
        "UnknownNameError",
        "'csvv'",
        "a name in the message",
        lambda t: readers.read("csvv", "x"),
        lambda t: readers.read("csv", t.table, units={"length": "m"}),
    ),
    Case(
        "a wrong option of a reader",
        INVALID,
        "it takes",
        "an option in the message",
        lambda t: readers.read("csv", t.table, unit={}),
        lambda t: readers.read("csv", t.table, units={"length": "m"}),
    ),
    Case(
        "a netCDF file that is damaged",
        INVALID,
        "cannot be read as netCDF",
        "copy the file again",
        lambda t: readers.read_nhm(t.folder / "a.nc"),
        None,
        write("a.nc", b"\x89HDF\r\n\x1a\n" + bytes(500)),
    ),
    Case(
        "distances that are not `.npz`",
        INVALID,
        "cannot be read as a .npz file",
        "copy the file again",
        lambda t: readers.read_river_dl(dl_drivers(), t.folder / "d.npz"),
        None,
        write("d.npz", b"PK\3\4xx"),
    ),
    Case(
        "drivers that are not a Zarr store",
        INVALID,
        "cannot be read as a Zarr store",
        "the path of a store",
        lambda t: readers.read_river_dl(t.folder / "x.nc", {}),
    ),
    Case(
        "ids to keep that are unknown",
        INVALID,
        "999",
        "ids of the dataset",
        lambda t: readers.keep(t.ds.drop_dims("coarse"), [999]),
        lambda t: readers.keep(t.ds.drop_dims("coarse"), [1]),
    ),
]
SECTIONS = {
    "Files": FILES,
    "Models and checkpoints": CHECKPOINTS,
    "Catalogs": CATALOGS,
    "Readers": READERS,
}
