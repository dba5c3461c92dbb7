"""Where a network can inject, and which of it does.

A site is one attention layer: self-attention of a UNet, joint attention of a transformer.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from torch import nn

from ..blocks import Blocks, parse_blocks
from ..errors import invalid
from .joint.families import find_family
from .site import DECODER, ENCODER, MIDDLE, Site, replaced
from .unet import unet_channels, unet_sites

__all__ = [
    "DECODER",
    "ENCODER",
    "MIDDLE",
    "Site",
    "check_position",
    "check_sites",
    "choose_sites",
    "describe_sites",
    "find_sites",
    "input_channels",
    "replaced",
]


def find_sites(network: nn.Module) -> tuple[Site, ...]:
    """All sites of a network, in order of execution.

    Raises:
        LafiError: `unsupported_model` where it has none that are known, `unsupported_unet` when it
            makes videos, `attention_replaced` when another extension has put something else in
            place of an attention layer.
    """
    family = find_family(network)
    return unet_sites(network) if family is None else tuple(family.sites(network))


def input_channels(network: nn.Module) -> int:
    """How many channels a network's first layer reads."""
    family = find_family(network)
    return unet_channels(network) if family is None else family.channels(network)


def choose_sites(
    sites: Sequence[Site], depth: float, layers: str = "decoder", blocks: str = ""
) -> tuple[Site, ...]:
    """The sites that inject.

    Args:
        sites: all sites, from `find_sites`.
        depth: percent of the decoder's attention blocks, counted from the output backwards.
        layers: ``decoder`` (paper, section 3.2, step 2), or ``all``, which ignores `depth`.
        blocks: of a transformer, which blocks (`lafi.blocks`), whatever the others say.

    Raises:
        LafiError: `invalid_settings` for blocks that are not there.
    """
    named = parse_blocks(blocks)
    if named is not None:
        return _named_sites(sites, named)
    if layers == "all":
        return tuple(sites)
    decoder = [site for site in sites if site.part == DECODER]
    last = decoder[-1].block
    count = last + 1 - decoder[0].block
    # Any depth above 0 injects somewhere: a slider that silently does nothing would mislead.
    wanted = max(1, math.floor(depth * count / 100 + 0.5)) if depth > 0 else 0
    return tuple(site for site in decoder if site.block > last - wanted)


def _named_sites(sites: Sequence[Site], named: Blocks) -> tuple[Site, ...]:
    last = sites[-1].block
    if any(site.seam is None for site in sites):
        raise invalid("blocks", "is for transformers; for a UNet use depth")
    if named.of not in (None, last + 1):
        raise invalid("blocks", f"is a set for {named.of} blocks; this network has {last + 1}")
    if max(named.numbers) > last:
        raise invalid("blocks", f"names block {max(named.numbers)}; this network has 0-{last}")
    return tuple(site for site in sites if site.block in named.numbers)


def check_position(network: nn.Module, position: str) -> None:
    """Makes sure that a reference's tokens can stand where they are to.

    Raises:
        LafiError: `invalid_settings` where a network has no positions that could be chosen.
    """
    family = find_family(network)
    if position != "own" and not (family is not None and family.rotary):
        raise invalid("position", "can be chosen for Flux and Chroma alone; here it is own")


def describe_sites(sites: Sequence[Site], chosen: Sequence[Site]) -> str:
    """One line that says what injects, such as ``7 of 16 self-attention layers: output 5-11`` or
    ``38 of 57 joint-attention layers: blocks 19-56``."""
    kind = "self" if sites[0].seam is None else "joint"
    count = f"{len(chosen)} of {len(sites)} {kind}-attention layers"
    if not chosen:
        return count
    groups: dict[str, list[int]] = {}
    for site in chosen:
        head, _, rest = site.name.partition(".")
        head, number = head.removesuffix("_blocks").removesuffix("_block"), int(rest.split(".")[0])
        if site.seam is not None:
            head, number = "blocks", site.block
        groups.setdefault(head, []).append(number)
    where = ", ".join(f"{head} {_ranges(numbers)}" for head, numbers in groups.items())
    return f"{count}: {where}"


def _ranges(numbers: Iterable[int]) -> str:
    runs: list[list[int]] = []
    for number in sorted(set(numbers)):
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in runs)


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
