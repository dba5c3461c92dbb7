"""The model code that the WebUIs bundle (ldm, sgm, k-diffusion), without its training side.

The packages import large libraries at their top that only training calls. Empty modules stand in
for those, so that the classes themselves are the real ones. sgm, SDXL's code, is on PyPI as a part
of imaginAIry only.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import io
import logging
import sys
from collections.abc import Iterator
from types import ModuleType

import torch.nn.functional as F
from torch import Tensor, nn


def _stand_in(name: str, **attributes: object) -> None:
    module = ModuleType(name)
    module.__dict__.update(attributes)
    sys.modules.setdefault(name, module)


def _import_from(package: str, *names: str) -> list[ModuleType]:
    """Modules of a package whose own __init__ imports too much: a bare one takes its place."""
    if package not in sys.modules:
        spec = importlib.util.find_spec(package)
        if spec is None:
            raise ModuleNotFoundError(f"{package} is not installed", name=package)
        _stand_in(package, __path__=list(spec.submodule_search_locations or ()))
    return [importlib.import_module(f"{package}.{name}") for name in names]


def _import_sgm() -> tuple[ModuleType, ModuleType]:
    """sgm's attention and its UNet."""
    name = "imaginairy.modules.attention"
    [attention] = _import_from("imaginairy", "modules.sgm.attention")
    # There the UNet is built on another attention, close to ldm's; here on its own.
    sys.modules.setdefault(name, attention)
    [unet] = _import_from("imaginairy", "modules.sgm.diffusionmodules.openaimodel")
    logging.getLogger(attention.__name__).setLevel(logging.ERROR)  # warns of what it mends itself
    return attention, unet


_stand_in("pytorch_lightning", LightningModule=nn.Module)
_stand_in("torchvision")
_stand_in("torchvision.transforms", functional=None)

with contextlib.redirect_stdout(io.StringIO()):  # ldm prints that xformers is missing
    from ldm.models.autoencoder import AutoencoderKL
    from ldm.modules.attention import BasicTransformerBlock, CrossAttention
    from ldm.modules.diffusionmodules.model import Decoder, Encoder
    from ldm.modules.diffusionmodules.openaimodel import UNetModel
    from ldm.modules.diffusionmodules.util import make_beta_schedule

sampling, external = _import_from("k_diffusion", "sampling", "external")
_sgm_attention, _sgm_unet = _import_sgm()
SGMUNetModel: type[nn.Module] = _sgm_unet.UNetModel
ATTENTIONS: tuple[type[nn.Module], ...] = (CrossAttention, _sgm_attention.CrossAttention)

__all__ = [
    "ATTENTIONS",
    "AutoencoderKL",
    "BasicTransformerBlock",
    "CrossAttention",
    "Decoder",
    "Encoder",
    "SGMUNetModel",
    "UNetModel",
    "external",
    "fuse",
    "fused_attention",
    "make_beta_schedule",
    "sampling",
    "sdp_attention",
]


def sdp_attention(
    self: CrossAttention,
    x: Tensor,
    context: Tensor | None = None,
    mask: Tensor | None = None,
    **for_videos: object,
) -> Tensor:
    """`CrossAttention.forward` on torch's fused attention, as the WebUIs replace it.

    Args:
        x: (B, N, C) queries' tokens.
        context: (B, M, D) keys' tokens; None for self-attention.
        mask: not supported, and never given by these UNets; nor is what sgm hands on for videos.
    """
    context = x if context is None else context
    q, k, v = (
        each.unflatten(2, (self.heads, -1)).transpose(1, 2)
        for each in (self.to_q(x), self.to_k(context), self.to_v(context))
    )
    if q.requires_grad and not q.is_cuda:  # on a CPU the fused kernel's way back is slower
        out = ((q * q.shape[-1] ** -0.5) @ k.transpose(2, 3)).softmax(-1).to(v.dtype) @ v
    else:
        out = F.scaled_dot_product_attention(q, k, v)
    return self.to_out(out.transpose(1, 2).flatten(2))


class FusedAttention(CrossAttention):
    """ldm's attention on torch's fused kernels."""

    forward = sdp_attention


def fuse(unet: nn.Module) -> None:
    """Puts one UNet on torch's fused attention for good, and no other."""
    for module in unet.modules():
        if type(module) is CrossAttention:
            module.__class__ = FusedAttention


@contextlib.contextmanager
def fused_attention() -> Iterator[None]:
    """`sdp_attention` in all of the UNets, as the WebUIs run them."""
    originals = [each.forward for each in ATTENTIONS]
    for each in ATTENTIONS:
        each.forward = sdp_attention
    try:
        yield
    finally:
        for each, forward in zip(ATTENTIONS, originals, strict=True):
            each.forward = forward
