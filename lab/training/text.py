"""The text side: CLIP's own BPE tokens and a small CLIP text model.

Parameter names follow transformers' CLIPTextModel below 5, as SD 1.x checkpoints store them.
"""

from __future__ import annotations

import functools
import itertools
import json
import re
from collections.abc import Iterable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .. import world

LENGTH, VOCABULARY = 77, 49408
START, END = 49406, 49407
WIDTH, LAYERS, HEADS = 64, 3, 4
CLIP = Path(__file__).parents[1] / "model" / "clip"  # vocab.json, merges.txt, config.json

_WORDS = re.compile(r"'(?:s|t|re|ve|m|ll|d)|[^\W\d_]+|\d|(?:[^\s\w]|_)+")


class Tokenizer:
    """CLIP's byte pair encoding: lower case, start and end marks, padded with the end mark."""

    def __init__(self, folder: Path = CLIP) -> None:
        self._ids: dict[str, int] = json.loads((folder / "vocab.json").read_text("utf-8"))
        merges = (folder / "merges.txt").read_text("utf-8").splitlines()[1:]
        self._ranks = {tuple(line.split()): rank for rank, line in enumerate(merges)}

    def __call__(self, texts: Iterable[str]) -> Tensor:
        """Token ids (B, 77)."""
        rows = []
        for text in texts:
            ids = [i for word in _WORDS.findall(text.lower()) for i in self._word(word)]
            row = [START, *ids[: LENGTH - 2]]
            rows.append(row + [END] * (LENGTH - len(row)))
        return torch.tensor(rows)

    @functools.cache  # noqa: B019  a tokenizer lives as long as the process
    def _word(self, word: str) -> tuple[int, ...]:
        symbols = [_byte_symbols()[byte] for byte in word.encode()]
        symbols[-1] += "</w>"
        while len(symbols) > 1:
            pairs = [
                (self._ranks.get(pair, 10**9), i)
                for i, pair in enumerate(itertools.pairwise(symbols))
            ]
            rank, at = min(pairs)
            if rank == 10**9:
                break
            symbols[at : at + 2] = ["".join(symbols[at : at + 2])]
        return tuple(self._ids[symbol] for symbol in symbols)


@functools.cache
def _byte_symbols() -> dict[int, str]:
    # GPT-2's table: printable bytes stand for themselves, the others for characters from 256 on.
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    symbols = {byte: chr(byte) for byte in plain}
    others = (byte for byte in range(256) if byte not in symbols)
    return symbols | {byte: chr(256 + index) for index, byte in enumerate(others)}


def known_tokens(tokenizer: Tokenizer) -> Tensor:
    """Ids of all tokens that captions can hold, ascending."""
    names = [
        *world.ACTIONS, *world.FACINGS, *world.WALLS, *world.GROUNDS, "facing",
        "a figure, the same figure twice, two figures", "skin hair shirt trousers shoes bag",
        *(word for choices in world.CHOICES.values() for word in choices),
    ]  # fmt: skip
    return tokenizer(names).unique()


class _Layer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.self_attn = nn.ModuleDict(
            {name: nn.Linear(WIDTH, WIDTH) for name in ("q_proj", "k_proj", "v_proj", "out_proj")}
        )
        self.layer_norm1, self.layer_norm2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.mlp = nn.ModuleDict(
            {"fc1": nn.Linear(WIDTH, 4 * WIDTH), "fc2": nn.Linear(4 * WIDTH, WIDTH)}
        )

    def forward(self, x: Tensor) -> Tensor:
        h, attention = self.layer_norm1(x), self.self_attn
        q, k, v = (
            attention[name](h).unflatten(2, (HEADS, -1)).transpose(1, 2)
            for name in ("q_proj", "k_proj", "v_proj")
        )
        h = F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2)
        x = x + attention["out_proj"](h)
        h = self.mlp["fc1"](self.layer_norm2(x))
        return x + self.mlp["fc2"](h * torch.sigmoid(1.702 * h))


class TextModel(nn.Module):
    """A CLIP text model; ids (B, 77) to (B, 77, WIDTH).

    While training only the embeddings of known tokens are kept: the others are never seen.

    Args:
        known: ids with an embedding, ascending; None for CLIP's whole vocabulary.
    """

    def __init__(self, known: Tensor | None = None) -> None:
        super().__init__()
        size = VOCABULARY if known is None else len(known)
        self.register_buffer("known", known, persistent=False)
        self.embeddings = nn.ModuleDict(
            {
                "token_embedding": nn.Embedding(size, WIDTH),
                "position_embedding": nn.Embedding(LENGTH, WIDTH),
            }
        )
        for embedding in self.embeddings.values():
            nn.init.normal_(embedding.weight, std=0.1)
        self.encoder = nn.ModuleDict({"layers": nn.ModuleList(_Layer() for _ in range(LAYERS))})
        self.final_layer_norm = nn.LayerNorm(WIDTH)

    def forward(self, ids: Tensor) -> Tensor:
        if self.known is not None:
            ids = torch.searchsorted(self.known, ids)
        x = self.embeddings["token_embedding"](ids) + self.embeddings["position_embedding"].weight
        for layer in self.encoder["layers"]:
            x = layer(x)
        return self.final_layer_norm(x)

    def whole(self) -> dict[str, Tensor]:
        """The state dict with CLIP's whole vocabulary; tokens never seen get zeros."""
        state = dict(self.state_dict())
        if self.known is not None:
            trained = state["embeddings.token_embedding.weight"]
            table = trained.new_zeros(VOCABULARY, WIDTH)
            table[self.known] = trained
            state["embeddings.token_embedding.weight"] = table
        return state
