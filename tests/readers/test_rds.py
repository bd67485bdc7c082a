from __future__ import annotations

import gzip
import struct

import numpy as np
import pandas as pd
import pytest

from xmsgl.errors import InvalidArgumentError
from xmsgl.readers.rds import read_rds


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
    "word": strings(["a", None, "Å"]),
    "moment": reals([0.0, 60.0, 86400.0], 0x300) + pairs(**{"class": strings(["POSIXct", "POSIXt"])}),
}


def test_columns(tmp_path):
    path = tmp_path / "frame.rds"
    path.write_bytes(gzip.compress(frame(**COLUMNS)))
    table = read_rds(path)
    assert list(table) == list(COLUMNS)
    assert np.array_equal(table["real"], [1.5, np.nan, -2.0], equal_nan=True)
    assert table["whole"].isna().tolist() == [False, True, False]
    assert table["word"].tolist()[::2] == ["a", "Å"]
    assert table["moment"].tolist() == [
        pd.Timestamp("1970-01-01"),
        pd.Timestamp("1970-01-01 00:01"),
        pd.Timestamp("1970-01-02"),
    ]


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        pytest.param(b"hello", "cannot be read as an R file", id="no R file"),
        pytest.param(frame(**COLUMNS)[:200], "cannot be read as an R file", id="cut short"),
        pytest.param(
            frame(x=reals([1.0]))[:23] + reals([1.0]), "does not hold a data frame", id="plain vector"
        ),
    ],
)
def test_refuses(tmp_path, content, fault):
    path = tmp_path / "bad.rds"
    path.write_bytes(content)
    with pytest.raises(InvalidArgumentError, match=fault):
        read_rds(path)


@pytest.mark.delaware
def test_real_table_of_sites(mirrored):
    sites = read_rds(mirrored("**/drb_filtered_sites.rds"))
    assert sites["site_id"].nunique() == 2372
    assert sites["longitude"].between(-76.5, -74).all()
