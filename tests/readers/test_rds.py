from __future__ import annotations

import bz2
import gzip
import lzma
import struct
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from xmsgl.errors import InvalidArgumentError
from xmsgl.readers.rds import read_rds

MIRROR = Path(__file__).parents[2].parent / "shared" / "data" / "mirror"


def integer(value):
    return struct.pack(">i", value)


def text(value):
    if value is None:
        return integer(9) + integer(-1)
    raw = value.encode()
    return integer(0x8009) + integer(len(raw)) + raw


def symbol(name):
    return integer(1) + text(name)


def strings(values, flags=0):
    return integer(16 | flags) + integer(len(values)) + b"".join(map(text, values))


def reals(values, flags=0):
    return integer(14 | flags) + integer(len(values)) + np.array(values, ">f8").tobytes()


def integers(values, flags=0, kind=13):
    return integer(kind | flags) + integer(len(values)) + np.array(values, ">i4").tobytes()


def pairs(**attributes):
    body = b"".join(integer(0x402) + symbol(name) + value for name, value in attributes.items())
    return body + integer(254)


def frame(**columns):
    """Bytes of a data frame, each column given by its own bytes."""
    head = b"X\n" + integer(3) + integer(0x40000) + integer(0x30500) + integer(5) + b"UTF-8"
    body = integer(19 | 0x300) + integer(len(columns)) + b"".join(columns.values())
    short_rows = integers([-(2**31), -3])  # as R writes the names of unnamed rows
    return (
        head
        + body
        + pairs(names=strings(list(columns)), **{"class": strings(["data.frame"]), "row.names": short_rows})
    )


COLUMNS = {
    "real": reals([1.5, np.nan, -2.0]),
    "whole": integers([1, -(2**31), 3]),
    "flag": integers([1, 0, -(2**31)], kind=10),
    "word": strings(["a", None, "Å"]),
    "factor": integers([2, 1, -(2**31)], 0x300)
    + pairs(levels=strings(["lo", "hi"]), **{"class": strings(["factor"])}),
    "sites": integer(19) + integer(3) + strings(["x", "y"]) + strings(["z"]) + strings([]),
    "day": reals([0.0, 1.0, 11016.0], 0x300) + pairs(**{"class": strings(["Date"])}),
    "moment": reals([0.0, 60.0, 86400.0], 0x300) + pairs(**{"class": strings(["POSIXct", "POSIXt"])}),
    "sequence": integer(238)
    + (integer(2) + symbol("compact_intseq") + integer(2) + symbol("base") + integer(254))
    + reals([3.0, 5.0, 1.0])
    + integer(254),
}


@pytest.fixture
def written(tmp_path):
    path = tmp_path / "frame.rds"
    path.write_bytes(gzip.compress(frame(**COLUMNS)))
    return path


def test_every_kind_of_column(written):
    table = read_rds(written)
    assert list(table) == list(COLUMNS)
    assert table["real"].dtype == np.float64
    assert np.array_equal(table["real"], [1.5, np.nan, -2.0], equal_nan=True)
    assert table["whole"].dtype == "Int32"
    assert table["whole"].tolist()[::2] == [1, 3]
    assert table["whole"].isna().tolist() == [False, True, False]
    assert table["flag"].dtype == "boolean"
    assert table["flag"].tolist()[:2] == [True, False]
    assert table["flag"].isna().tolist() == [False, False, True]
    assert table["word"].tolist()[::2] == ["a", "Å"]
    assert table["word"].isna().tolist() == [False, True, False]
    assert table["factor"].tolist()[:2] == ["hi", "lo"]
    assert [list(value) for value in table["sites"]] == [["x", "y"], ["z"], []]
    assert table["day"].dt.strftime("%F").tolist() == ["1970-01-01", "1970-01-02", "2000-02-29"]
    assert table["moment"].iloc[1] == pd.Timestamp("1970-01-01 00:01")
    assert table["sequence"].tolist() == [5, 6, 7]


@pytest.mark.parametrize("pack", [bytes, gzip.compress, bz2.compress, lzma.compress])
def test_compressions(tmp_path, pack):
    path = tmp_path / "frame.rds"
    path.write_bytes(pack(frame(real=COLUMNS["real"])))
    assert read_rds(path)["real"].iloc[2] == -2.0


def test_agrees_with_rdata(tmp_path):
    rdata = pytest.importorskip("rdata")
    path = tmp_path / "frame.rds"
    path.write_bytes(frame(**{name: COLUMNS[name] for name in ("real", "whole", "flag", "word")}))
    theirs, ours = rdata.read_rds(path), read_rds(path)
    assert list(theirs) == list(ours)
    for name in ours:
        assert theirs[name].isna().tolist() == ours[name].isna().tolist()
        assert theirs[name].dropna().tolist() == ours[name].dropna().tolist()


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        pytest.param(b"hello", "not an R file", id="no R file"),
        pytest.param(frame(**COLUMNS)[:200], "can not be read", id="cut short"),
        pytest.param(frame(call=integer(6)), "kind 6", id="language object"),
        pytest.param(frame(x=reals([1.0]))[:23] + reals([1.0]), "holds no data frame", id="plain vector"),
    ],
)
def test_refuses(tmp_path, content, fault):
    path = tmp_path / "bad.rds"
    path.write_bytes(content)
    with pytest.raises(InvalidArgumentError, match=fault):
        read_rds(path)


@pytest.mark.skipif(not MIRROR.is_dir(), reason="the Delaware files are not beside the repository")
@pytest.mark.delaware
@pytest.mark.parametrize("name", ["drb_filtered_sites.rds", "obs_temp_drb.rds"])
def test_agrees_with_other_readers_on_real_files(name):
    reader = pytest.importorskip("pyreadr")
    path = next(MIRROR.rglob(name))
    theirs = reader.read_r(path)[None]
    ours = read_rds(path)
    assert list(ours) == list(theirs)
    for column in ours:
        if ours[column].dtype == "float64":
            assert np.array_equal(ours[column], theirs[column], equal_nan=True)
        else:
            known = theirs[column].notna()
            assert (ours[column].notna() == known).all()
            assert (ours.loc[known, column] == theirs.loc[known, column]).all()
