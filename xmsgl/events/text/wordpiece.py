"""Texts as numbers of word pieces, as the models of the BERT family read them."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["WordPiece"]

_LONGEST = 100  # characters of a word that is cut into pieces; a longer one is unknown


class WordPiece:
    """Lower-case words, cut greedily into the longest pieces of a vocabulary."""

    def __init__(self, vocabulary: Sequence[str]) -> None:
        self.number = {piece: k for k, piece in enumerate(vocabulary)}
        self.start, self.stop, self.unknown = (self.number[each] for each in ("[CLS]", "[SEP]", "[UNK]"))

    def __call__(self, text: str, most: int) -> list[int]:
        """Return the numbers of at most `most` pieces, those of start and stop among them."""
        pieces = [piece for word in _words(text) for piece in self._cut(word)]
        return [self.start, *pieces[: most - 2], self.stop]

    def _cut(self, word: str) -> list[int]:
        found: list[int] = []
        begin = 0
        while begin < len(word):
            prefix = "##" if begin else ""
            stops = range(len(word), begin, -1)
            stop = next((s for s in stops if prefix + word[begin:s] in self.number), 0)
            if not stop or len(word) > _LONGEST:
                return [self.unknown]
            found.append(self.number[prefix + word[begin:stop]])
            begin = stop
        return found


def _words(text: str) -> Iterator[str]:
    """Split lower-case text without accents at spaces; each punctuation mark is a word."""
    plain = unicodedata.normalize("NFD", text.lower())
    spaced = "".join(
        " " if letter.isspace() else f" {letter} " if _is_mark(letter) else letter
        for letter in plain
        if unicodedata.category(letter) != "Mn"
        and (letter.isspace() or unicodedata.category(letter)[0] != "C")
    )
    yield from spaced.split()


def _is_mark(letter: str) -> bool:
    ideograph = "\u3400" <= letter <= "\u9fff" or "\uf900" <= letter <= "\ufaff"
    ascii_mark = letter.isascii() and not letter.isalnum() and letter.isprintable()
    return ideograph or ascii_mark or unicodedata.category(letter)[0] == "P"
