"""AdaIN of features, as hooks beside LAFI's own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

# As ControlNet's reference_adain has it: the middle, and all blocks but the finest ones.
FIRST_INPUT, LAST_OUTPUT = 4, 8


class FeatureAdaIN:
    """Gives the target's features the reference's mean and spread, channel by channel.

    Huang and Belongie 2017; in `reference_adain+attn` together with shared attention. The
    reference's row must run inside `recording`, earlier than the target's rows.
    """

    def __init__(self, unet: Any) -> None:
        self._recording = False
        self._known: dict[nn.Module, tuple[Tensor, Tensor]] = {}
        blocks = [
            *unet.input_blocks[FIRST_INPUT:],
            unet.middle_block,
            *unet.output_blocks[:LAST_OUTPUT],
        ]
        self._handles = [block.register_forward_hook(self._after) for block in blocks]

    @contextmanager
    def recording(self) -> Iterator[None]:
        """While the reference's row runs."""
        self._recording = True
        try:
            yield
        finally:
            self._recording = False

    def remove(self) -> None:
        """Takes the hooks away."""
        for handle in self._handles:
            handle.remove()

    def _after(self, module: nn.Module, args: tuple, output: Tensor) -> Tensor | None:
        mean, spread = moments(output, (2, 3))
        if self._recording:
            self._known[module] = mean, spread
            return None
        if module not in self._known:  # outside the window
            return None
        wanted_mean, wanted_spread = self._known.pop(module)
        return (output - mean) / spread * wanted_spread + wanted_mean


def moments(features: Tensor, over: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation over some dimensions, which are kept with size 1."""
    variance, mean = torch.var_mean(features, dim=over, keepdim=True, correction=0)
    return mean, (variance + 1e-6).sqrt()
