"""Gates that the model must pass before any table of it is trusted.

(a) Plain averages in place of self-attention must cost clearly more than 5 % of the loss. (b) With
the true picture noised (teacher-forced), a reference of the same identity and scene must beat none,
and beat another identity in the same scene. (c) With LAFI, attribute matches must stand above the
run without it; the table gives (c). (d) The wrong facing in the caption must cost loss at high
noise. (e) With the identity in the prompt, plain pictures must show it; the table's text oracle
gives (e).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from random import Random

import numpy as np
import torch
from torch import Tensor, nn

from lafi.core.injection import Row
from lafi.core.levels import NoiseSchedule
from lafi.core.plan import Plan
from lafi.core.reference import Conditioning, Reference
from lafi.core.report import PassReport
from lafi.core.schedule import Window
from lafi.core.session import Session
from lafi.core.sites import choose_sites, find_sites
from lafi.core.source import Source

from ..host.embedded import unhooked_forward
from ..training.data import render_batch, to_latents
from ..training.load import PixelModel
from ..world import ACTIONS, Figure, Picture, caption, draw_identity, draw_picture
from ..world.draw import with_identities
from .metrics import bootstrap
from .trials import SHAPE, SIDES

TIMES = (200, 400, 600, 800, 950)


@torch.no_grad()
def uniform_attention(model: PixelModel, count: int = 64) -> dict[int, float]:
    """Gate (a): by timestep, by what share of itself the loss grows under uniform attention."""
    rng = Random(12)
    pictures = [draw_picture(rng, shape=SHAPE) for _ in range(count)]
    captions = [caption(each) for each in pictures]
    plain = {time: _loss(model, pictures, captions, time) for time in TIMES}
    with _uniform(model.unet):
        return {time: _loss(model, pictures, captions, time) / plain[time] - 1 for time in TIMES}


@torch.no_grad()
def teacher_forced(
    model: PixelModel, count: int = 32
) -> dict[str, dict[int, tuple[float, float, float]]]:
    """Gate (b) on held-out pictures of one figure, by timestep.

    Returns:
        the loss without a reference (`none`), and for each reference the paired change against it,
        as a share of it: mean and 95 % interval.
    """
    rng = Random(11)
    losses: dict[str, dict[int, list[float]]] = {
        kind: {time: [] for time in TIMES} for kind in ("none", "same identity", "another identity")
    }
    for _ in range(count):
        target = draw_picture(rng, held_out=True, shape=SHAPE, facing=rng.choice(SIDES))
        figure = target.figures[0]
        action = rng.choice([a for a in ACTIONS if a != figure.placement.action])
        place = replace(figure.placement, action=action, wobble=rng.randrange(2**31))
        same = Picture((Figure(figure.identity, place),), target.scene)
        other = with_identities(same, draw_identity(rng, held_out=True))
        references = {"none": None, "same identity": same, "another identity": other}
        for kind, picture in references.items():
            for time in TIMES:
                losses[kind][time].append(_forced(model, target, picture, time))
    return {
        kind: {time: _change(by[time], losses["none"][time]) for time in TIMES}
        for kind, by in losses.items()
    }


@torch.no_grad()
def flipped_facing(model: PixelModel, count: int = 64) -> dict[int, float]:
    """Gate (d): by timestep, what the loss grows by when the caption says the other side."""
    rng, other = Random(13), dict(zip(SIDES, reversed(SIDES), strict=True))
    pictures = [draw_picture(rng, shape=SHAPE, facing=rng.choice(SIDES)) for _ in range(count)]
    right = [caption(each) for each in pictures]
    wrong = [
        text.replace(f"facing {side}", f"facing {other[side]}")
        for text, side in zip(right, (p.figures[0].placement.facing for p in pictures), strict=True)
    ]
    return {
        time: _loss(model, pictures, wrong, time) - _loss(model, pictures, right, time)
        for time in TIMES
    }


def _change(losses: list[float], plain: list[float]) -> tuple[float, float, float]:
    made, base = np.array(losses), np.array(plain)
    if losses is plain:
        return (
            float(base.mean()),
            *bootstrap(lambda at: float(base[at].mean()), np.arange(len(base))),
        )

    def change(at: np.ndarray) -> float:
        return float(made[at].sum() / base[at].sum() - 1)

    every = np.arange(len(base))
    return (change(every), *bootstrap(change, every))


def _forced(model: PixelModel, target: Picture, reference: Picture | None, time: int) -> float:
    if reference is None:
        return _loss(model, [target], [caption(target)], time)
    schedule = NoiseSchedule.from_alphas(model.alphas_cumprod)
    z0 = to_latents(render_batch([reference]))
    noise = torch.randn(z0.shape, generator=torch.Generator().manual_seed(5))
    stream = Reference(z0, noise, Conditioning(model.context([""])), schedule, "v")
    plan = Plan(choose_sites(find_sites(model.unet), 100), Window(0, 100))
    report = PassReport("first")
    with Session(model.unet, [Source(stream)], plan, unhooked_forward, report) as session:
        session.begin(0, 1, schedule.sigma(time), lambda rows, kwargs: [Row(True)] * rows)
        return _loss(model, [target], [caption(target)], time)


def _loss(model: PixelModel, pictures: list[Picture], captions: list[str], time: int) -> float:
    latents = to_latents(render_batch(pictures))
    noise = torch.randn(latents.shape, generator=torch.Generator().manual_seed(9))
    alpha = model.alphas_cumprod[time]
    x = alpha.sqrt() * latents + (1 - alpha).sqrt() * noise
    wanted = alpha.sqrt() * noise - (1 - alpha).sqrt() * latents
    made = model.unet(x, torch.full((len(x),), time), context=model.context(captions))
    return float((made - wanted).square().mean())


@contextlib.contextmanager
def _uniform(unet: nn.Module) -> Iterator[None]:
    """Every self-attention answers with the plain average of all values."""

    def average(module: nn.Module, args: tuple, output: Tensor) -> Tensor:
        values = module.to_v(args[0]).mean(1, keepdim=True)
        return module.to_out(values).expand_as(output)

    handles = [site.module.register_forward_hook(average) for site in find_sites(unet)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
