"""The UNet as the reference's own pass is to meet it: what other extensions have put there for the
picture's rows and size does not reach it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from .identity import modules_below


@contextmanager
def alone(unet: nn.Module, x: Tensor) -> Iterator[None]:
    """Around a forward of the UNet's class with references' latents (K, C, h, w)."""
    # Attention whose function another one has replaced: it draws tiles at random (HyperTile), or
    # splits tokens as the picture has them (Regional Prompter).
    layers = [vars(each) for each in modules_below(unet) if "to_k" in each._modules]
    replaced = [(layer, layer.pop("forward")) for layer in layers if "forward" in layer]
    # Token merging (tomesd) reads a latent's size from calls of the UNet as a whole.
    merging: dict[str, Any] = getattr(unet, "_tome_info", {})
    size, merging["size"] = merging.get("size"), tuple(x.shape[-2:])
    try:
        yield
    finally:
        merging["size"] = size
        for layer, forward in replaced:
            layer["forward"] = forward
