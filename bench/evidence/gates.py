"""Three gates that the toy model must pass before any table of it is trusted.

(a) Plain averages in place of self-attention must cost clearly more than 5 % of the loss. (b) With
the true picture noised (teacher-forced), a reference of the same identity and scene must beat none,
and beat another identity in the same scene. (c) With LAFI, attribute matches must stand above the
run without it; the table gives (c).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from random import Random

import numpy as np
import torch
from torch import Tensor, nn

from lafi.core.plan import Plan
from lafi.core.reference import Conditioning, Reference
from lafi.core.report import PassReport
from lafi.core.schedule import Window
from lafi.core.session import Session
from lafi.core.sites import choose_sites, find_sites
from lafi.core.stream import NoiseSchedule
from training.data import render_batch
from training.load import Toy
from training.nets import SCALE_FACTOR
from training.world import ACTIONS, Picture, caption, draw_identity, draw_picture, training_picture

from .metrics import bootstrap

TIMES = (200, 400, 600, 800, 950)


@torch.no_grad()
def uniform_attention(toy: Toy, count: int = 64) -> dict[int, float]:
    """Gate (a): by timestep, by what share of itself the loss grows under uniform attention."""
    pictures = [training_picture(3 * 10**9 + number) for number in range(count)]
    captions = [caption(each) for each in pictures]
    plain = {time: _loss(toy, pictures, captions, time) for time in TIMES}
    with _uniform(toy.unet):
        return {time: _loss(toy, pictures, captions, time) / plain[time] - 1 for time in TIMES}


@torch.no_grad()
def teacher_forced(toy: Toy, count: int = 32) -> dict[str, dict[int, tuple[float, float, float]]]:
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
        target = draw_picture(rng, held_out=True)
        action = rng.choice([a for a in ACTIONS if a != target.placements[0].action])
        place = replace(target.placements[0], action=action, wobble=rng.randrange(2**31))
        same = Picture(target.identity, (place,), target.scene)
        other = Picture(draw_identity(rng, held_out=True), (place,), target.scene)
        references = {"none": None, "same identity": same, "another identity": other}
        for kind, picture in references.items():
            for time in TIMES:
                losses[kind][time].append(_forced(toy, target, picture, time))
    return {
        kind: {time: _change(by[time], losses["none"][time]) for time in TIMES}
        for kind, by in losses.items()
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


def _forced(toy: Toy, target: Picture, reference: Picture | None, time: int) -> float:
    if reference is None:
        return _loss(toy, [target], [caption(target)], time)
    schedule = NoiseSchedule.from_alphas(toy.alphas_cumprod)
    z0 = toy.autoencoder.encode(render_batch([reference])) * SCALE_FACTOR
    noise = torch.randn(z0.shape, generator=torch.Generator().manual_seed(5))
    stream = Reference(z0, noise, Conditioning(toy.context([""])), schedule, "v")
    plan = Plan(choose_sites(find_sites(toy.unet), 100), Window(0, 100))
    with Session(toy.unet, stream, plan, _forward, PassReport("first")) as session:
        session.begin(0, 1, schedule.sigma(time), lambda rows, kwargs: [True] * rows)
        return _loss(toy, [target], [caption(target)], time)


def _loss(toy: Toy, pictures: list[Picture], captions: list[str], time: int) -> float:
    latents = toy.autoencoder.encode(render_batch(pictures)) * SCALE_FACTOR
    noise = torch.randn(latents.shape, generator=torch.Generator().manual_seed(9))
    alpha = toy.alphas_cumprod[time]
    x = alpha.sqrt() * latents + (1 - alpha).sqrt() * noise
    wanted = alpha.sqrt() * noise - (1 - alpha).sqrt() * latents
    made = toy.unet(x, torch.full((len(x),), time), context=toy.context(captions))
    return float((made - wanted).square().mean())


def _forward(
    unet: nn.Module, x: Tensor, timesteps: Tensor, conditioning: Conditioning, kwargs: dict
) -> Tensor:
    return unet.forward(x, timesteps, context=conditioning.context)


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
