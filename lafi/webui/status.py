"""Lines on the page that say what will be injected, before anything is generated."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from ..core.memory import size_that_fits
from ..core.plan import Plan
from ..core.recorder import RECORDINGS
from ..core.schedule import Window
from ..core.sites import check_position, choose_sites, describe_sites, find_sites
from ..errors import LafiError
from ..hosts import find_host
from ..regions import parse_region
from ..settings import LafiSettings, validate
from .fitting import LEAST, find_crop, fitted_size
from .images import CELL
from .views import View, open_views

# The fields that the two lines depend on.
STATUS = (
    *("depth", "layers", "start", "cutoff", "strength", "fidelity", "stream", "refresh"),
    *("region", "fit", "anchor", "blocks", "position", "reference_size"),
)
FIT = ("image", "mask", "fit", "cutout", "views", "region")

# What the line about the cost assumes: the page's own number of steps is not known here.
EVALUATIONS = 20
# And what the line about memory does: nor is its size, in pixels.
SIDE = 1024
# Shares of one evaluation's work with CFG, whose two rows the reference joins as one more; and what
# the longer attention costs at usual sizes (README, "Cost").
ROW, LONGER = 0.5, 0.1


def describe(values: Mapping[str, Any], pictures: int = 1) -> str:
    """What these settings do to the checkpoint that is loaded now, and cost; never loads one.

    Args:
        values: the fields of `STATUS`.
        pictures: how many the page shows of the reference.
    """
    try:
        settings = validate(values)
        host = find_host()
        unet = host.unet()
        sites = find_sites(unet)
        chosen = choose_sites(sites, settings.depth, settings.layers, settings.blocks)
        check_position(unet, settings.position)
        where = f"{host.family()}, {host.name}"
    except LafiError as error:
        return str(error)
    start, cutoff = settings.start, settings.cutoff
    if not chosen:
        return f"{where}: nothing is injected at depth 0 %."
    if not settings.strength:
        return f"{where}: nothing is injected at strength 0."
    if start >= cutoff:
        return f"{where}: nothing is injected; the cutoff must be above the start."
    each = Plan(chosen, Window(start, cutoff)).estimate(unet, SIDE // CELL, SIDE // CELL)
    needed = math.ceil(each * max(pictures, 1) * _share(settings))
    memory = _describe_memory(settings, needed, host.memory())
    return (
        f"{where}: {describe_sites(sites, chosen)}; from {start:g} % to {cutoff:g} % of the run; "
        f"{_describe_cost(settings, pictures)}. {memory}"
    )


def _share(settings: LafiSettings) -> float:
    """Of the picture's tokens, those that one reference has at most: its proportions are not known
    here."""
    region = parse_region(settings.region)
    return 1 if region is None or settings.fit != "whole" else max(region.area, LEAST)


def _describe_memory(settings: LafiSettings, needed: int, available: int) -> str:
    """What all references take, which need so many bytes in full size."""
    wanted = settings.reference_size / 100
    size = size_that_fits(wanted, needed, available)
    taken = needed * size**2
    told = f"{taken / 2**30:.1f} GiB" if taken >= 2**30 else f"{math.ceil(taken / 2**20)} MiB"
    smaller = f", shown at {100 * size:.0f} % of its size to fit" if size < wanted else ""
    return f"At {SIDE}x{SIDE} the reference takes about {told}{smaller}."


def _describe_cost(settings: LafiSettings, pictures: int) -> str:
    inside = Window(settings.start, settings.cutoff).count(EVALUATIONS)
    # Negative rows that see nothing attend to no more; their keys are projected all the same.
    seeing = 0.65 if settings.fidelity == 1 else 1.0
    longer = 100 * LONGER * seeing * inside / EVALUATIONS
    said = []
    if pictures or settings.anchor == "off":
        said.append(_describe_references(settings, max(pictures, 1), inside, longer))
    if settings.anchor == "batch":
        first = "the first picture of a batch is the reference of the others"
        said.append(f"{first}, about {longer:.0f} % more work")
    return "; ".join(said)


def _describe_references(settings: LafiSettings, count: int, inside: int, longer: float) -> str:
    recordings, rows = reference_work(settings.stream, settings.refresh, inside)
    region = parse_region(settings.region)
    tokens = _share(settings)
    later = longer * count * tokens * (1 if region is None else region.area)
    first = later + 100 * ROW * rows * count * tokens / EVALUATIONS
    cost = f"about {first:.0f} % more work for the first picture"
    if settings.stream == "denoise":
        cost = f"about {first:.0f} % more work for each picture"
    else:
        cost += f", {later:.0f} % for later ones"
    of = "the reference" if count == 1 else f"each of {count} references"
    return f"{recordings} recording{'s' * (recordings != 1)} of {of} in {EVALUATIONS} steps, {cost}"


def reference_work(stream: str, refresh: int, inside: int) -> tuple[int, int]:
    """How often the reference is recorded for the first picture, and how often it goes through the
    model for that.

    Args:
        inside: evaluations within the window, of `EVALUATIONS`.
    """
    every = refresh or (1 if stream == "denoise" else math.ceil(inside / RECORDINGS))
    recordings = math.ceil(inside / every)
    if stream != "inversion":
        return recordings, recordings
    # An inversion walks along its levels, and is recorded on the way where they are few.
    return (recordings, EVALUATIONS + recordings) if refresh else (recordings, recordings + 1)


def describe_fit(values: Mapping[str, Any], size: str | None) -> str:
    """How much of the reference is used, where it is less than all of it: whether the figure is cut
    out, and what a picture's size cuts away. Empty where there is nothing to say.

    Args:
        values: the fields of `FIT`.
        size: of the new picture, such as ``512x768``; empty if the page cannot tell.
    """
    try:
        settings = validate(values)
        views = [view for each in open_views(settings) for view in each]
    except LafiError as error:
        return str(error)
    said = (_describe_view(each, settings.fit, size or "") for each in views)
    if len(views) > 1:
        said = (each and f"View {number}: {each}" for number, each in enumerate(said, 1))
    return " ".join(filter(None, said))


def _describe_view(view: View, fit: str, size: str) -> str:
    picture, said = view.picture, []
    if picture.figure is not None:
        said.append(f"The figure is cut out: {picture.figure * 100:.0f} % of the reference.")
    sides = re.fullmatch(r"([1-9]\d{1,4})x([1-9]\d{1,4})", size)
    if sides is not None:
        width, height = map(int, sides.groups())
        shown = fitted_size(picture, width, height, fit, region=view.character.region)
        cut = find_crop(picture, *shown, fit).describe()
        said += [f"At {size}, {cut}."] if cut else []
    return " ".join(said)
