"""Kernels against a plain loop."""

from __future__ import annotations

import json
import math
from dataclasses import FrozenInstanceError, dataclass

import numpy as np
import pytest

from xmsgl.errors import InvalidArgumentError, UnknownNameError
from xmsgl.network.kernels import (
    KERNELS,
    Exponential,
    Gaussian,
    Inverse,
    Kernel,
    Reference,
    get_kernel,
    kernel_weights,
    register_kernel,
)

BUILT_IN = ["exponential", "gaussian", "inverse", "reference"]


def plain_weights(name, distance, below, scale):
    """One pair at a time, with the formulas written out."""
    if name == "reference":
        signed = [-d if b else d for d, b in zip(distance, below, strict=True)]
        mean = sum(signed) / len(signed)
        deviation = math.sqrt(sum((s - mean) ** 2 for s in signed) / len(signed))
        return [1 / (1 + math.exp(-(s - mean) / deviation)) for s in signed]
    formula = {
        "exponential": lambda d: math.exp(-d / scale),
        "gaussian": lambda d: math.exp(-(d**2) / (2 * scale**2)),
        "inverse": lambda d: scale / (scale + d),
    }[name]
    return [formula(d) for d in distance]


@pytest.mark.parametrize("name", BUILT_IN)
def test_weights(name):
    rng = np.random.default_rng(3)
    distance, below = rng.uniform(1, 40_000, 200), rng.random(200) < 0.3
    kernel = get_kernel(name)
    expected = plain_weights(name, distance, below, 10_000.0)
    np.testing.assert_allclose(kernel.weight(distance, below), expected, rtol=1e-12)


@pytest.mark.parametrize("kind", [Exponential, Gaussian, Inverse])
def test_decays_from_one_and_fades_within_its_range(kind):
    kernel = kind(2_000.0)
    distance = np.array([1e-9, 500.0, 2_000.0, kernel.range_m])
    weight = kernel.weight(distance, np.ones(4, bool))
    assert weight[0] == pytest.approx(1)
    assert (np.diff(weight) < 0).all()
    assert kernel.range_m == 10_000.0


def test_reference_grows_upstream_as_published():
    weight = Reference().weight(np.array([1.0, 2.0, 1.0, 2.0]), np.array([True, True, False, False]))
    assert weight[3] > weight[2] > weight[0] > weight[1]
    assert Reference().range_m == math.inf


def test_reference_drops_entries_equal_to_the_mean():
    weight = Reference().weight(np.array([2.0, 2.0, 1.0, 1.0, 3.0, 3.0]), np.zeros(6, bool))
    assert weight[:2].tolist() == [0, 0]
    assert (weight[2:] > 0).all()
    assert Reference().weight(np.full(3, 0.1), np.ones(3, bool)).tolist() == [0, 0, 0]
    assert Reference().weight(np.zeros(0), np.zeros(0, bool)).size == 0


@pytest.mark.parametrize("name", BUILT_IN)
def test_round_trip_through_json(name):
    kernel = get_kernel(name)
    assert Kernel.from_dict(json.loads(json.dumps(kernel.to_dict()))) == kernel
    assert get_kernel(kernel) is kernel
    assert hash(kernel) == hash(get_kernel(name))
    assert set(BUILT_IN) <= set(KERNELS)


def test_default_and_parameters():
    assert get_kernel() == get_kernel("exponential") == Exponential(10_000.0)
    assert get_kernel({"name": "inverse", "scale_m": 5}) == Inverse(5.0)
    with pytest.raises(FrozenInstanceError):
        Exponential().scale_m = 3.0


@pytest.mark.parametrize("scale", [0, -1.0, math.nan, math.inf, "far", None], ids=str)
def test_scale_must_be_a_length(scale):
    with pytest.raises(InvalidArgumentError, match="scale_m of kernel 'gaussian'"):
        Gaussian(scale)


@pytest.mark.parametrize(
    ("spec", "error", "words"),
    [
        pytest.param("sigmoid", UnknownNameError, "unknown kernel 'sigmoid'; known: exponential", id="name"),
        pytest.param({"scale_m": 3.0}, InvalidArgumentError, "needs a 'name'", id="no name"),
        pytest.param({"name": "inverse", "power": 2}, InvalidArgumentError, "power.*scale_m", id="parameter"),
        pytest.param(
            {"name": "reference", "scale_m": 2}, InvalidArgumentError, "takes none", id="none taken"
        ),
        pytest.param(3.0, InvalidArgumentError, "not 3.0", id="type"),
    ],
)
def test_refuses(spec, error, words):
    with pytest.raises(error, match=words):
        get_kernel(spec)


def test_registering():
    @register_kernel("test-flat")
    @dataclass(frozen=True)
    class Flat(Kernel):
        level: float = 0.5

        def weight(self, distance, downstream):
            return np.full(distance.shape, self.level)

    try:
        assert get_kernel({"name": "test-flat", "level": 0.25}) == Flat(0.25)
        assert Flat().to_dict() == {"name": "test-flat", "level": 0.5}
        assert register_kernel("test-flat")(Flat) is Flat
        with pytest.raises(InvalidArgumentError, match=r"already a kernel 'test-flat' \(.*Flat\)"):
            register_kernel("test-flat")(Inverse)
        assert Inverse.name == "inverse"
        with pytest.raises(InvalidArgumentError, match="'test-number' must be a class derived from Kernel"):
            register_kernel("test-number")(int)
        with pytest.raises(InvalidArgumentError, match="from -1 to"):
            kernel_weights(Flat(-1.0), np.ones(3), np.ones(3, bool))
        with pytest.raises(InvalidArgumentError, match="finite"):
            kernel_weights(Flat(math.nan), np.ones(3), np.ones(3, bool))
    finally:
        del KERNELS["test-flat"]


def test_what_is_at_hand_weighs_one():
    weight = kernel_weights(Inverse(10.0), np.array([0.0, 10.0, 0.0]), np.zeros(3, bool))
    assert weight.tolist() == [1.0, 0.5, 1.0]
