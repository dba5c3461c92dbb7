"""One line on the page that says what will be injected, before anything is generated."""

from __future__ import annotations

from ..core.sites import choose_sites, describe_sites, find_sites
from ..errors import LafiError
from ..hosts import find_host
from ..settings import validate


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
