"""An embedded host: samples as a WebUI does and drives `lafi.core.session.Session` as a WebUI does.

Per evaluation the CFG denoiser announces where the run stands, then calls the UNet once with all
cond rows before all uncond rows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from PIL import Image
from torch import Tensor, nn

from lafi.core.injection import Row
from lafi.core.levels import NoiseSchedule
from lafi.core.plan import Plan
from lafi.core.reference import Conditioning, Reference
from lafi.core.replay.bank import Bank
from lafi.core.replay.key import Replay
from lafi.core.report import PassReport
from lafi.core.schedule import Window
from lafi.core.session import Session
from lafi.core.sites import choose_sites, find_sites
from lafi.core.source import Source
from lafi.settings import LafiSettings
from lafi.webui.fitting import fit_picture, fitted_size
from lafi.webui.images import open_picture

from .bundled import external, sampling
from .model import Model

# k-diffusion's samplers, and their model evaluations per step; the last step needs only one.
SAMPLERS = {"euler": 1, "euler_ancestral": 1, "dpmpp_2m": 1, "heun": 2, "dpm_2": 2, "dpmpp_sde": 2}


@dataclass(frozen=True)
class Request:
    """One picture to make; `size` is the side of a square in pixels."""

    prompt: str
    negative: str = ""
    seed: int = 1
    steps: int = 12
    size: int = 256
    scale: float = 5.0
    sampler: str = "euler_ancestral"

    @property
    def evaluations(self) -> int:
        """How often the run calls the CFG denoiser."""
        each = SAMPLERS[self.sampler]
        return each * (self.steps - 1) + 1


def unhooked_forward(
    unet: nn.Module, x: Tensor, timesteps: Tensor, conditioning: Conditioning, kwargs: dict
) -> Tensor:
    """The UNet's own forward, past every hook on the UNet as a whole."""
    extra = {} if conditioning.vector is None else {"y": conditioning.vector.to(x)}
    return unet.forward(x, timesteps, context=conditioning.context.to(x), **extra)


def cond_rows_first(rows: int, kwargs: dict) -> list[Row]:
    """The layout of a call with CFG: each picture's cond row, then each one's uncond row."""
    pictures = max(rows // 2, 1)
    return [Row(row < rows // 2, row % pictures) for row in range(rows)]


class CFGDenoiser(nn.Module):
    """What a k-diffusion sampler calls: both rows in one UNet call, then classifier-free guidance.

    Args:
        model: a k-diffusion denoiser.
        session: LAFI for this run, or None.
        evaluations: how many the run is to have.
        progress: called after each.
    """

    def __init__(
        self,
        model: nn.Module,
        session: Session | None,
        evaluations: int,
        progress: Callable[[], object],
    ) -> None:
        super().__init__()
        self.inner_model = model
        self.session, self.evaluations, self.progress = session, evaluations, progress
        self.index = 0

    def forward(
        self, x: Tensor, sigma: Tensor, cond: Tensor, uncond: Tensor, scale: float
    ) -> Tensor:
        """The guided clean latent (B, C, h, w)."""
        if self.session is not None:
            self.session.begin(self.index, self.evaluations, float(sigma[0]), cond_rows_first)
        self.index += 1
        rows = x.shape[0]
        conditioning = torch.cat([cond.expand(rows, -1, -1), uncond.expand(rows, -1, -1)])
        both = self.inner_model(torch.cat([x, x]), torch.cat([sigma, sigma]), cond=conditioning)
        self.progress()
        positive, negative = both.chunk(2)
        return negative + scale * (positive - negative)


def k_denoiser(model: Model) -> nn.Module:
    """The model behind k-diffusion's interface: (x, sigma) to the clean latent."""
    kinds = {"eps": external.CompVisDenoiser, "v": external.CompVisVDenoiser}
    return kinds[model.prediction](model)


class EmbeddedHost:
    """Makes pictures with a model, with LAFI or without."""

    def __init__(self, model: Model, progress: Callable[[], object] = lambda: None) -> None:
        self.model, self.progress = model, progress
        self._replay = Replay(Bank(), lambda: "the one model")

    @torch.no_grad()
    def generate(
        self,
        request: Request,
        settings: LafiSettings | None = None,
        picture: Image.Image | None = None,
    ) -> tuple[Tensor, PassReport]:
        """Makes one picture.

        Args:
            settings: LAFI's settings; None for a plain run.
            picture: the reference; needed with settings.

        Returns:
            the picture (1, 3, H, W) in 0..1, and what LAFI did.
        """
        report = PassReport("first")
        if settings is None or picture is None or not replace(settings, image=picture).acts:
            return self.model.decode(self._sample(request, None)), report
        with self._session(settings, picture, request.size, report) as session:
            latent = self._sample(request, session)
        return self.model.decode(latent), report

    def _session(
        self, settings: LafiSettings, picture: Image.Image, size: int, report: PassReport
    ) -> Session:
        model = self.model
        opened = open_picture(picture, settings.mask, cutout=settings.cutout)
        shown = fitted_size(opened, size, size, settings.fit)
        fitted = fit_picture(opened, *shown, settings.fit)
        z0 = model.encode(fitted.pixels)
        seed = settings.noise_seed if settings.noise_seed >= 0 else 0
        noise = torch.randn(z0.shape, generator=torch.Generator().manual_seed(seed))
        reference = Reference(
            z0,
            noise,
            Conditioning(model.text(settings.prompt)),
            NoiseSchedule.from_alphas(model.alphas_cumprod),
            model.prediction,
            None if fitted.mask is None else opened.token_mask(fitted.mask),
        )
        plan = Plan(
            choose_sites(find_sites(model.unet), settings.depth, settings.layers),
            Window(settings.start, settings.cutoff),
            settings.stream,
            fidelity=settings.fidelity,
            refresh=settings.refresh,
            size=(size // 8, size // 8),
        )
        source = Source(reference, settings.strength)
        return Session(model.unet, [source], plan, unhooked_forward, report, self._replay)

    def _sample(self, request: Request, session: Session | None) -> Tensor:
        """One run of the sampler: a latent (1, 4, h, w)."""
        denoiser = k_denoiser(self.model)
        sigmas = denoiser.get_sigmas(request.steps)
        guided = CFGDenoiser(denoiser, session, request.evaluations, self.progress)
        conditionings = {
            "cond": self.model.text(request.prompt),
            "uncond": self.model.text(request.negative),
            "scale": request.scale,
        }
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(request.seed)
            side = request.size // 8
            x = torch.randn(1, 4, side, side) * sigmas[0]
            sample = getattr(sampling, f"sample_{request.sampler}")
            return sample(guided, x, sigmas, extra_args=conditionings, disable=True)
