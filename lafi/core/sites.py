"""Finds a UNet's self-attention layers and says which of them inject.

A site is one self-attention layer. Sites are found by structure (which modules hold transformer
blocks, and where those stand), never by token count or by a table of model names, so that pruned
models (SSD-1B) and refiners work as they are.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from ..errors import LafiError

ENCODER, MIDDLE, DECODER = "encoder", "middle", "decoder"


@dataclass(frozen=True)
class Site:
    """One self-attention layer.

    Attributes:
        name: path inside the UNet, such as ``output_blocks.3.1.transformer_blocks.0.attn1``.
        part: encoder, middle or decoder.
        block: which attention block (SpatialTransformer) of its part, in the order of execution.
        module: the attention module, with ``to_q``, ``to_k``, ``to_v`` and ``to_out``.
        holder: the SpatialTransformer it stands in, which is called with (B, C, h, w).
    """

    name: str
    part: str
    block: int
    module: nn.Module
    holder: nn.Module | None = None


def find_sites(unet: nn.Module) -> tuple[Site, ...]:
    """All self-attention sites of a UNet with the layout of ldm and sgm, in order of execution.

    Raises:
        LafiError: `unsupported_model` when there is no decoder with self-attention,
            `unsupported_unet` when it makes videos, `attention_replaced` when another extension has
            put something else in place of an attention layer.
    """
    if not hasattr(unet, "output_blocks"):
        raise LafiError(
            "unsupported_model",
            f"{type(unet).__name__} has no UNet decoder.",
            "LAFI works with SD 1.x, SD 2.x and SDXL checkpoints; choose one, or switch LAFI off.",
        )
    moving = next((each for each in unet.modules() if "Temporal" in type(each).__name__), None)
    if moving is not None:
        raise LafiError(
            "unsupported_unet",
            f"the UNet makes videos: it has motion modules ({type(moving).__name__}).",
            "Switch AnimateDiff off, or switch LAFI off.",
        )
    parts = ((ENCODER, "input_blocks"), (MIDDLE, "middle_block"), (DECODER, "output_blocks"))
    sites = tuple(site for part, name in parts for site in _sites_of_part(unet, part, name))
    if not any(site.part == DECODER for site in sites):
        raise LafiError(
            "unsupported_model",
            f"the decoder of {type(unet).__name__} has no self-attention.",
            "Choose another checkpoint, or switch LAFI off.",
        )
    return sites


def choose_sites(sites: Sequence[Site], depth: float, layers: str = "decoder") -> tuple[Site, ...]:
    """The sites that inject.

    Args:
        sites: all sites, from `find_sites`.
        depth: percent of the decoder's attention blocks, counted from the output backwards.
        layers: ``decoder`` (paper, section 3.2, step 2), or ``all``, which ignores `depth`.
    """
    if layers == "all":
        return tuple(sites)
    decoder = [site for site in sites if site.part == DECODER]
    blocks = decoder[-1].block + 1
    # Any depth above 0 injects somewhere: a slider that silently does nothing would mislead.
    wanted = max(1, math.floor(depth * blocks / 100 + 0.5)) if depth > 0 else 0
    return tuple(site for site in decoder if site.block >= blocks - wanted)


def describe_sites(sites: Sequence[Site], chosen: Sequence[Site]) -> str:
    """One line that says what injects, such as ``7 of 16 self-attention layers: output 5-11``."""
    if not chosen:
        return f"0 of {len(sites)} self-attention layers"
    groups: dict[str, list[int]] = {}
    for site in chosen:
        head, _, rest = site.name.partition(".")
        groups.setdefault(head.removesuffix("_blocks").removesuffix("_block"), []).append(
            int(rest.split(".")[0])
        )
    where = ", ".join(f"{head} {_ranges(numbers)}" for head, numbers in groups.items())
    return f"{len(chosen)} of {len(sites)} self-attention layers: {where}"


def _ranges(numbers: Iterable[int]) -> str:
    runs: list[list[int]] = []
    for number in sorted(set(numbers)):
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in runs)


def _sites_of_part(unet: nn.Module, part: str, root: str) -> Iterator[Site]:
    block = -1
    for path, module in getattr(unet, root).named_modules(prefix=root):
        # Nothing below a SpatialTransformer holds transformer blocks again.
        transformer_blocks = getattr(module, "transformer_blocks", None)
        if transformer_blocks is None:
            continue
        names = [f"{path}.transformer_blocks.{i}.attn1" for i in range(len(transformer_blocks))]
        found = [
            (name, each.attn1)
            for name, each in zip(names, transformer_blocks, strict=True)
            if _has_self_attention(each, name)
        ]
        block += bool(found)
        yield from (Site(name, part, block, attention, module) for name, attention in found)


def _has_self_attention(block: nn.Module, name: str) -> bool:
    attention = getattr(block, "attn1", None)
    # x4-upscaler models turn attn1 into a second cross-attention.
    if attention is None or getattr(block, "disable_self_attn", False):
        return False
    if not all(hasattr(attention, projection) for projection in ("to_q", "to_k", "to_v")):
        raise replaced(name)
    return True


def input_channels(unet: nn.Module) -> int:
    """How many channels a UNet's first layer reads."""
    blocks: Any = unet.input_blocks
    return int(blocks[0][0].weight.shape[1])


def check_sites(unet: nn.Module, sites: Sequence[Site]) -> None:
    """Makes sure that sites are still what they were: some hosts put other extensions' modules in
    place only when they load the model.

    Raises:
        LafiError: `attention_replaced`.
    """
    # Not by name: what wraps a whole block gives the layers within it another one.
    there = {id(each) for each in unet.modules()}
    for site in sites:
        if id(site.module) not in there:
            raise replaced(site.name)


def replaced(name: str) -> LafiError:
    """The error for a site that is not the model's own attention any more."""
    return LafiError(
        "attention_replaced",
        f"another extension has replaced the attention of {name}.",
        "Use strength 1 with fidelity 0, or switch that extension off.",
    )
