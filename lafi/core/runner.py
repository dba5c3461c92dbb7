"""The reference streams: what goes through the UNet for each reference, and what comes out."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import LafiError
from .batching import Call
from .levels import clean_latent
from .reference import Reference, UNetForward, joined
from .replay.key import digest
from .sites import input_channels
from .state import PassState
from .stream import DenoiseStream, InversionStream, NoiseStream, ReferenceStream

Progress = Callable[[int, int], None]


class ReferenceRunner:
    """The stream of one reference in one pass.

    Args:
        reference: the stream's material.
        kind: noise, inversion or denoise.

    Attributes:
        levels: an inversion's path: rising noise levels. Without one it has a level for each
            evaluation.
        stream: known from the first evaluation on that needs it.
    """

    def __init__(self, reference: Reference, kind: str) -> None:
        self.reference, self.kind = reference, kind
        self.levels: list[float] | None = None
        self.stream: ReferenceStream | None = None
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

    def fit(self, x: Tensor, unet: nn.Module, size: tuple[int, int]) -> bool:
        """Takes the size of the target's rows (B, C, h, w) in the pass's first call; whether the
        reference became smaller, because they are tiles of the picture.

        Args:
            size: of the picture, in latent cells.

        Raises:
            LafiError: `unsupported_model` when they have other channels than the reference.
        """
        concat = self.reference.conditioning.concat
        own = self.reference.z0.shape[1] + (0 if concat is None else concat.shape[1])
        for channels in (x.shape[1], input_channels(unet)):
            if channels != own:
                raise LafiError(
                    "unsupported_model",
                    f"the UNet is given {channels} channels, the reference has {own}.",
                    "Switch off what adds channels to the UNet (IC-Light), or switch LAFI off.",
                )
        before = self.reference
        if tuple(x.shape[-2:]) != tuple(size):
            self.reference = before.fitting(*x.shape[-2:])
        return self.reference is not before

    def announce(self, sigma: float, total: int) -> None:
        """Tells the run's first level and number of evaluations; later calls change nothing."""
        self._path = self._path or (sigma, total)

    def path(self) -> list[float]:
        """An inversion's levels."""
        if self.levels is not None:
            return self.levels
        assert self._path is not None
        return self.reference.schedule.levels(*self._path)

    def digest(self) -> tuple[Any, ...]:
        """Everything of the reference that decides its tokens at a given noise level."""
        reference, inverts = self.reference, self.kind == "inversion"
        if self._digest is None:
            conditioning, mask = reference.conditioning, reference.mask
            levels = torch.tensor(reference.schedule.log_sigmas)
            self._digest = digest(
                reference.z0,
                # An inversion adds no noise: the model's own answers lead it from level to level.
                levels if inverts else reference.noise,
                conditioning.context,
                conditioning.vector,
                conditioning.concat,
                None if mask is None else mask.mask,
            )
        decides = (self._digest, type(reference.mask), self.kind)
        if not inverts:
            return decides
        path = self._path if self.levels is None else tuple(self.levels)
        return (*decides, reference.prediction, path)

    def latent(self, sigma: float) -> Tensor:
        """The latent (1, C, h, w) at a noise level, in variance-exploding form."""
        assert self.stream is not None
        return self.stream.latent(sigma)

    def advance(self, latent: Tensor, sigma: float, output: Tensor) -> None:
        """Takes the UNet's answer (1, C, h, w) for `latent`."""
        assert self.stream is not None
        if self.stream.needs_output:
            clean = clean_latent(latent, sigma, output.float(), self.reference.prediction)
            self.stream.advance(sigma, clean)

    def close(self) -> None:
        """Lets go of the stream's tensors."""
        self.stream = None


class Network:
    """The UNet that samples, asked about references: several of one size are rows of one call.

    Args:
        unet: the UNet.
        forward: it without hooks.
        state: where the layout of its calls is told.
        progress: told before each evaluation that an inversion makes by itself, and after them all,
            how many are done and of how many; what it raises ends the pass.
    """

    def __init__(
        self,
        unet: nn.Module,
        forward: UNetForward,
        state: PassState,
        progress: Progress = lambda done, total: None,
    ) -> None:
        self.unet, self._forward, self._progress = unet, forward, progress
        self._state = state

    def answer(
        self,
        references: Sequence[Reference],
        latents: Sequence[Tensor],
        sigma: float,
        timestep: Tensor,
        call: Call,
    ) -> Tensor:
        """The UNet's output (K, C, h, w), in float32.

        Args:
            latents: each reference's (1, C, h, w), in variance-exploding form.
            timestep: (1,) the level as the UNet reads it.
            call: the target's own, for its type, device and options.
        """
        rows = [one.row(latent, sigma, call.x)
                for one, latent in zip(references, latents, strict=True)]  # fmt: skip
        x = rows[0] if len(rows) == 1 else torch.cat(rows)
        conditioning = joined([each.conditioning for each in references])
        timesteps = timestep.expand(len(rows))
        with self._state.laid_out(x, conditioning.context):
            return self._forward(self.unet, x, timesteps, conditioning, call.kwargs).float()

    def open(
        self,
        runners: Sequence[ReferenceRunner],
        call: Call,
        passing: Callable[[float], AbstractContextManager[None]] | None = None,
    ) -> None:
        """Makes streams of one kind and size ready; inversions run their path here.

        Args:
            passing: around the UNet's call for the path's own latents at a level.
        """
        device = call.x.device
        if runners[0].kind == "inversion":
            self._invert(runners, call, passing)
            return
        for each in runners:
            z0, noise = each.reference.z0.to(device), each.reference.noise.to(device)
            kind = NoiseStream if each.kind == "noise" else DenoiseStream
            each.stream = kind(z0, noise)

    def _invert(
        self,
        runners: Sequence[ReferenceRunner],
        call: Call,
        passing: Callable[[float], AbstractContextManager[None]] | None,
    ) -> None:
        references = [each.reference for each in runners]
        schedule, prediction = references[0].schedule, references[0].prediction
        levels = runners[0].path()
        steps, count = itertools.count(), len(levels) + (passing is not None)

        def denoise(latents: Tensor, sigma: float) -> Tensor:
            self._progress(next(steps), count)
            # Fractional, also where the sampler itself counts in whole timesteps.
            read = schedule.reads(schedule.timestep(sigma))
            timestep = torch.full((1,), read, device=call.timesteps.device)
            output = self.answer(references, torch.split(latents, 1), sigma, timestep, call)
            return clean_latent(latents, sigma, output, prediction)

        def on_the_way(latents: Tensor, sigma: float) -> Tensor:
            assert passing is not None
            with passing(sigma):
                return denoise(latents, sigma)

        z0 = torch.cat([each.z0.to(call.x.device) for each in references])
        path = InversionStream(z0, denoise, levels, passing and on_the_way)
        for runner, stream in zip(runners, path.split(), strict=True):
            runner.stream = stream
        self._progress(count, count)
