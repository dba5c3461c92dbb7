"""What all samplers share: the one place that every pass goes through."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from . import shared


class InterruptedException(BaseException):
    """Ends a pass; no Exception, so that nobody swallows it."""


def images_tensor_to_samples(image: Tensor, approximation: Any = None, model: Any = None) -> Tensor:
    """(B, 3, H, W) in 0..1 to latents (B, 4, H/8, W/8), with the posterior's noise."""
    from .sd_models import model_data

    model = model or model_data.sd_model
    encoded: Tensor = model.encode_first_stage(image * 2 - 1)
    return encoded + 0.01 * torch.randn_like(encoded)


class Sampler:
    """One pass of one sampler."""

    def __init__(self, func: Callable[..., Tensor]) -> None:
        self.func = func
        self.last_latent: Tensor | None = None
        self.p: Any = None
        self.model_wrap_cfg: Any = None
        self.evaluations_per_step = 1

    def callback_state(self, step: int) -> None:
        """After each step."""
        shared.state.sampling_step = step

    def launch_sampling(self, steps: int, func: Callable[[], Tensor]) -> Any:
        """Runs a pass; an interrupt leaves the latest clean latent."""
        self.model_wrap_cfg.steps = steps
        self.model_wrap_cfg.total_steps = steps * self.evaluations_per_step
        shared.state.sampling_steps = steps
        shared.state.sampling_step = 0
        try:
            return func()
        except InterruptedException:
            return self.last_latent

    def initialize(self, p: Any) -> None:
        """Binds the sampler to what is processed."""
        self.p = self.model_wrap_cfg.p = p
        self.model_wrap_cfg.step = 0
