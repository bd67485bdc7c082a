"""Arguments compared with annotations."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

import numpy as np
import pytest

from xmsgl.errors import InvalidArgumentError
from xmsgl.prediction.downscale import downscale
from xmsgl.util.arguments import check_value, checked

if TYPE_CHECKING:
    from collections.abc import Sequence


@checked
def door(
    count: int, names: Sequence[str] = (), pair: tuple[float, float] | None = None, **more: object
) -> tuple[object, ...]:
    """Return the arguments."""
    return count, names, pair, more


def test_a_door_keeps_its_signature_its_text_and_its_result():
    assert list(inspect.signature(door).parameters) == ["count", "names", "pair", "more"]
    assert (door.__name__, door.__doc__) == ("door", "Return the arguments.")
    assert door(1, ["a"], (1, 2.5), x=3) == (1, ["a"], (1, 2.5), {"x": 3})
    assert "Return the daily temperature" in (downscale.__doc__ or "")
    assert "warmup" in inspect.signature(downscale).parameters


def test_the_function_itself_says_which_argument_is_missing():
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'count'"):
        door()


@pytest.mark.parametrize(
    ("kind", "fits", "fails"),
    [
        ("int", [0, -3, np.int32(2)], [1.0, True, "1", None, float("nan")]),
        ("float | None", [1, 0.5, None, np.float32(2)], ["x", float("nan"), True]),
        ("str | os.PathLike[str]", ["a"], ["a\0b", b"a", 5]),
        ("Sequence[float]", [[1, 2.0], (), np.arange(3.0)], ["x", [1, "a"], 5, np.float64(3), {}]),
        ("Iterable[int | tuple[int, int]]", [[1, (2, 3)], iter([1])], [[(1, 2, 3)], ["a"]]),
        ("Mapping[str, float]", [{"a": 1}, {}], [{"a": "b"}, {1: 1.0}, [1]]),
        ("tuple[float, float]", [(1, 2)], [(1,), (1, "a")]),
        ("xr.Dataset | None", [None], [5, "a"]),
        ("Any", [5, None], []),
    ],
)
def test_values_are_compared_with_annotations(kind, fits, fails):
    for value in fits:
        check_value("x", value, kind)
    for value in fails:
        with pytest.raises(InvalidArgumentError, match=r"^x must (be|not contain a NUL)"):
            check_value("x", value, kind)


def test_a_message_is_short_for_long_values():
    with pytest.raises(InvalidArgumentError, match=r"not a list of 1000$"):
        check_value("x", ["a"] * 1000, "Sequence[float]")


def test_a_message_says_what_a_mapping_takes():
    with pytest.raises(InvalidArgumentError, match=r"be a mapping \(text to a number\), not {'bias': nan}"):
        check_value("amounts", {"bias": float("nan")}, "Mapping[str, float]")
    with pytest.raises(InvalidArgumentError, match=r"a mapping \(text to anything\) or None, not 3"):
        check_value("options", 3, "Mapping[str, Any] | None")
