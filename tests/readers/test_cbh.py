from __future__ import annotations

import numpy as np
import pytest

from xmsgl.errors import InvalidArgumentError
from xmsgl.readers.cbh import read_cbh

GOOD = (
    "Written by hand\nrhavg 2\n####\n1980 2 28 0 0 0 1.5 2.5\n1980 2 29 0 0 0 3.5 4.5\n1980 3 1 0 0 0 5 6\n"
)


def test_reads_dates_and_values(tmp_path):
    path = tmp_path / "good.cbh"
    path.write_text(GOOD)
    name, time, values = read_cbh(path)
    assert name == "rhavg"
    assert time.astype(str).tolist() == ["1980-02-28", "1980-02-29", "1980-03-01"]
    assert values.dtype == np.float32
    assert values.tolist() == [[1.5, 2.5], [3.5, 4.5], [5.0, 6.0]]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        pytest.param("a\nb\nc\n", "line 2 must be", id="another layout"),
        pytest.param(
            GOOD.replace("rhavg 2", "rhavg 3"),
            "announces 3 columns of values but has 2",
            id="columns missing",
        ),
        pytest.param(GOOD + "1980 3 2 0 0 0 1\n", "not a climate-by-HRU", id="short line"),
        pytest.param(GOOD.replace("1.5", "mild"), "not a climate-by-HRU", id="text for a number"),
    ],
)
def test_refuses(tmp_path, text, fault):
    path = tmp_path / "bad.cbh"
    path.write_text(text)
    with pytest.raises(InvalidArgumentError, match=fault):
        read_cbh(path)
