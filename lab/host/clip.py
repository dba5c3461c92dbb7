"""CLIP's text transformer at the width and depth of whatever weights it is given."""

from __future__ import annotations

import json
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from .tokenizer import CLIP, Tokenizer

HEAD_WIDTH = 64  # of CLIP's own models; a folder's config.json tells of others


class ClipText:
    """A prompt to the last layer's normalised states (Radford et al. 2021), as SD 1.x uses them.

    Args:
        weights: CLIPTextModel's, without the ``text_model.`` prefix.
    """

    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        self.weights, self.tokenizer = weights, Tokenizer()
        width = weights["final_layer_norm.weight"].shape[0]
        config = json.loads((CLIP / "config.json").read_text("utf-8"))
        known = width == config["hidden_size"]
        self.heads = config["num_attention_heads"] if known else width // HEAD_WIDTH
        self.layers = sum(name.endswith(".layer_norm1.weight") for name in weights)

    @torch.no_grad()
    def __call__(self, prompt: str) -> Tensor:
        """A prompt to (1, 77, D); further tokens are left out."""
        embeddings = self.weights["embeddings.token_embedding.weight"]
        x = embeddings[self.tokenizer([prompt])]
        x = x + self.weights["embeddings.position_embedding.weight"]
        for index in range(self.layers):
            x = self._layer(f"encoder.layers.{index}.", x)
        return self._norm("final_layer_norm", x)

    def _layer(self, prefix: str, x: Tensor) -> Tensor:
        h = self._norm(prefix + "layer_norm1", x)
        q, k, v = (
            self._linear(f"{prefix}self_attn.{name}_proj", h)
            .unflatten(2, (self.heads, -1))
            .transpose(1, 2)
            for name in ("q", "k", "v")
        )
        h = F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2)
        x = x + self._linear(prefix + "self_attn.out_proj", h)
        h = self._linear(prefix + "mlp.fc1", self._norm(prefix + "layer_norm2", x))
        return x + self._linear(prefix + "mlp.fc2", h * torch.sigmoid(1.702 * h))

    def _linear(self, name: str, x: Tensor) -> Tensor:
        return F.linear(x, self.weights[f"{name}.weight"], self.weights[f"{name}.bias"])

    def _norm(self, name: str, x: Tensor) -> Tensor:
        weight, bias = self.weights[f"{name}.weight"], self.weights[f"{name}.bias"]
        return F.layer_norm(x, (x.shape[-1],), weight, bias)
