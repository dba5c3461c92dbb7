"""The rows of the table, the most important first."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace

from lafi.presets import LIKENESS, likeness

from .methods import (
    DEFAULT,
    ORACLE,
    PAPER,
    PLAIN,
    REPLACE,
    WHOLE,
    Method,
    default,
    depth,
    encoder,
    everywhere,
    from_third,
)

# Other methods' routings, each at its own defaults, with this world's model and LAFI's hooks.
PEERS: tuple[Method, ...] = tuple(
    replace(each, whole=True)
    for each in (
        Method("reference_only, style fidelity 0.5", everywhere, 0, 100, blend=0.5, fresh=True),
        Method(
            "reference_adain+attn, style fidelity 0.5", everywhere, 0, 100, blend=0.5, fresh=True,
            adain=True,
        ),
        Method(
            "MasaCtrl: replaced from block 3, 8-100", from_third, 8, 100, REPLACE,
            stream="inversion",
        ),
        Method("StoryDiffusion: half of the tokens, all layers", everywhere, 0, 100, rate=0.5),
        Method("ConsiStory: masked, half dropped", WHOLE, 0, 100, mask="figure", rate=0.5),
        Method("FreeCustom: masked, weight 3", from_third, 0, 100, 3, mask="figure"),
    )
)  # fmt: skip


def dial() -> Iterator[Method]:
    """Positions of the page's dial that are not the default."""
    for percent, *_ in LIKENESS:
        strength, fidelity = likeness(percent)
        if (strength, fidelity) != (DEFAULT.strength, DEFAULT.fidelity):
            yield default(
                f"likeness {percent}: strength {strength:g}, fidelity {fidelity:g}",
                strength=strength,
                fidelity=fidelity,
            )


def window_and_weights() -> Iterator[Method]:
    """When, how strongly and where the reference is seen."""
    for weight in (0.5, 1, 2, 4, 8):
        yield default(f"strength {weight}", strength=weight)
    yield default("window 0-100", cutoff=100)
    yield default("window 0-100, strength 8", cutoff=100, strength=8)
    for weight in (2, 3, 4):
        yield default(f"strength {weight}, no mask", strength=weight, mask="none")
        yield default(f"strength {weight}, strict cut-out", strength=weight, mask="strict")
    yield default("window 0-100, no mask", cutoff=100, mask="none")
    yield default("strict cut-out by the true outline", mask="figure")
    yield default("strict cut-out grown by one cell", mask="grown")
    more, less = 6 / DEFAULT.strength, 1.5 / DEFAULT.strength
    yield default("strength falling 6 to 1.5", over=(more, less))
    yield default("strength rising 1.5 to 6", over=(less, more))
    yield default("strength 6 at the deepest site, 1.5 at the last", by_depth=(more, less))
    yield default("strength 1.5 at the deepest site, 6 at the last", by_depth=(less, more))
    for percent in (67, 33, 11):
        yield default(f"depth {percent} %", sites=depth(percent))
    yield default("all layers", sites=everywhere)
    yield default("encoder only", sites=encoder)
    for start, cutoff in ((0, 60), (8, 80), (16, 80), (40, 80)):
        yield default(f"window {start}-{cutoff}", start=start, cutoff=cutoff)


def guidance_rows() -> Iterator[Method]:
    """Fidelity as weights and as a blend, at two guidances."""
    for guidance, fidelity in itertools.product((3, 7), (0, 0.125, 0.25, 0.5, 0.75, 1)):
        if (guidance, fidelity) != (3, DEFAULT.fidelity):
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


def recordings() -> Iterator[Method]:
    """What is recorded, how often, and how much of it is kept."""
    for stream in ("noise", "inversion", "denoise"):
        yield default(f"stream {stream}, exact", stream=stream, refresh=1)
    for every in (2, 3, 4, 6, 8):
        yield default(f"refresh {every}", refresh=every)
    for steps, every in ((4, ()), (6, (2,)), (8, (2, 4)), (20, (2, 4, 8))):
        yield Method(f"plain, {steps} steps", steps=steps)
        yield default(f"{steps} steps", steps=steps)
        for each in (1, *every):
            yield default(f"{steps} steps, refresh {each}", steps=steps, refresh=each)
    yield default("finest level merged 2x2", thin="merged", rate=0.25)
    yield default("finest level merged 2x2, weighed by 4", thin="merged", rate=0.25, finest=4)
    for share in (0.5, 0.25):
        yield default(f"the most different {share:.0%} of the tokens", thin="distinct", rate=share)
        yield default(f"a random {share:.0%} of the tokens", rate=share)
    yield default("two views: the reference and the front", views=("front",))
    yield default("three views: the reference, front and back", views=("front", "back"))
    yield default("reference from the front", reference="front")
    yield default("own: a picture that LAFI has just made", stream="own", refresh=1)
    yield default("reference prompt", captioned=True)
    yield default("level x0.5", noise=0.5, stream="noise", refresh=1)


def tried() -> Iterator[Method]:
    """Ideas that might lift the likeness, image to image, and controls."""
    yield default("reference keys AdaIN", keys_adain=True)
    yield default("reference logits x1.5", sharpen=1.5)
    yield default("made again from 0.6", again=0.6)
    for start in (0.5, 0.75):
        yield Method(f"image to image at {start}", image_start=start)
        yield default(f"image to image at {start}, LAFI", image_start=start)
    yield default("control: blank reference", reference="blank", mask="none")
    yield default("control: another identity", reference="another identity")
    yield default("control: reference in the target's pose", reference="same pose")


METHODS: tuple[Method, ...] = (
    Method(PLAIN, whole=True),
    Method(ORACLE, oracle=True, whole=True),
    PAPER,
    DEFAULT,
    *PEERS,
    *dial(),
    *window_and_weights(),
    *tried(),
    *recordings(),
    *guidance_rows(),
)
GRIDS = (DEFAULT.name, "all layers")  # get a counterfactual grid
