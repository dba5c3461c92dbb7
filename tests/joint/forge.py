"""Forge's own transformer classes, small and with random weights, where its folder is given."""

from __future__ import annotations

import os
from typing import Any

from lab.host.forge import network_module

from .harness import Case, fill

FOLDER = "LAFI_FORGE"
NAMES = ("forge flux", "forge chroma", "forge sd3")
SIZES: dict[str, Any] = {
    "hidden_size": 64,
    "mlp_ratio": 4.0,
    "num_heads": 2,
    "depth": 2,
    "depth_single_blocks": 4,
    "axes_dim": [4, 14, 14],
    "theta": 10000,
    "qkv_bias": True,
}


def _module(name: str) -> Any:
    return network_module(os.environ[FOLDER], name)


def case(name: str) -> Case:
    """One of `NAMES`."""
    more: dict[str, Any] = {"channels": 16, "text": 48, "vector": 32}
    if name == "forge sd3":
        embedder = {
            "target": "torch.nn.Linear",
            "params": {"in_features": 48, "out_features": 256},
        }
        network = _module("mmditx").MMDiTX(
            in_channels=16, patch_size=2, depth=4, adm_in_channels=32,
            context_embedder_config=embedder, num_patches=576, pos_embed_max_size=24,
            qk_norm="rms", x_block_self_attn_layers=[0, 1, 2],
        )  # fmt: skip
        return Case(name, fill(network), False, 1000.0, **more)
    sizes = {"in_channels": 16, "vec_in_dim": 32, "context_in_dim": 48, **SIZES}
    if name == "forge flux":
        network = _module("flux").IntegratedFluxTransformer2DModel(**sizes, guidance_embed=True)
        return Case(name, fill(network), True, reads=("y", "guidance"), guidance=3.5, **more)
    guidance = {"guidance_out_dim": 64, "guidance_hidden_dim": 32, "guidance_n_layers": 2}
    network = _module("chroma").IntegratedChromaTransformer2DModel(**sizes, **guidance)
    return Case(name, fill(network), True, reads=(), **more)
