"""Finds a UNet's self-attention layers and says which of them inject.

A site is one self-attention layer. Sites are found by structure (which modules hold transformer
blocks, and where those stand), never by token count or by a table of model names, so that pruned
models (SSD-1B) and refiners work as they are.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

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
    """

    name: str
    part: str
    block: int
    module: nn.Module


def find_sites(unet: nn.Module) -> tuple[Site, ...]:
    """All self-attention sites of a UNet with the layout of ldm and sgm, in order of execution.

    Raises:
        LafiError: `unsupported_model` when there is no decoder with self-attention.
    """
    if not hasattr(unet, "output_blocks"):
        raise LafiError(
            "unsupported_model",
            f"{type(unet).__name__} has no UNet decoder.",
            "LAFI works with SD 1.x, SD 2.x and SDXL checkpoints; choose one, or switch LAFI off.",
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
        found = [
            (f"{path}.transformer_blocks.{index}.attn1", each.attn1)
            for index, each in enumerate(transformer_blocks)
            if _has_self_attention(each)
        ]
        block += bool(found)
        yield from (Site(name, part, block, attention) for name, attention in found)


def _has_self_attention(block: nn.Module) -> bool:
    # x4-upscaler models turn attn1 into a second cross-attention.
    if getattr(block, "disable_self_attn", False):
        return False
    return all(hasattr(getattr(block, "attn1", None), name) for name in ("to_q", "to_k", "to_v"))
