"""Lines on the page that say what will be injected, before anything is generated."""

from __future__ import annotations

import re
from typing import Any

from modules import shared

from ..core.sites import choose_sites, describe_sites, find_sites
from ..errors import LafiError
from ..hosts import find_host
from ..settings import validate
from .images import find_crop, open_picture


def describe(depth: float, layers: str, start: float, cutoff: float) -> str:
    """What these settings do to the checkpoint that is loaded now; never loads one.

    Args:
        depth: percent of the decoder's attention blocks.
        layers: ``decoder`` or ``all``.
        start, cutoff: percent of the sampling run.
    """
    try:
        validate({"depth": depth, "layers": layers, "start": start, "cutoff": cutoff})
        host = find_host()
        sites = find_sites(host.unet())
        where = f"{host.family()}, {host.name}"
    except LafiError as error:
        return str(error)
    chosen = choose_sites(sites, depth, layers)
    if not chosen:
        return f"{where}: nothing is injected at depth 0 %."
    if start >= cutoff:
        return f"{where}: nothing is injected; the cutoff must be above the start."
    injected = describe_sites(sites, chosen)
    return f"{where}: {injected}; from {start:g} % to {cutoff:g} % of the run."


def describe_fit(image: Any, mask: Any, fit: str, size: str) -> str:
    """How much of the reference a picture's size cuts away; empty where there is nothing to say.

    Args:
        image, mask, fit: as in the settings.
        size: of the new picture, such as ``512x768``; empty if the page cannot tell.
    """
    sides = re.fullmatch(r"([1-9]\d{1,4})x([1-9]\d{1,4})", size or "")
    if image is None or sides is None:
        return ""
    width, height = map(int, sides.groups())
    try:
        validate({"fit": fit})
        picture = open_picture(image, mask, shared.opts.img2img_background_color)
    except LafiError as error:
        return str(error)
    cut = find_crop(picture, width, height, fit).describe()
    return f"At {size}, {cut}." if cut else ""
