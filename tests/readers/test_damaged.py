"""Files that are damaged, or not what their name says: refused with an error of the package."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import random
import zipfile

import numpy as np
import pytest

from xmsgl.errors import InvalidArgumentError
from xmsgl.readers.cbh import read_cbh
from xmsgl.readers.frames import open_frame
from xmsgl.readers.prms import open_netcdf
from xmsgl.readers.riverdl import _from_file

TEXT = b"id,downstream,length [m]\n1,2,900\n2,0,400\n" * 20


def zipped(data):
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.csv", data)
    return held.getvalue()


PACKED = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress, "zip": zipped}


@pytest.mark.parametrize("kind", PACKED)
def test_damaged_archives(kind, tmp_path):
    whole, rng = PACKED[kind](TEXT), random.Random(0)
    path = tmp_path / f"a.csv.{kind}"
    path.write_bytes(whole)
    assert len(open_frame(path)) == 59
    cases = [b"not one", b"", whole[: len(whole) // 2], TEXT]
    for _ in range(40):
        case = bytearray(whole)
        case[rng.randrange(len(case))] ^= 1 << rng.randrange(8)
        cases.append(bytes(case))
    refused = 0
    for case in cases:
        path.write_bytes(case)
        try:
            open_frame(path)
        except InvalidArgumentError as error:
            refused += "cannot be read" in str(error)
    assert refused >= 4


@pytest.mark.parametrize(
    "text",
    [
        b"x\n\xff\xfe 3\n###\n",
        b"x\nname 1\n####\n1 1 1 0 0 0 5\n",
        "x\nname ²\n####\n2001 1 1 0 0 0 5\n".encode(),
        b"x\nname 1\n####\n2001 1\n",
    ],
    ids=["not UTF-8", "year 1", "superscript", "short line"],
)
def test_climate_by_hru(text, tmp_path):
    (tmp_path / "a.cbh").write_bytes(text)
    with pytest.raises(InvalidArgumentError, match=r"a\.cbh"):
        read_cbh(tmp_path / "a.cbh")


def test_netcdf(tmp_path):
    path = tmp_path / "a.nc"
    path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(500))
    with pytest.raises(InvalidArgumentError, match="cannot be read as netCDF"):
        open_netcdf(path)


@pytest.mark.parametrize("data", [b"", b"PK\3\4xx", b"\x93NUMPY"], ids=["empty", "zip", "npy"])
def test_arrays(data, tmp_path):
    (tmp_path / "m.npz").write_bytes(data)
    with pytest.raises(InvalidArgumentError, match=r"cannot be read as a \.npz file"):
        _from_file(tmp_path / "m.npz", np.array([1]), "downstream")
