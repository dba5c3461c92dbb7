"""The methods that are compared, all through LAFI's own hooks as sites, windows and streams.

`rows` lists them: those that claims rest on, then those that explore.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace

from torch import nn

from lafi.core.plan import Plan
from lafi.core.schedule import Window
from lafi.core.sites import DECODER, ENCODER, Site, choose_sites, find_sites

# Weight on reference keys that makes the target's own keys vanish: keys and values are replaced.
REPLACE = 1e6
Choose = Callable[[tuple[Site, ...]], tuple[Site, ...]]


@dataclass(frozen=True)
class Method:
    """One row of the table.

    Attributes:
        name: as the table shows it.
        whole: measured on every picture; else on a part of them, for direction.
        sites: chooses the injecting sites; None for a run without LAFI.
        start, cutoff, strength, fidelity, stream, refresh: as in LAFI's settings. Stream `own`
            takes the tokens of a picture that the default has made from the reference just before,
            standing, from the front.
        blend: fidelity as a blend of predictions instead of weights: the uncond prediction is this
            share of the plain one, the rest of the injected one.
        over: multiplies the strength, from the window's first evaluation to its last.
        by_depth: the same from the deepest site to the last.
        finest: the same at the finest level.
        sharpen: multiplies the logits of the reference's keys.
        noise: multiplies the reference stream's noise level; below 1 it is cleaner than the target.
        fresh: new noise in every evaluation instead of one fixed noise.
        mask: of the reference's tokens: none, cutout (the figure as LAFI finds it; its background
            only shows where it ends), strict (nothing but that figure is seen), grown (the same
            and one cell around it), or figure (nothing but its true outline).
        adain: the target's features get the reference's mean and spread as well.
        keys_adain: the reference's keys get the target's mean and spread.
        thin, rate: how tokens are left out (see `tokens`), and which share of them is kept.
        oracle: the prompt names the identity.
        captioned: the reference stream reads the reference's caption instead of an empty one.
        reference: own, blank (the empty scene), another identity, same pose (as the prompt's), or
            front or back (the same figure from there).
        views: further pictures of it, in the same words; all share the strength.
        image_start: begin from the reference, noised to this share of the run (img2img); None for
            pure noise.
        again: make the picture a second time, from the first one noised to this share.
        guidance, steps: of the run; None for the table's own.
    """

    name: str
    sites: Choose | None = None
    start: float = 0
    cutoff: float = 80
    strength: float = 1
    fidelity: float = 0
    whole: bool = False
    blend: float | None = None
    stream: str = "noise"
    refresh: int = 1
    over: tuple[float, float] = (1, 1)
    by_depth: tuple[float, float] = (1, 1)
    finest: float = 1
    sharpen: float = 1
    noise: float = 1
    fresh: bool = False
    mask: str = "none"
    adain: bool = False
    keys_adain: bool = False
    thin: str = "random"
    rate: float = 1
    oracle: bool = False
    captioned: bool = False
    reference: str = "own"
    views: tuple[str, ...] = ()
    image_start: float | None = None
    again: float | None = None
    guidance: float | None = None
    steps: int | None = None

    def plan(self, unet: nn.Module) -> Plan | None:
        """What LAFI does in this row, or None."""
        if self.sites is None:
            return None
        return Plan(
            sites=self.sites(find_sites(unet)),
            window=Window(self.start, self.cutoff),
            stream="noise" if self.stream == "own" else self.stream,
            fidelity=self.fidelity,
            refresh=self.refresh,
        )

    @property
    def alters(self) -> bool:
        """Whether it changes what LAFI's attention gets (see `altered`)."""
        changed = self.over, self.by_depth, self.finest, self.sharpen
        return self.keys_adain or changed != ((1, 1), (1, 1), 1, 1)

    @property
    def kept_under(self) -> Hashable | None:
        """What decides a recording beside what LAFI's bank knows; None if it must not be kept."""
        drawn = self.rate < 1 and self.thin == "random"
        if self.fresh or self.adain or drawn or self.stream == "own":
            return None
        return (self.noise, self.thin, self.rate)


def depth(percent: float) -> Choose:
    """The decoder's sites within a depth."""
    # Not a lambda: methods travel to other processes.
    return functools.partial(choose_sites, depth=percent)


def everywhere(sites: tuple[Site, ...]) -> tuple[Site, ...]:
    """Every self-attention, as reference_only has it."""
    return tuple(sites)


def encoder(sites: tuple[Site, ...]) -> tuple[Site, ...]:
    """The encoder only."""
    return tuple(site for site in sites if site.part == ENCODER)


def from_third(sites: tuple[Site, ...]) -> tuple[Site, ...]:
    """The decoder from its fourth block on, as MasaCtrl has it."""
    return tuple(site for site in sites if site.part == DECODER and site.block >= 3)


WHOLE = depth(100)
PLAIN, ORACLE = "plain", "text oracle"
PAPER = Method("paper's setting: noise, fidelity 0, strength 1", WHOLE, whole=True)
DEFAULT = Method(
    "LAFI's default",
    WHOLE,
    whole=True,
    stream="inversion",
    fidelity=1,
    strength=3,
    mask="cutout",
    refresh=0,
)


def default(name: str, **changes: object) -> Method:
    """The default with something else, on a part of the pictures unless it says `whole`."""
    return replace(DEFAULT, **({"name": name, "whole": False} | changes))  # type: ignore[arg-type]
