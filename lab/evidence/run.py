"""Samples the model of the pixel world, with LAFI's real session where a method asks for it."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from lafi.core.mask import TokenMask
from lafi.core.reference import Conditioning, Reference
from lafi.core.replay.bank import Bank
from lafi.core.replay.key import Replay
from lafi.core.report import PassReport
from lafi.core.session import Session
from lafi.core.source import Source
from lafi.core.stream import NoiseSchedule
from lafi.webui.cutout import cut_out

from ..host.embedded import cond_rows_first, unhooked_forward
from ..training.autoencoder import decode_cells
from ..training.data import render_batch, to_latents
from ..training.load import PixelModel
from ..training.nets import SCALE_FACTOR
from ..training.runs import autocast
from ..world import (
    ACTIONS,
    CELL,
    GROUNDS,
    WALLS,
    Figure,
    Picture,
    Scene,
    caption,
    draw_identity,
    draw_picture,
    render,
)
from ..world.draw import empty_scene, with_identities
from .methods import Method
from .variants import FeatureAdaIN, RandomTokens, keys_adain

STEPS, GUIDANCE = 12, 3.0
SHAPE = (16, 16)  # columns and rows of every picture
SIDES = ("left", "right")


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
        facing = rng.choice(SIDES)
        reference = draw_picture(rng, held_out=held_out, shape=SHAPE, facing=facing)
        figure = reference.figures[0]
        others = [a for a in ACTIONS if a != figure.placement.action]
        wanted = []
        for action in rng.sample(others, prompts):
            place = replace(
                figure.placement, action=action, facing=rng.choice(SIDES), x=8, wobble=0
            )
            walls = [wall for wall in WALLS if wall != reference.scene.wall]
            scene = Scene(rng.choice(walls), rng.choice(list(GROUNDS)), 12)
            wanted.append(Picture((Figure(figure.identity, place),), scene))
        trials.append(Trial(reference, tuple(wanted)))
    return trials


class Sampler:
    """DDIM with classifier-free guidance over a batch of prompts that share a reference."""

    def __init__(self, model: PixelModel, steps: int = STEPS, guidance: float = GUIDANCE) -> None:
        self.model, self.steps, self.guidance = model, steps, guidance
        self.schedule = NoiseSchedule.from_alphas(model.alphas_cumprod)

    @torch.no_grad()
    def run(self, method: Method, trial: Trial, seeds: Sequence[int]) -> Tensor:
        """Cells (len(wanted) * len(seeds), 3, 16, 16) in -1..1, prompts outermost."""
        if method.reference == "same pose" and len(trial.wanted) > 1:  # a reference for each prompt
            alone = [Trial(trial.reference, (each,)) for each in trial.wanted]
            return torch.cat([self.run(method, each, seeds) for each in alone])
        captions = [caption(each, named=method.oracle) for each in trial.wanted for _ in seeds]
        noise = torch.cat([_noise(seed) for _ in trial.wanted for seed in seeds])
        context = self.model.context([*captions, *[""] * len(captions)])
        times = torch.linspace(999, 0, (method.steps or self.steps) + 1).round().long()
        x = noise
        if method.image_start is not None:
            times = times[round((1 - method.image_start) * (len(times) - 1)) :]
            alpha = self.model.alphas_cumprod[times[0]]
            x = alpha**0.5 * self.encode(trial.reference) + (1 - alpha) ** 0.5 * noise
        with contextlib.ExitStack() as stack:
            session = self._session(method, trial, stack)
            for index in range(len(times) - 1):
                if session:
                    sigma = self.schedule.sigma(float(times[index]))
                    session.begin(index, len(times) - 1, sigma, cond_rows_first)
                x = self._step(x, context, times[index : index + 2], session, method)
        with autocast():
            cells = decode_cells(self.model.autoencoder, x / SCALE_FACTOR)
        return cells.float().clamp(-1, 1)

    def encode(self, picture: Picture) -> Tensor:
        """The latent (1, 4, 16, 16) of a picture."""
        return to_latents(render_batch([picture]))

    def _step(
        self, x: Tensor, context: Tensor, times: Tensor, session: Session | None, method: Method
    ) -> Tensor:
        """From one timestep to the next; `times` holds both."""
        now, later = self.model.alphas_cumprod[times].tolist()
        timesteps = times[:1].expand(2 * len(x))
        around = keys_adain(session.plan.sites) if session and method.keys_adain else None
        with autocast(), around or contextlib.nullcontext():
            output = self.model.unet(torch.cat([x, x]), timesteps, context=context).float()
        cond, uncond = output.chunk(2)
        if method.blend is not None:
            with autocast():  # past the session's hooks
                rows = timesteps[: len(x)], context[len(x) :]
                plain = self.model.unet.forward(x, rows[0], context=rows[1]).float()
            uncond = torch.lerp(uncond, plain, method.blend)
        v = uncond + (method.guidance or self.guidance) * (cond - uncond)
        clean = now**0.5 * x - (1 - now) ** 0.5 * v
        eps = now**0.5 * v + (1 - now) ** 0.5 * x
        return later**0.5 * clean + (1 - later) ** 0.5 * eps

    def _session(self, method: Method, trial: Trial, stack: contextlib.ExitStack) -> Session | None:
        unet, plan = self.model.unet, method.plan(self.model.unet)
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
            Conditioning(self.model.context([caption(picture) if method.captioned else ""])),
            self.schedule,
            "v",
            _mask(method, picture),
        )
        replay = Replay(Bank(), lambda: "the one model")
        sources = [Source(reference, method.strength)]
        session = Session(unet, sources, plan, stream.forward, PassReport("first"), replay)
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
            return unhooked_forward(unet, x, timesteps, conditioning, kwargs)

    def _draw(self) -> Tensor:
        return torch.randn(1, 4, *SHAPE[::-1], generator=self._generator)


def _shown(method: Method, trial: Trial) -> Picture:
    """The picture that the reference stream gets."""
    own = trial.reference
    if method.reference == "blank":
        return empty_scene(own)
    if method.reference == "same pose":
        placement = trial.wanted[0].figures[0].placement
        return Picture((Figure(own.figures[0].identity, placement),), own.scene, own.shape)
    if method.reference == "front":
        figure = own.figures[0]
        placement = replace(figure.placement, action="standing", facing="front")
        return Picture((Figure(figure.identity, placement),), own.scene, own.shape)
    if method.reference == "another identity":
        who = own.figures[0].identity
        return with_identities(own, draw_identity(Random(str(who)), who.held_out))
    return own


def _mask(method: Method, picture: Picture):
    mask = None
    if method.mask == "figure":
        differs = (render(picture) != render(empty_scene(picture))).any(2)
        mask = TokenMask(torch.from_numpy(differs))
    elif method.mask == "cutout":
        size = (picture.shape[0] * CELL, picture.shape[1] * CELL)
        cells = Image.fromarray(render(picture))
        figure = cut_out(cells.resize(size, Image.Resampling.NEAREST))
        if figure is not None:
            kept = np.asarray(figure).reshape(picture.shape[1], CELL, -1, CELL).max((1, 3)) > 127
            mask = TokenMask(torch.from_numpy(kept))
    return mask if method.rate == 1 else RandomTokens(method.rate, mask)


def _noise(seed: int) -> Tensor:
    return torch.randn(1, 4, *SHAPE[::-1], generator=torch.Generator().manual_seed(seed))
