"""Tensors in one file: exact and checked."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load, save

from xmsgl.errors import CheckpointError, InvalidArgumentError
from xmsgl.models.file import storage
from xmsgl.util.writing import write_bytes

TENSORS = {
    "b": torch.tensor([[1.5, -2.0], [torch.inf, 1e-40]]),
    "a": torch.arange(5),
    "scalar": torch.tensor(3.0),
    "empty": torch.zeros(0, 4),
    "half": torch.tensor([0.5], dtype=torch.bfloat16),
}
HEADER = {"format": 1, "name": "Müsli", "list": [1, 2.5, None], "nested": {"x": 1 / 3}}


@pytest.fixture
def payload():
    return storage.to_bytes(TENSORS, HEADER)


def test_what_goes_in_comes_out(payload):
    tensors, header = storage.from_bytes(payload, "here")
    assert header == HEADER
    assert set(tensors) == set(TENSORS)
    for name, tensor in TENSORS.items():
        assert tensors[name].dtype == tensor.dtype
        assert torch.equal(tensors[name], tensor)


def test_equal_contents_give_equal_bytes(payload):
    turned = {name: TENSORS[name] for name in reversed(TENSORS)}
    assert storage.to_bytes(turned, dict(reversed(HEADER.items()))) == payload
    strided = {**TENSORS, "b": TENSORS["b"].T.contiguous().T}
    assert {storage.to_bytes(strided, HEADER) for _ in range(20)} == {payload}


def test_others_can_read_the_file(payload):
    """It is plain safetensors, and nothing in it runs code."""
    assert torch.equal(load(payload)["a"], TENSORS["a"])
    size = int.from_bytes(payload[:8], "little")
    header = json.loads(payload[8 : 8 + size])
    assert HEADER.items() <= json.loads(header["__metadata__"]["xmsgl"]).items()
    with pytest.raises(Exception, match=r"(?i)pickle|magic|invalid|load"):
        torch.load(__import__("io").BytesIO(payload), weights_only=False)


@pytest.mark.parametrize("where", [0.0, 0.05, 0.3, 0.6, 0.95, 0.9999], ids="at {}".format)
def test_a_changed_byte_is_noticed(payload, where):
    spoilt = bytearray(payload)
    spoilt[int(where * len(payload))] ^= 0x55
    with pytest.raises(CheckpointError, match="here"):
        storage.from_bytes(bytes(spoilt), "here")


def test_no_changed_byte_of_the_header_changes_a_tensor_or_ends_in_another_error(payload):
    first = 8 + int.from_bytes(payload[:8], "little")
    for position in range(first):
        spoilt = bytearray(payload)
        spoilt[position] ^= 1
        try:
            tensors, header = storage.from_bytes(bytes(spoilt), "here")
        except CheckpointError:
            continue
        assert header == HEADER  # blanks between the entries carry nothing
        assert set(tensors) == set(TENSORS)
        assert all(torch.equal(tensors[name], tensor) for name, tensor in TENSORS.items())


def test_every_changed_byte_of_the_values_is_noticed(payload):
    first = 8 + int.from_bytes(payload[:8], "little")
    for position in range(first, len(payload)):
        spoilt = bytearray(payload)
        spoilt[position] ^= 1
        with pytest.raises(CheckpointError, match=r"is damaged: .* checksum; copy or write it again"):
            storage.from_bytes(bytes(spoilt), "here")


@pytest.mark.parametrize("size", [0, 4, 8, 40, -1])
def test_a_truncated_file_is_refused(payload, size):
    with pytest.raises(CheckpointError, match="here is not a whole safetensors file"):
        storage.from_bytes(payload[:size], "here")


def test_foreign_files_are_refused():
    with pytest.raises(CheckpointError, match="but not one of xmsgl"):
        storage.from_bytes(save({"w": torch.ones(2)}), "here")
    with pytest.raises(CheckpointError, match="but not one of xmsgl"):
        storage.from_bytes(save({"w": torch.ones(2)}, metadata={"format": "pt"}), "here")
    for text in ("[]", "{}", "no json", "3", '{"format": 1}'):
        with pytest.raises(CheckpointError, match="but not one of xmsgl"):
            storage.from_bytes(save({"w": torch.ones(2)}, metadata={"xmsgl": text}), "here")
    with pytest.raises(CheckpointError, match="not a whole safetensors file"):
        storage.from_bytes(b"\x89PNG" * 100, "here")


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(CheckpointError, match=r"no file of weights at .*absent"):
        storage.read(tmp_path / "absent")
    with pytest.raises(CheckpointError, match="no file of weights"):
        storage.read(tmp_path)


def test_the_digest_is_that_of_the_file(tmp_path, payload):
    import hashlib

    path = write_bytes(tmp_path / "w", payload)
    assert storage.read(path) == payload
    assert storage.digest(payload) == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("path", [3, None, ["m.safetensors"]])
def test_what_is_not_a_path_is_refused(path):
    with pytest.raises(InvalidArgumentError, match="a file of weights must be given by its path, not"):
        storage.read(path)
