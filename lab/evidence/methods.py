"""The methods that are compared, all through LAFI's own hooks as sites, windows and streams."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator
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
        sites: chooses the injecting sites; None for a run without LAFI.
        start, cutoff, strength, fidelity, stream, refresh: as in LAFI's settings.
        blend: fidelity as a blend of predictions instead of weights: the uncond prediction is this
            share of the plain one, the rest of the injected one.
        noise: multiplies the reference stream's noise level; below 1 it is cleaner than the target.
        fresh: new noise in every evaluation instead of one fixed noise.
        mask: of the reference's tokens: none, figure (its true outline), or cutout (as LAFI finds
            it).
        adain: the target's features get the reference's mean and spread as well.
        keys_adain: the reference's keys get the target's mean and spread.
        rate: share of the reference's tokens that is kept, drawn anew at every layer.
        oracle: the prompt names the identity.
        captioned: the reference stream reads the reference's caption instead of an empty one.
        reference: own, blank (the empty scene), another identity, same pose (as the prompt's), or
            front (the same figure from the front).
        image_start: begin from the reference, noised to this share of the run (img2img); None for
            pure noise.
        guidance, steps: of the run; None for the table's own.
    """

    name: str
    sites: Choose | None = None
    start: float = 0
    cutoff: float = 80
    strength: float = 1
    fidelity: float = 0
    blend: float | None = None
    stream: str = "noise"
    refresh: int = 1
    noise: float = 1
    fresh: bool = False
    mask: str = "none"
    adain: bool = False
    keys_adain: bool = False
    rate: float = 1
    oracle: bool = False
    captioned: bool = False
    reference: str = "own"
    image_start: float | None = None
    guidance: float | None = None
    steps: int | None = None

    def plan(self, unet: nn.Module) -> Plan | None:
        """What LAFI does in this row, or None."""
        if self.sites is None:
            return None
        return Plan(
            sites=self.sites(find_sites(unet)),
            window=Window(self.start, self.cutoff),
            stream=self.stream,
            fidelity=self.fidelity,
            refresh=self.refresh,
        )


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
PAPER = Method("paper's setting: noise, fidelity 0, strength 1", WHOLE)
DEFAULT = Method(
    "LAFI's default", WHOLE, stream="inversion", fidelity=1, strength=2, mask="cutout", refresh=0
)


def default(name: str, **changes: object) -> Method:
    """The default with something else."""
    return replace(DEFAULT, name=name, **changes)  # type: ignore[arg-type]


def guidance_rows() -> Iterator[Method]:
    """Fidelity as weights and as a blend, at two guidances."""
    for guidance, fidelity in itertools.product((3, 7), (0, 0.125, 0.25, 0.5, 0.75, 1)):
        yield default(
            f"fidelity {fidelity}, guidance {guidance}", fidelity=fidelity, guidance=guidance
        )
        if 0 < fidelity < 1:
            yield default(
                f"fidelity {fidelity} as a blend, guidance {guidance}",
                fidelity=0,
                blend=fidelity,
                guidance=guidance,
            )


# Other methods' routings, each at its own defaults, with this world's model and LAFI's hooks.
PEERS: tuple[Method, ...] = (
    Method("reference_only, style fidelity 0.5", everywhere, 0, 100, blend=0.5, fresh=True),
    Method(
        "reference_adain+attn, style fidelity 0.5", everywhere, 0, 100, blend=0.5, fresh=True,
        adain=True,
    ),
    Method(
        "MasaCtrl: replaced from block 3, 8-100", from_third, 8, 100, REPLACE, stream="inversion"
    ),
    Method("StoryDiffusion: half of the tokens, all layers", everywhere, 0, 100, rate=0.5),
    Method("ConsiStory: masked, half dropped", WHOLE, 0, 100, mask="figure", rate=0.5),
    Method("FreeCustom: masked, weight 3", from_third, 0, 100, 3, mask="figure"),
)  # fmt: skip


def around_default() -> Iterator[Method]:
    """The default with one setting at another value."""
    for weight in (0.5, 1, 3, 4, 8):
        yield default(f"strength {weight}", strength=weight)
    for weight in (1, 2, 4, 8):
        yield default(f"strength {weight}, no mask", strength=weight, mask="none")
    for percent in (67, 33, 11):
        yield default(f"depth {percent} %", sites=depth(percent))
    for start, cutoff in ((0, 60), (0, 100), (8, 80), (16, 80), (40, 80)):
        yield default(f"window {start}-{cutoff}", start=start, cutoff=cutoff)
    for stream in ("noise", "inversion", "denoise"):
        yield default(f"stream {stream}, exact", stream=stream, refresh=1)
    for every in (2, 3, 4, 6, 8):
        yield default(f"refresh {every}", refresh=every)
    for every in (2, 4, 8):
        yield default(f"stream noise, refresh {every}", stream="noise", refresh=every)
    for steps in (6, 20):
        yield default(f"{steps} steps", steps=steps)
        yield default(f"{steps} steps, exact", steps=steps, refresh=1)
    for share in (0.5, 0.25):
        yield default(f"token rate {share}", rate=share, stream="noise", refresh=1)
        yield default(f"level x{share}", noise=share, stream="noise", refresh=1)


METHODS: tuple[Method, ...] = (
    Method(PLAIN),
    Method(ORACLE, oracle=True),
    PAPER,
    DEFAULT,
    *PEERS,
    *guidance_rows(),
    *around_default(),
    default("all layers", sites=everywhere),
    default("encoder only", sites=encoder),
    default("window 0-100, no mask", cutoff=100, mask="none"),
    default("reference prompt", captioned=True),
    default("reference from the front", reference="front"),
    default("reference keys AdaIN", keys_adain=True),
    Method("image to image at 0.6", image_start=0.6),
    default("image to image at 0.8, LAFI", image_start=0.8),
    default("control: blank reference", reference="blank", mask="none"),
    default("control: another identity", reference="another identity"),
    default("control: reference in the target's pose", reference="same pose"),
)
GRIDS = (DEFAULT.name, "all layers")  # get a counterfactual grid
