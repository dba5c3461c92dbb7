"""The host protocol: everything LAFI asks of a WebUI. Adapters hold only what differs."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any, Protocol

from torch import Tensor, nn

from ..core.levels import NoiseSchedule
from ..core.reference import Conditioning, UNetForward
from ..core.replay.key import Identity
from ..core.session import RowKinds
from ..core.sites import Site


class Host(Protocol):
    """One kind of WebUI, asked about the checkpoint that is loaded now."""

    @property
    def name(self) -> str:
        """Name and version, for logs and the page only."""

    def unet(self) -> nn.Module:
        """The UNet that samples.

        Raises:
            LafiError: `no_model`, `unsupported_model` or `unsupported_unet`.
        """

    def family(self) -> str:
        """``SD 1.x``, ``SD 2.x``, ``SDXL`` ..., for logs and the page only."""

    def model_key(self) -> tuple:
        """Changes whenever weights, VAE or UNet change, also in the middle of a run."""

    def checkpoint(self) -> Hashable:
        """Names the checkpoint that is loaded: the same one when the host has read it anew."""

    def identity(self) -> Identity:
        """For one pass: what tells, in a UNet call, all that decides what the UNet answers now,
        beside its input: `model_key`, weights, and whatever patches modules."""

    def forward(self) -> UNetForward:
        """The UNet's forward without any hook, ControlNet or other extension around it."""

    def prediction(self) -> str:
        """``eps`` or ``v``."""

    def schedule(self) -> NoiseSchedule:
        """The model's timesteps and noise levels."""

    def sigma(self, denoiser: Any, level: Tensor) -> float:
        """The noise level of an evaluation.

        Args:
            denoiser: the host's CFG denoiser.
            level: (B,) what the sampler hands it: noise levels, or timesteps.
        """

    def evaluations(self, denoiser: Any) -> int:
        """How many model evaluations the run will make, by the sampler's kind and its steps.

        A guess that follows the run, for samplers that make more than they announce.
        """

    def is_adaptive(self, denoiser: Any) -> bool:
        """Whether the sampler itself chooses how many evaluations it makes."""

    def row_kinds(self, params: Any) -> RowKinds:
        """Tells what the rows of the UNet calls of one evaluation are: cond or uncond, whose.

        Args:
            params: what the host's CFG denoiser callback gets.
        """

    def memory(self) -> int:
        """Bytes of the device that samples, whoever takes them now; 0 where nobody knows."""

    def reserve(self, p: Any, nbytes: int) -> None:
        """Announces memory that LAFI will need while `p` samples, before it does."""

    def resume(self) -> None:
        """Makes the UNet ready again, after encoding in the middle of a run."""

    def encode(self, pixels: Tensor) -> Tensor:
        """(1, 3, H, W) in 0..1 to a latent (1, C, H/8, W/8), float32, always the same one."""

    def conditioning(self, prompt: str, width: int, height: int, z0: Tensor) -> Conditioning:
        """What the UNet reads for a prompt, at a size in pixels, beside the latent `z0`."""

    def evaluate(self, x: Tensor, timesteps: Tensor, conditioning: Conditioning) -> Tensor:
        """Calls the UNet as sampling does, hooks and all, on (B, C, h, w); for the self-test."""

    def context_hook(self) -> Callable[[Tensor], tuple[Tensor, Tensor]] | None:
        """The host's own treatment of an attention context, if it has any now."""

    def upcast_attention(self) -> bool:
        """Whether the user wants attention in float32."""

    def quieten(self, sites: Sequence[Site]) -> Callable[[], None]:
        """Switches off what would break injection at `sites`; returns what restores it."""
