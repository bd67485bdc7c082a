from __future__ import annotations

from pathlib import Path

import pytest

from xmsgl.errors import InvalidArgumentError, UnknownNameError
from xmsgl.util.options import get_option, set_options


def test_context_gives_the_former_values_back():
    with set_options(progress=False, data_dir="/some/where"):
        assert get_option("progress") is False
        assert get_option("data_dir") == "/some/where"
        with set_options(data_dir=None):
            assert get_option("data_dir") is None
        assert get_option("data_dir") == "/some/where"
    assert get_option("progress") is True
    assert get_option("data_dir") is None


def test_context_gives_the_former_values_back_after_an_error():
    with pytest.raises(ZeroDivisionError), set_options(progress=False):
        1 / 0  # noqa: B018
    assert get_option("progress") is True


def test_works_as_a_setter():
    former = set_options(progress=False)
    try:
        assert get_option("progress") is False
    finally:
        former.__exit__(None, None, None)
    assert get_option("progress") is True


def test_paths_become_strings():
    with set_options(data_mirror=Path("/a/b")):
        assert get_option("data_mirror") == str(Path("/a/b"))


@pytest.mark.parametrize(
    ("given", "size"), [("8 GiB", 8 * 2**30), ("500MB", 500_000_000), (4096, 4096), (None, None)]
)
def test_sizes_become_bytes(given, size):
    with set_options(training_memory=given):
        assert get_option("training_memory") == size


@pytest.mark.parametrize(
    "wrong",
    [
        {"progress": 1},
        {"progress": "no"},
        {"data_dir": 3},
        {"data_dir": ""},
        {"data_mirror": ["a"]},
        {"training_memory": 0},
        {"training_memory": True},
        {"training_memory": 1.5},
        {"training_memory": "much"},
        {"training_memory": "-1 GiB"},
        {"largest_basin": 0},
        {"largest_basin": None},
        {"largest_basin": True},
        {"largest_basin": 1e5},
        {"largest_basin": "131072"},
    ],
    ids=lambda wrong: "-".join(f"{name}-{value}" for name, value in wrong.items()),
)
def test_wrong_value_changes_nothing(wrong):
    (name,) = wrong
    with pytest.raises(InvalidArgumentError, match=name):
        set_options(**{"progress": False, **wrong})
    assert get_option("progress") is True
    assert get_option("data_dir") is None
    assert get_option("data_mirror") is None
    assert get_option("training_memory") is None
    assert get_option("largest_basin") == 131_072


def test_unknown_option_is_named_with_the_known_ones():
    with pytest.raises(UnknownNameError, match=r"'progres'.*data_dir.*progress"):
        set_options(progres=False)
    with pytest.raises(UnknownNameError, match="'device'"):
        get_option("device")
