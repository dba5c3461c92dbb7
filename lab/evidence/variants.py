"""Ideas of other methods, as hooks beside LAFI's own: AdaIN of features and of reference keys, and
random choices of tokens."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from lafi.core.mask import TokenMask
from lafi.core.sites import Site

# As ControlNet's reference_adain has it: the middle, and all blocks but the finest ones.
FIRST_INPUT, LAST_OUTPUT = 4, 8


@dataclass
class RandomTokens:
    """Keeps a random share of the tokens, drawn anew in every call (StoryDiffusion, ConsiStory).

    Attributes:
        within: chooses before; None for all tokens.
    """

    rate: float
    within: TokenMask | None = None
    mask = None  # what a recording's key would ask of a token mask
    generator: torch.Generator = field(default_factory=lambda: torch.Generator().manual_seed(0))

    def __call__(self, tokens: Tensor, size: tuple[int, int] | None = None) -> Tensor:
        """(1, N, C) to (1, M, C)."""
        tokens = tokens if self.within is None else self.within(tokens)
        kept = max(1, round(self.rate * tokens.shape[1]))
        order = torch.randperm(tokens.shape[1], generator=self.generator)[:kept]
        return tokens[:, order.to(tokens.device)]


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
        mean, spread = _moments(output, (2, 3))
        if self._recording:
            self._known[module] = mean, spread
            return None
        if module not in self._known:  # outside the window
            return None
        wanted_mean, wanted_spread = self._known.pop(module)
        return (output - mean) / spread * wanted_spread + wanted_mean


@contextmanager
def keys_adain(sites: tuple[Site, ...]) -> Iterator[None]:
    """Gives the reference's keys the target's own mean and spread (StyleAligned, section 3.2).

    For one evaluation: the hooks read what LAFI's, which are there already, have appended.
    """
    handles = [site.module.to_k.register_forward_hook(_normalise) for site in sites]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _normalise(module: nn.Module, args: tuple, output: Tensor) -> Tensor | None:
    own = args[0].shape[1]
    if output.shape[1] == own:  # nothing was appended
        return None
    mean, spread = _moments(output[:, :own], (1,))
    reference_mean, reference_spread = _moments(output[:, own:], (1,))
    keys = (output[:, own:] - reference_mean) / reference_spread * spread + mean
    return torch.cat([output[:, :own], keys], 1)


def _moments(features: Tensor, over: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    variance, mean = torch.var_mean(features, dim=over, keepdim=True, correction=0)
    return mean, (variance + 1e-6).sqrt()
