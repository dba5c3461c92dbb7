"""Where a network can inject, and which of it does.

A site is one attention layer: self-attention of a UNet, joint attention of a transformer.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from torch import nn

from .joint.families import find_family
from .site import DECODER, ENCODER, MIDDLE, Site, replaced
from .unet import unet_channels, unet_sites

__all__ = [
    "DECODER",
    "ENCODER",
    "MIDDLE",
    "Site",
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
