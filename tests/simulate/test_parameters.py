from __future__ import annotations

import dataclasses

import pytest

from xmsgl.errors import InvalidArgumentError
from xmsgl.simulate import StreamParameters


def test_frozen_and_hashable() -> None:
    p = StreamParameters()
    with pytest.raises(dataclasses.FrozenInstanceError):
        p.albedo = 0.1  # type: ignore[misc]
    assert hash(p) == hash(StreamParameters())


@pytest.mark.parametrize("field", [f.name for f in dataclasses.fields(StreamParameters)])
def test_every_parameter_has_a_range(field: str) -> None:
    for value in (-1e9, float("nan")):
        with pytest.raises(InvalidArgumentError, match=field):
            StreamParameters(**{field: value})


def test_all_faults_at_once() -> None:
    with pytest.raises(InvalidArgumentError, match=r"albedo=2 .*manning=0 "):
        StreamParameters(albedo=2, manning=0)
