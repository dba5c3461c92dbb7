"""The reference's row: what goes through the UNet for it, and what comes out."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from ..errors import LafiError
from .mask import TokenMask
from .replay.key import digest
from .sites import input_channels
from .stream import (
    DenoiseStream,
    InversionStream,
    NoiseSchedule,
    NoiseStream,
    ReferenceStream,
    clean_latent,
    scale_input,
)

Progress = Callable[[int, int], None]

# What every UNet's latent sizes are divided by, so that its levels fit together.
CELLS = 8


@dataclass(frozen=True)
class Conditioning:
    """What the UNet reads beside the reference's latent.

    Attributes:
        context: (1, L, D) text.
        vector: (1, A) pooled text and sizes (SDXL), or None.
        concat: (1, c, h, w) more input channels (inpainting models), or None.
    """

    context: Tensor
    vector: Tensor | None = None
    concat: Tensor | None = None


class UNetForward(Protocol):
    """The host's UNet without any hook: ``forward(unet, x, timesteps, conditioning, kwargs)``.

    `kwargs` are those of the target's own call.
    """

    def __call__(
        self,
        unet: nn.Module,
        x: Tensor,
        timesteps: Tensor,
        conditioning: Conditioning,
        kwargs: dict[str, Any],
    ) -> Tensor: ...


@dataclass(frozen=True)
class Reference:
    """The reference as the model sees it.

    Attributes:
        z0: (1, C, h, w) its latent, float32.
        noise: (1, C, h, w) its fixed noise, float32.
        conditioning: its own text and sizes.
        schedule: the model's timesteps and noise levels.
        prediction: what the UNet predicts, ``eps`` or ``v``.
        mask: which tokens are kept; None for all.
    """

    z0: Tensor
    noise: Tensor
    conditioning: Conditioning
    schedule: NoiseSchedule
    prediction: str = "eps"
    mask: TokenMask | None = None

    def fitting(self, height: int, width: int) -> Reference:
        """The same for a UNet that is called with tiles of this latent size: of about a tile's
        area, in its own proportions. A latent that is no larger than a tile stays as it is."""
        h, w = self.z0.shape[-2:]
        share = math.sqrt(height * width / (h * w))
        if share >= 1:
            return self
        h, w = (max(round(each * share / CELLS), 1) * CELLS for each in (h, w))
        conditioning = self.conditioning
        if conditioning.concat is not None:
            concat = interpolate(conditioning.concat, (h, w), mode="area")
            conditioning = replace(conditioning, concat=concat)
        return replace(
            self,
            z0=interpolate(self.z0, (h, w), mode="area"),
            # A part of it, since what is scaled is no white noise any more.
            noise=self.noise[..., :h, :w],
            conditioning=conditioning,
            mask=None if self.mask is None else self.mask.resized(h, w),
        )


class ReferenceRunner:
    """Runs the reference stream of one pass through the UNet.

    Args:
        unet: the UNet that samples.
        reference: the reference stream's material.
        kind: noise, inversion or denoise.
        forward: the UNet without hooks.
        progress: told before each evaluation that an inversion makes by itself, and after them all,
            how many are done and of how many; what it raises ends the pass.
    """

    def __init__(
        self,
        unet: nn.Module,
        reference: Reference,
        kind: str,
        forward: UNetForward,
        progress: Progress = lambda done, total: None,
    ) -> None:
        self.unet, self.reference, self.kind = unet, reference, kind
        self._forward, self._progress = forward, progress
        self._stream: ReferenceStream | None = None
        # An inversion's path: rising noise levels. Without one it has a level for each evaluation.
        self.levels: list[float] | None = None
        # The run's first level and its number of evaluations.
        self._path: tuple[float, int] | None = None
        self._digest: str | None = None

    @property
    def needs_output(self) -> bool:
        """Whether the pass must run to the end of the UNet."""
        return self.kind == "denoise"

    @property
    def repeatable(self) -> bool:
        """Whether a noise level alone decides the latent, so that its recording can be replayed.

        The denoise stream depends on the whole run before.
        """
        return self.kind != "denoise"

    def fit(self, x: Tensor) -> bool:
        """Takes the size of the target's rows (B, C, h, w) in the pass's first call; whether the
        reference became smaller, because they are tiles of the picture.

        Raises:
            LafiError: `unsupported_model` when they have other channels than the reference.
        """
        concat = self.reference.conditioning.concat
        own = self.reference.z0.shape[1] + (0 if concat is None else concat.shape[1])
        for channels in (x.shape[1], input_channels(self.unet)):
            if channels != own:
                raise LafiError(
                    "unsupported_model",
                    f"the UNet is given {channels} channels, the reference has {own}.",
                    "Switch off what adds channels to the UNet (IC-Light), or switch LAFI off.",
                )
        before, self.reference = self.reference, self.reference.fitting(*x.shape[-2:])
        return self.reference is not before

    def announce(self, sigma: float, total: int) -> None:
        """Tells the run's first level and number of evaluations; later calls change nothing."""
        self._path = self._path or (sigma, total)

    def digest(self) -> tuple[Any, ...]:
        """Everything of the reference that decides its tokens at a given noise level."""
        reference, inverts = self.reference, self.kind == "inversion"
        if self._digest is None:
            conditioning, mask = reference.conditioning, reference.mask
            levels = reference.schedule.log_sigmas
            self._digest = digest(
                reference.z0,
                # An inversion adds no noise: the model's own answers lead it from level to level.
                torch.tensor(levels) if inverts else reference.noise,
                conditioning.context,
                conditioning.vector,
                conditioning.concat,
                None if mask is None else mask.mask,
            )
        if not inverts:
            return (self._digest, self.kind)
        path = self._path if self.levels is None else tuple(self.levels)
        return (self._digest, self.kind, reference.prediction, path)

    def open(
        self,
        x: Tensor,
        timesteps: Tensor,
        kwargs: dict[str, Any],
        passing: Callable[[float], AbstractContextManager[None]] | None = None,
    ) -> None:
        """Makes the stream ready, given the target's call; an inversion runs its path here.

        Args:
            passing: around the UNet's call for the path's own latent at a level.
        """
        if self._stream is not None:
            return
        reference = self.reference
        z0, noise = reference.z0.to(x.device), reference.noise.to(x.device)
        if self.kind == "noise":
            self._stream = NoiseStream(z0, noise)
        elif self.kind == "denoise":
            self._stream = DenoiseStream(z0, noise)
        else:
            assert self._path is not None
            levels = self.levels or reference.schedule.levels(*self._path)
            steps, count = itertools.count(), len(levels) + (passing is not None)

            def denoise(latent: Tensor, sigma: float) -> Tensor:
                self._progress(next(steps), count)
                # Fractional, also where the sampler itself counts in whole timesteps.
                level = reference.schedule.timestep(sigma)
                timestep = torch.full((1,), level, device=timesteps.device)
                output = self.answer(latent, sigma, x, timestep, kwargs)
                return clean_latent(latent, sigma, output, reference.prediction)

            def on_the_way(latent: Tensor, sigma: float) -> Tensor:
                assert passing is not None
                with passing(sigma):
                    return denoise(latent, sigma)

            self._stream = InversionStream(z0, denoise, levels, passing and on_the_way)
            self._progress(count, count)

    def latent(self, sigma: float) -> Tensor:
        """The latent (1, C, h, w) at a noise level, in variance-exploding form."""
        assert self._stream is not None
        return self._stream.latent(sigma)

    def run(self, sigma: float, x: Tensor, timesteps: Tensor, kwargs: dict[str, Any]) -> None:
        """Sends the reference through the UNet at a noise level.

        Args:
            x: (B, C, h, w) the target's own input, for its type and device.
            timesteps: (1,) the level as the UNet reads it.
            kwargs: of the target's own call.
        """
        latent = self.latent(sigma)
        self.advance(latent, sigma, self.answer(latent, sigma, x, timesteps, kwargs))

    def advance(self, latent: Tensor, sigma: float, output: Tensor) -> None:
        """Takes the UNet's answer (1, C, h, w) for `latent`."""
        assert self._stream is not None
        if self._stream.needs_output:
            clean = clean_latent(latent, sigma, output.float(), self.reference.prediction)
            self._stream.advance(sigma, clean)

    def row(self, latent: Tensor, sigma: float, x: Tensor) -> Tensor:
        """The UNet's input (1, C, h, w) for a latent."""
        row = scale_input(latent, sigma).to(x.dtype)
        concat = self.reference.conditioning.concat
        return row if concat is None else torch.cat([row, concat.to(row)], 1)

    def answer(
        self, latent: Tensor, sigma: float, x: Tensor, timesteps: Tensor, kwargs: dict[str, Any]
    ) -> Tensor:
        """The UNet's output (1, C, h, w), in float32, for a latent."""
        row = self.row(latent, sigma, x)
        conditioning = self.reference.conditioning
        return self._forward(self.unet, row, timesteps, conditioning, kwargs).float()

    def close(self) -> None:
        """Lets go of the stream's tensors."""
        self._stream = None
