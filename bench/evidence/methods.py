"""The methods that are compared, all through LAFI's own hooks as sites, windows and streams."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from lafi.core.plan import Plan
from lafi.core.schedule import Window
from lafi.core.sites import DECODER, ENCODER, Site, choose_sites, find_sites

# Weight on reference keys that makes the target's own keys vanish: keys and values are replaced.
REPLACE = 1e6


@dataclass(frozen=True)
class Method:
    """One row of the table.

    Attributes:
        name: as the table shows it.
        sites: chooses the injecting sites; None for a run without LAFI.
        start, cutoff, strength, stream, fidelity, refresh: as in LAFI's settings.
        noise: multiplies the reference stream's noise level; below 1 it is cleaner than the target.
        fresh: new noise in every evaluation instead of one fixed noise.
        masked: keep the figure's tokens only.
        adain: the target's features get the reference's mean and spread as well.
        keys_adain: the reference's keys get the target's mean and spread.
        rate: share of the reference's tokens that is kept, drawn anew at every layer.
        oracle: the prompt names the identity.
        captioned: the reference stream reads the reference's caption instead of an empty one.
        reference: own, blank (the empty scene), another identity, or same pose (as the prompt's).
        image_start: begin from the reference, noised to this share of the run (img2img); None for
            pure noise.
    """

    name: str
    sites: Callable[[tuple[Site, ...]], tuple[Site, ...]] | None = None
    start: float = 0
    cutoff: float = 80
    strength: float = 1
    stream: str = "noise"
    fidelity: float = False
    refresh: int = 1
    noise: float = 1
    fresh: bool = False
    masked: bool = False
    adain: bool = False
    keys_adain: bool = False
    rate: float = 1
    oracle: bool = False
    captioned: bool = False
    reference: str = "own"
    image_start: float | None = None

    def plan(self, unet: nn.Module) -> Plan | None:
        """What LAFI does in this row, or None."""
        if self.sites is None:
            return None
        return Plan(
            sites=self.sites(find_sites(unet)),
            window=Window(self.start, self.cutoff),
            strength=self.strength,
            stream=self.stream,
            fidelity=self.fidelity,
            refresh=self.refresh,
        )


def depth(percent: float) -> Callable[[tuple[Site, ...]], tuple[Site, ...]]:
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


@dataclass
class RandomTokens:
    """Keeps a random share of the tokens, drawn anew in every call (StoryDiffusion)."""

    rate: float
    generator: torch.Generator = field(default_factory=lambda: torch.Generator().manual_seed(0))

    def __call__(self, tokens: Tensor) -> Tensor:
        kept = max(1, round(self.rate * tokens.shape[1]))
        order = torch.randperm(tokens.shape[1], generator=self.generator)[:kept]
        return tokens[:, order.to(tokens.device)]


WHOLE = depth(100)
DEFAULT = "LAFI 100 %, 0-80"  # the paper's
STRONG = "LAFI, positive rows, strength 2"  # the page's preset for more likeness


def grid() -> Iterator[Method]:
    """LAFI at every depth stop, start and cutoff."""
    for percent, start, cutoff in itertools.product((100, 67, 33), (0, 8, 16), (60, 80, 100)):
        name = f"LAFI {percent} %, {start}-{cutoff}"
        yield Method(name, depth(percent), start=start, cutoff=cutoff)


METHODS: tuple[Method, ...] = (
    Method("none"),
    Method("text oracle", oracle=True),
    *grid(),
    Method("LAFI, inversion", WHOLE, stream="inversion"),
    Method("LAFI, denoise", WHOLE, stream="denoise"),
    Method("LAFI, strength 0.5", WHOLE, strength=0.5),
    Method("LAFI, strength 2", WHOLE, strength=2),
    Method("LAFI, strength 4", WHOLE, strength=4),
    Method("LAFI, positive rows", WHOLE, fidelity=1),
    Method("LAFI, positive rows, 0-100", WHOLE, cutoff=100, fidelity=1),
    Method("LAFI, positive rows, 8-80", WHOLE, start=8, fidelity=1),
    Method("LAFI, positive rows, mask", WHOLE, fidelity=1, masked=True),
    Method(STRONG, WHOLE, strength=2, fidelity=1),
    Method("LAFI, positive rows, strength 4", WHOLE, strength=4, fidelity=1),
    *(
        Method(f"LAFI {d} %, positive rows, strength 2", depth(d), strength=2, fidelity=1)
        for d in (67, 33)
    ),
    Method("LAFI, positive rows, strength 2, 16-80", WHOLE, 16, strength=2, fidelity=1),
    Method("LAFI, positive rows, noise x0.25", WHOLE, noise=0.25, fidelity=1),
    Method("LAFI, positive rows, keys AdaIN", WHOLE, fidelity=1, keys_adain=True),
    Method("LAFI, subject mask", WHOLE, masked=True),
    *(Method(f"LAFI, refresh {every}", WHOLE, refresh=every) for every in (2, 3, 4)),
    *(
        Method(f"{STRONG}, refresh {n}", WHOLE, strength=2, fidelity=1, refresh=n)
        for n in (2, 3, 4)
    ),
    Method("LAFI, reference prompt", WHOLE, captioned=True),
    Method("LAFI, reference keys AdaIN", WHOLE, keys_adain=True),
    Method("LAFI, reference noise x0.5", WHOLE, noise=0.5),
    Method("LAFI, reference noise x0.25", WHOLE, noise=0.25),
    Method("LAFI, reference noise x0.1", WHOLE, noise=0.1),
    Method("LAFI, noise x0.25, strength 2", WHOLE, noise=0.25, strength=2),
    Method("LAFI, noise x0.25, mask, strength 2", WHOLE, noise=0.25, masked=True, strength=2),
    Method("LAFI, noise x0.25, mask, strength 4", WHOLE, noise=0.25, masked=True, strength=4),
    Method("all layers, fixed noise", everywhere),
    Method("all layers, fresh noise", everywhere, fresh=True),
    Method("all layers, positive rows, strength 2", everywhere, strength=2, fidelity=1),
    Method("all layers and AdaIN", everywhere, adain=True),
    Method("encoder only", encoder),
    Method("replace from block 3, 8-100", from_third, start=8, cutoff=100, strength=REPLACE),
    Method("token rate 0.5", WHOLE, rate=0.5),
    Method("image to image at 0.6", image_start=0.6),
    Method("control: blank reference", WHOLE, reference="blank"),
    Method("control: another identity", WHOLE, reference="another identity"),
    Method("control: reference in the target's pose", WHOLE, reference="same pose"),
)
GRIDS = (DEFAULT, "LAFI 100 %, 16-80", "all layers, fixed noise")  # get a counterfactual grid
