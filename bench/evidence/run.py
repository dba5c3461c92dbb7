"""Samples the toy model, with LAFI's real session where a method asks for it."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random

import torch
from torch import Tensor, nn

from lafi.core.mask import TokenMask
from lafi.core.reference import Conditioning, Reference
from lafi.core.report import PassReport
from lafi.core.session import Session
from lafi.core.stream import NoiseSchedule
from training.data import render_batch
from training.draw import render
from training.load import Toy
from training.nets import LATENT, SCALE_FACTOR
from training.runs import autocast
from training.world import (
    ACTIONS,
    FACINGS,
    GROUNDS,
    WALLS,
    Picture,
    Scene,
    caption,
    draw_identity,
    draw_picture,
)

from .methods import Method, RandomTokens
from .variants import FeatureAdaIN, keys_adain

STEPS, GUIDANCE = 16, 3.0


@dataclass(frozen=True)
class Trial:
    """A reference picture and the pictures that are asked for with it (one figure each)."""

    reference: Picture
    wanted: tuple[Picture, ...]


def draw_trials(count: int, prompts: int, seed: int, held_out: bool = True) -> list[Trial]:
    """References of held-out or known identities, with prompts of other actions and walls."""
    rng = Random(seed)
    trials = []
    for _ in range(count):
        reference = draw_picture(rng, held_out=held_out)
        placement = reference.placements[0]
        actions = rng.sample([a for a in ACTIONS if a != placement.action], prompts)
        wanted = []
        for action in actions:
            place = replace(placement, action=action, facing=rng.choice(FACINGS), x=64, wobble=0)
            walls = [wall for wall in WALLS if wall != reference.scene.wall]
            scene = Scene(rng.choice(walls), rng.choice(list(GROUNDS)), 90)
            wanted.append(Picture(reference.identity, (place,), scene))
        trials.append(Trial(reference, tuple(wanted)))
    return trials


class Sampler:
    """DDIM with classifier-free guidance over a batch of prompts that share a reference."""

    def __init__(self, toy: Toy, steps: int = STEPS, guidance: float = GUIDANCE) -> None:
        self.toy, self.steps, self.guidance = toy, steps, guidance
        self.schedule = NoiseSchedule.from_alphas(toy.alphas_cumprod)
        times = torch.linspace(999, 0, steps + 1).round().long()
        self.times, self.alphas = times.tolist(), toy.alphas_cumprod[times].tolist()

    @torch.no_grad()
    def run(self, method: Method, trial: Trial, seeds: Sequence[int]) -> Tensor:
        """Pictures (len(wanted) * len(seeds), 3, 128, 128) in -1..1, prompts outermost."""
        if method.reference == "same pose" and len(trial.wanted) > 1:  # a reference for each prompt
            alone = [Trial(trial.reference, (each,)) for each in trial.wanted]
            return torch.cat([self.run(method, each, seeds) for each in alone])
        captions = [caption(each, oracle=method.oracle) for each in trial.wanted for _ in seeds]
        noise = torch.cat([_noise(seed) for _ in trial.wanted for seed in seeds])
        context = self.toy.context([*captions, *[""] * len(captions)])
        first, x = 0, noise
        if method.image_start is not None:
            first = round((1 - method.image_start) * self.steps)
            alpha = self.alphas[first]
            x = alpha**0.5 * self.encode(trial.reference) + (1 - alpha) ** 0.5 * noise
        with contextlib.ExitStack() as stack:
            session = self._session(method, trial, stack)
            for index in range(first, self.steps):
                x = self._step(x, context, index, session, method)
        with autocast():
            decoded = [self.toy.autoencoder.decode(each / SCALE_FACTOR) for each in x.split(16)]
        return torch.cat(decoded).float().clamp(-1, 1)

    def encode(self, picture: Picture) -> Tensor:
        """The latent (1, 4, 16, 16) of a picture."""
        return self.toy.autoencoder.encode(render_batch([picture])) * SCALE_FACTOR

    def _step(
        self, x: Tensor, context: Tensor, index: int, session: Session | None, method: Method
    ) -> Tensor:
        now, later = self.alphas[index], self.alphas[index + 1]
        if session:
            session.begin(index, self.steps, ((1 - now) / now) ** 0.5, _cond_first)
        timesteps = torch.full((2 * len(x),), self.times[index])
        around = keys_adain(session.plan.sites) if session and method.keys_adain else None
        with autocast(), around or contextlib.nullcontext():
            output = self.toy.unet(torch.cat([x, x]), timesteps, context=context).float()
        cond, uncond = output.chunk(2)
        v = uncond + self.guidance * (cond - uncond)
        clean = now**0.5 * x - (1 - now) ** 0.5 * v
        eps = now**0.5 * v + (1 - now) ** 0.5 * x
        return later**0.5 * clean + (1 - later) ** 0.5 * eps

    def _session(self, method: Method, trial: Trial, stack: contextlib.ExitStack) -> Session | None:
        unet, plan = self.toy.unet, method.plan(self.toy.unet)
        if plan is None:
            return None
        picture = _shown(method, trial)
        adain = FeatureAdaIN(unet) if method.adain else None
        if adain:
            stack.callback(adain.remove)
        stream = _Rows(self.encode(picture), method, self.schedule, adain)
        reference = Reference(
            stream.z0,
            stream.noise,
            Conditioning(self.toy.context([caption(picture) if method.captioned else ""])),
            self.schedule,
            "v",
            _mask(method, picture),
        )
        session = Session(unet, reference, plan, stream.forward, PassReport("first"))
        stack.callback(session.close)
        return session


class _Rows:
    """The reference's row: LAFI's own, or one at another noise level, or with fresh noise."""

    def __init__(
        self, z0: Tensor, method: Method, schedule: NoiseSchedule, adain: FeatureAdaIN | None
    ) -> None:
        self.z0, self.method, self.schedule = z0, method, schedule
        self._recording = adain.recording if adain else contextlib.nullcontext
        self._generator = torch.Generator().manual_seed(12345)
        self.noise = self._draw()

    def forward(
        self,
        unet: nn.Module,
        x: Tensor,
        timesteps: Tensor,
        conditioning: Conditioning,
        kwargs: dict,
    ) -> Tensor:
        """The UNet's own forward for the reference's row."""
        if self.method.fresh or self.method.noise != 1:
            sigma = self.schedule.sigma(float(timesteps[0])) * self.method.noise
            noise = self._draw() if self.method.fresh else self.noise
            x = (self.z0 + sigma * noise) / (1 + sigma**2) ** 0.5
            timesteps = torch.full_like(
                timesteps, self.schedule.timestep(sigma), dtype=torch.float32
            )
        with self._recording():
            return unet.forward(x, timesteps, context=conditioning.context)

    def _draw(self) -> Tensor:
        return torch.randn(1, *LATENT, generator=self._generator)


def _shown(method: Method, trial: Trial) -> Picture:
    """The picture that the reference stream gets."""
    own = trial.reference
    if method.reference == "blank":
        return Picture(own.identity, (), own.scene)
    if method.reference == "same pose":
        return Picture(own.identity, trial.wanted[0].placements, own.scene)
    if method.reference == "another identity":
        other = draw_identity(Random(str(own.identity)), own.identity.held_out)
        return Picture(other, own.placements, own.scene)
    return own


def _mask(method: Method, picture: Picture):
    if method.rate < 1:
        return RandomTokens(method.rate)
    if not method.masked:
        return None
    figure = torch.from_numpy((render(picture, labels=True).labels > 0).copy()).float()
    return TokenMask(torch.nn.functional.avg_pool2d(figure[None], 8)[0] > 0.25)


def _noise(seed: int) -> Tensor:
    return torch.randn(1, *LATENT, generator=torch.Generator().manual_seed(seed))


def _cond_first(rows: int, kwargs: dict) -> list[bool]:
    return [row < rows // 2 for row in range(rows)]
