"""One pass of sampling: off, record, inject. The only state machine.

The host says before each model evaluation where the run stands (`begin`); the UNet's own hooks do
the rest. In the first UNet call of an evaluation the reference stream's row goes through the same
UNet at the same noise level and its tokens are recorded; then the target's rows go through and see
them. Further UNet calls of the same evaluation (split batches) use the same recording.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from ..errors import LafiError
from .injection import ContextHook, Injection, Mode, RecordingDone, SiteHook
from .mask import TokenMask
from .report import PassReport, Stopwatch
from .schedule import Window
from .sites import Site
from .stream import (
    DenoiseStream,
    InversionStream,
    NoiseSchedule,
    NoiseStream,
    ReferenceStream,
    clean_latent,
    scale_input,
)


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
        self, unet: nn.Module, x: Tensor, timesteps: Tensor, conditioning: Conditioning, kwargs: dict
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


@dataclass(frozen=True)
class Plan:
    """What a pass does.

    Attributes:
        sites: the sites that inject.
        window: when.
        strength: weight on the reference's keys.
        stream: noise, inversion or denoise.
        positive_only: inject in cond rows only.
        context_hook: the host's own treatment of a context before to_k and to_v.
        upcast: compute weighted attention in float32.
    """

    sites: tuple[Site, ...]
    window: Window = field(default_factory=Window)
    strength: float = 1.0
    stream: str = "noise"
    positive_only: bool = False
    context_hook: ContextHook | None = None
    upcast: bool = False


# (number of rows, kwargs of the UNet call) -> for each row whether it is a cond row
RowKinds = Callable[[int, dict], list[bool]]


class Session:
    """LAFI in one pass of one UNet. Close it however the pass ends.

    Args:
        unet: the UNet that samples.
        reference: the reference stream's material.
        plan: what to do.
        forward: the UNet without hooks.
        report: counts what happens.
    """

    def __init__(
        self,
        unet: nn.Module,
        reference: Reference,
        plan: Plan,
        forward: UNetForward,
        report: PassReport,
    ) -> None:
        self.unet, self.reference, self.plan = unet, reference, plan
        self.report = report
        self._forward = forward
        self._stream: ReferenceStream | None = None
        self._injection = Injection(
            strength=plan.strength,
            select=reference.mask,
            context_hook=plan.context_hook,
            upcast=plan.upcast,
        )
        self._handles: list[Any] = []
        self._watch = Stopwatch()
        self._sigma = 0.0
        self._total = 1
        self._recorded = False
        self._counted = False
        self._row_kinds: RowKinds = _all_positive

    def begin(self, index: int, total: int, sigma: float, row_kinds: RowKinds) -> None:
        """Announces evaluation `index` (from 0) of `total`, at noise level `sigma`.

        `row_kinds` tells cond from uncond rows in the UNet calls of this evaluation. Outside the window no hook is left in the UNet.
        """
        self._sigma, self._total, self._recorded = sigma, total, False
        self._counted = False
        self._row_kinds = row_kinds
        self._injection.tokens = {}
        self._injection.touched.clear()
        if not self.report.evaluations:
            self._check_window(total)
        self.report.evaluations += 1
        if self.plan.window.contains(index, total):
            self._install()
        else:
            self._remove()
            self.report.skipped += 1

    def close(self) -> None:
        """Takes every hook and tensor away; safe at any time, any number of times."""
        self._remove()
        self._injection.tokens = {}
        self._stream = None
        self.report.reference_seconds = self._watch.seconds()

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _install(self) -> None:
        if self._handles:
            return
        self.report.switched += 1
        self._handles = [
            self.unet.register_forward_pre_hook(self._before_call, with_kwargs=True),
            self.unet.register_forward_hook(self._after_call, always_call=True),
            *(SiteHook(site, self._injection) for site in self.plan.sites),
        ]

    def _remove(self) -> None:
        self.report.switched += bool(self._handles)
        for handle in self._handles:
            handle.remove()
        self._handles = []
        self._injection.mode = Mode.OFF

    def _before_call(self, unet: nn.Module, args: tuple, kwargs: dict) -> None:
        x, timesteps = args[0], args[1] if len(args) > 1 else kwargs["timesteps"]
        if not self._recorded:
            self._record(x, timesteps, kwargs)
        injection = self._injection
        injection.rows = None
        if self.plan.positive_only:
            kinds = torch.tensor(self._row_kinds(x.shape[0], kwargs))
            injection.rows = None if bool(kinds.all()) else kinds
        injection.mode = Mode.INJECT

    def _after_call(self, unet: nn.Module, args: tuple, output: Tensor) -> None:
        self._injection.mode = Mode.OFF
        touched = self._injection.touched
        if touched and not self._counted:
            self._counted = True
            self.report.injected += 1
            if len(touched) > len(self.report.sites):
                self.report.sites = [each.name for each in self.plan.sites if each.name in touched]

    def _check_window(self, total: int) -> None:
        window = self.plan.window
        if not any(window.contains(index, total) for index in range(total)):
            raise LafiError(
                "empty_window",
                f"none of the run's {total} model evaluations lies between start {window.start:g} % "
                f"and cutoff {window.cutoff:g} %.",
                "Widen the window, or raise the number of steps.",
            )

    @torch.no_grad()
    def _record(self, x: Tensor, timesteps: Tensor, kwargs: dict) -> None:
        injection, report = self._injection, self.report
        injection.mode, injection.rows = Mode.OFF, None
        before = _allocated(x.device)
        with self._watch.running(x.device):
            if self._stream is None:
                self._stream = self._open_stream(x, timesteps, kwargs)
            latent = self._stream.latent(self._sigma)
            needs_output = self._stream.needs_output
            injection.mode = Mode.RECORD
            injection.last = None if needs_output else self.plan.sites[-1].name
            try:
                output = self._answer(latent, self._sigma, x, timesteps[:1], kwargs)
                if needs_output:
                    clean = clean_latent(latent, self._sigma, output, self.reference.prediction)
                    self._stream.advance(self._sigma, clean)
            except RecordingDone:
                pass
            finally:
                injection.mode = Mode.OFF
        self._recorded = True
        report.recorded += 1
        held = sum(each.nbytes() for each in injection.tokens.values())
        report.reference_bytes = max(report.reference_bytes, held)
        report.peak_bytes = max(report.peak_bytes, held, _peak(x.device) - before)

    def _open_stream(self, x: Tensor, timesteps: Tensor, kwargs: dict) -> ReferenceStream:
        reference = self.reference
        z0, noise = reference.z0.to(x.device), reference.noise.to(x.device)
        if self.plan.stream == "noise":
            return NoiseStream(z0, noise)
        if self.plan.stream == "denoise":
            return DenoiseStream(z0, noise)

        def denoise(latent: Tensor, sigma: float) -> Tensor:
            timestep = timesteps.new_full((1,), reference.schedule.timestep(sigma))
            output = self._answer(latent, sigma, x, timestep, kwargs)
            return clean_latent(latent, sigma, output, reference.prediction)

        return InversionStream(z0, denoise, reference.schedule.levels(self._sigma, self._total))

    def _answer(
        self, latent: Tensor, sigma: float, x: Tensor, timesteps: Tensor, kwargs: dict
    ) -> Tensor:
        """The UNet's output (1, C, h, w), in float32, for one row of the reference stream."""
        row = scale_input(latent, sigma).to(x.dtype)
        conditioning = self.reference.conditioning
        if conditioning.concat is not None:
            row = torch.cat([row, conditioning.concat.to(row)], 1)
        return self._forward(self.unet, row, timesteps, conditioning, kwargs).float()


def _all_positive(rows: int, kwargs: dict) -> list[bool]:
    return [True] * rows


def _allocated(device: torch.device) -> int:
    return torch.cuda.memory_allocated(device) if device.type == "cuda" else 0


def _peak(device: torch.device) -> int:
    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else 0
