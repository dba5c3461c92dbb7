"""Samples the model of the pixel world, with LAFI's real session where a method asks for it."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from lafi.core.levels import NoiseSchedule
from lafi.core.mask import FigureMask
from lafi.core.reference import Conditioning, Reference
from lafi.core.replay.bank import Bank
from lafi.core.replay.key import Replay
from lafi.core.report import PassReport
from lafi.core.session import Session
from lafi.core.source import Source

from ..host.embedded import cond_rows_first, unhooked_forward
from ..training.autoencoder import decode_cells
from ..training.data import render_batch, to_latents
from ..training.load import PixelModel
from ..training.nets import SCALE_FACTOR
from ..training.runs import autocast
from ..world import Figure, Picture, caption
from .altered import Altered
from .methods import DEFAULT, Method
from .own import OwnTokens
from .tokens import Chosen
from .trials import SHAPE, Trial, figure_of, mask_of, shown
from .variants import FeatureAdaIN

STEPS, GUIDANCE = 12, 3.0


@dataclass
class _Run:
    """One run of the sampler.

    Attributes:
        context: (2 B, L, D) of the prompts, then of empty ones.
        times: of the model, falling, to the end.
        session: LAFI, or None.
        altered: what LAFI's settings do not have, or None.
        own: takes the picture's own tokens, or None.
        chosen: leave out some of the references' tokens.
    """

    method: Method
    context: Tensor
    times: Tensor
    session: Session | None = None
    altered: Altered | None = None
    own: OwnTokens | None = None
    chosen: Sequence[Chosen] = ()


class Sampler:
    """DDIM with classifier-free guidance over a batch of prompts that share a reference.

    Recordings are kept for later runs, whatever their method: a reference is recorded once.
    """

    def __init__(self, model: PixelModel, steps: int = STEPS, guidance: float = GUIDANCE) -> None:
        self.model, self.steps, self.guidance = model, steps, guidance
        self.schedule = NoiseSchedule.from_alphas(model.alphas_cumprod)
        self._bank = Bank()

    @torch.no_grad()
    def run(self, method: Method, trial: Trial, seeds: Sequence[int]) -> Tensor:
        """Cells (len(wanted) * len(seeds), 3, 16, 16) in -1..1, prompts outermost."""
        if method.reference == "same pose" and len(trial.wanted) > 1:  # a reference for each prompt
            alone = [Trial(trial.reference, (each,)) for each in trial.wanted]
            return torch.cat([self.run(method, each, seeds) for each in alone])
        noise = torch.cat([_noise(seed) for _ in trial.wanted for seed in seeds])
        x, begin = noise, 1.0
        if method.image_start is not None:
            begin = method.image_start
            x = self._noised(self.encode(trial.reference), noise, method, begin)
        x = self._sample(method, trial, seeds, x, begin)
        if method.again is not None:
            x = self._noised(x, noise, method, method.again)
            x = self._sample(method, trial, seeds, x, method.again)
        return self._decode(x)

    def encode(self, picture: Picture) -> Tensor:
        """The latent (1, 4, 16, 16) of a picture."""
        return to_latents(render_batch([picture]))

    def _decode(self, x: Tensor) -> Tensor:
        with autocast():
            cells = decode_cells(self.model.autoencoder, x / SCALE_FACTOR)
        return cells.float().clamp(-1, 1)

    def _times(self, method: Method, begin: float) -> Tensor:
        """The run's timesteps, from a share of it on."""
        times = torch.linspace(999, 0, (method.steps or self.steps) + 1).round().long()
        return times[round((1 - begin) * (len(times) - 1)) :]

    def _noised(self, x: Tensor, noise: Tensor, method: Method, begin: float) -> Tensor:
        alpha = self.model.alphas_cumprod[self._times(method, begin)[0]]
        return alpha**0.5 * x + (1 - alpha) ** 0.5 * noise

    def _sample(
        self,
        method: Method,
        trial: Trial,
        seeds: Sequence[int],
        x: Tensor,
        begin: float,
        own: OwnTokens | None = None,
    ) -> Tensor:
        """From `x` at a share of the run to clean latents."""
        captions = [caption(each, named=method.oracle) for each in trial.wanted for _ in seeds]
        context = self.model.context([*captions, *[""] * len(captions)])
        run = _Run(method, context, self._times(method, begin), own=own)
        count = len(run.times) - 1
        with contextlib.ExitStack() as stack:
            self._enter(run, trial, stack)
            for index in range(count):
                sigma = self.schedule.sigma(float(run.times[index]))
                if own:
                    own.begin(sigma)
                if run.altered and run.session:
                    within = run.session.plan.window
                    run.altered.share = within.count(count, 0, index) / max(
                        within.count(count) - 1, 1
                    )
                for each in run.chosen:
                    each.begin()
                if run.session:
                    run.session.begin(index, count, sigma, cond_rows_first)
                x = self._step(run, x, run.times[index : index + 2])
        return x

    def _step(self, run: _Run, x: Tensor, times: Tensor) -> Tensor:
        """From one timestep to the next; `times` holds both."""
        method, context = run.method, run.context
        now, later = self.model.alphas_cumprod[times].tolist()
        timesteps = times[:1].expand(2 * len(x))
        with autocast():
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

    # ---- LAFI ---------------------------------------------------------------------------------

    def _enter(self, run: _Run, trial: Trial, stack: contextlib.ExitStack) -> None:
        """Puts a method's hooks into the UNet, LAFI's last."""
        method, unet = run.method, self.model.unet
        plan = method.plan(unet)
        if plan is None:
            return
        adain = FeatureAdaIN(unet) if method.adain else None
        if adain:
            stack.callback(adain.remove)
        if method.alters:
            run.altered = stack.enter_context(Altered(method, plan.sites))
        streams = [
            _Rows(self.encode(each), method, self.schedule, adain) for each in shown(method, trial)
        ]
        replay = Replay(self._bank, lambda: method.kept_under)
        if method.stream == "own":
            replay = Replay(self._first_panel(trial), lambda: "own")  # type: ignore[arg-type]
        sources = self._sources(method, trial, streams)
        masks = [each.reference.mask for each in sources if isinstance(each.reference, Reference)]
        run.chosen = [each for each in masks if isinstance(each, Chosen)]
        run.session = Session(
            unet,
            sources,
            plan,
            streams[0].forward,
            PassReport("first"),
            replay,
        )
        stack.callback(run.session.close)

    def _sources(self, method: Method, trial: Trial, streams: Sequence[_Rows]) -> list[Source]:
        return [
            Source(
                Reference(
                    stream.z0,
                    stream.noise,
                    Conditioning(
                        self.model.context([caption(picture) if method.captioned else ""])
                    ),
                    self.schedule,
                    "v",
                    mask_of(method, picture),
                ),
                method.strength / len(streams),
            )
            for picture, stream in zip(shown(method, trial), streams, strict=True)
        ]

    def _first_panel(self, trial: Trial) -> OwnTokens:
        """The tokens of a picture that the default makes: the figure standing, from the front."""
        figure = trial.reference.figures[0]
        place = replace(figure.placement, action="standing", facing="front", x=8)
        panel = Picture((Figure(figure.identity, place),), trial.reference.scene, SHAPE)
        plan = DEFAULT.plan(self.model.unet)
        assert plan is not None
        own = OwnTokens(plan.sites)
        try:
            first = Trial(trial.reference, (panel,))
            x = self._sample(DEFAULT, first, [0], _noise(0), 1.0, own)
        finally:
            own.remove()
        cells = figure_of(self._decode(x))
        own.mask = None if cells is None else FigureMask(cells)
        return own


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


def _noise(seed: int) -> Tensor:
    return torch.randn(1, 4, *SHAPE[::-1], generator=torch.Generator().manual_seed(seed))
