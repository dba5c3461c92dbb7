"""The text side: a small CLIP text model on CLIP's own tokens.

Parameter names follow transformers' CLIPTextModel below 5, as SD 1.x checkpoints store them.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .. import world
from ..host.tokenizer import LENGTH, Tokenizer

VOCABULARY = 49408
WIDTH, LAYERS, HEADS = 64, 3, 4


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
