"""The model code that the WebUIs bundle (ldm, k-diffusion), imported without its training side.

Both packages import large libraries at their top that only training calls. Empty modules stand in
for those, so that the classes themselves are the real ones.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import io
import sys
from types import ModuleType

import torch.nn.functional as F
from torch import Tensor, nn


def _stand_in(name: str, **attributes: object) -> None:
    module = ModuleType(name)
    module.__dict__.update(attributes)
    sys.modules.setdefault(name, module)


def _import_k_diffusion(name: str) -> ModuleType:
    # The package's own __init__ imports all of its training code; a bare package does not.
    if "k_diffusion" not in sys.modules:
        spec = importlib.util.find_spec("k_diffusion")
        if spec is None:
            raise ModuleNotFoundError("k_diffusion is not installed", name="k_diffusion")
        _stand_in("k_diffusion", __path__=list(spec.submodule_search_locations or ()))
    return importlib.import_module(f"k_diffusion.{name}")


_stand_in("pytorch_lightning", LightningModule=nn.Module)
_stand_in("torchvision")
_stand_in("torchvision.transforms", functional=None)

with contextlib.redirect_stdout(io.StringIO()):  # ldm prints that xformers is missing
    from ldm.models.autoencoder import AutoencoderKL
    from ldm.modules.attention import BasicTransformerBlock, CrossAttention
    from ldm.modules.diffusionmodules.openaimodel import UNetModel
    from ldm.modules.diffusionmodules.util import make_beta_schedule

sampling = _import_k_diffusion("sampling")
external = _import_k_diffusion("external")

__all__ = [
    "AutoencoderKL",
    "BasicTransformerBlock",
    "CrossAttention",
    "UNetModel",
    "external",
    "make_beta_schedule",
    "sampling",
    "sdp_attention",
]


def sdp_attention(
    self: CrossAttention, x: Tensor, context: Tensor | None = None, mask: Tensor | None = None
) -> Tensor:
    """`CrossAttention.forward` on torch's fused attention, as the WebUIs replace it.

    Args:
        x: (B, N, C) queries' tokens.
        context: (B, M, D) keys' tokens; None for self-attention.
        mask: not supported, and never given by these UNets.
    """
    context = x if context is None else context
    q, k, v = (
        each.unflatten(2, (self.heads, -1)).transpose(1, 2)
        for each in (self.to_q(x), self.to_k(context), self.to_v(context))
    )
    return self.to_out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
