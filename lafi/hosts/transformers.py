"""The transformers of the Forge family: which of them are refused, and by what name."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

from torch import nn

from ..core.joint.families import find_family
from ..errors import LafiError
from .identity import modules_below

SUPPORTED = "LAFI works with SD 1.x, SD 2.x, SDXL, SD 3, Flux.1, Chroma and Z-Image checkpoints"
CHOOSE = f"{SUPPORTED}; choose one, or switch LAFI off."
# How the names of engines and networks begin.
VIDEO = ("Wan", "Hunyuan")
NUNCHAKU = ("SVDQ", "Nunchaku")
# What Forge Neo's compiler leaves on the network's holder.
COMPILED = "_orig_apply_model"
# What Forge Neo says of a checkpoint that reads pictures of its own beside the latent.
PICTURES = ("kontext", "edit", "ref_latents")
# Channels of Flux's tokens: 16 of the latent, in squares of 2 x 2.
TOKEN = 64


def refuse_unknown(engine: str, holder: Any) -> None:
    """Lets through what LAFI works with.

    Args:
        engine: the class of the host's model.
        holder: what holds its network as ``diffusion_model``.

    Raises:
        LafiError: `unsupported_model`, with the checkpoint's name and what about it is in the way.
    """
    network: nn.Module = holder.diffusion_model
    for wrong, advice in _reasons(engine, holder, network):
        name = f"{engine}, {type(network).__name__}"
        raise LafiError("unsupported_model", f"the checkpoint {wrong} ({name}).", advice)


def _reasons(engine: str, holder: Any, network: nn.Module) -> Iterator[tuple[str, str]]:
    """What is in the way, the plainest first."""
    if engine.startswith(VIDEO) or type(network).__name__.startswith(VIDEO):
        yield "makes videos", CHOOSE
    if any(_is_nunchaku(type(each)) for each in (network, *modules_below(network))):
        yield (
            "is quantised by Nunchaku, whose blocks LAFI cannot enter",
            ("Choose the checkpoint in another form (fp8, nf4 or GGUF), or switch LAFI off."),
        )
    if COMPILED in vars(holder) or type(network).__name__ == "OptimizedModule":
        yield "is compiled", "Switch the compiler off, or switch LAFI off."
    if _reads_pictures():
        yield "reads reference pictures of its own (Kontext, edit models)", CHOOSE
    if _columns(network) > TOKEN:
        yield "reads more than the latent (Flux Fill, Depth, Canny)", CHOOSE
    family = find_family(network)
    # Flux 2 has Flux's blocks, but other tokens.
    if family is None or getattr(network, "patch_size", family.patch) != family.patch:
        yield "is a transformer that LAFI does not know", CHOOSE


def _is_nunchaku(kind: type) -> bool:
    return kind.__name__.startswith(NUNCHAKU) or kind.__module__.startswith("nunchaku")


def _reads_pictures() -> bool:
    said = getattr(sys.modules.get("backend.args"), "dynamic_args", {})
    return any(said.get(name) for name in PICTURES)


def _columns(network: Any) -> int:
    """Channels that Flux's first layer reads; what others read shows elsewhere."""
    layer = getattr(network, "img_in", None)
    if layer is None or not hasattr(network, "double_blocks"):
        return TOKEN
    weight = getattr(layer, "weight", None)
    # By the weight, since one host builds every Flux alike; a packed one has no columns.
    if weight is not None and weight.is_floating_point() and weight.dim() == 2:
        return int(weight.shape[1])
    return int(network.in_channels)
