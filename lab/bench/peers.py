"""What other reference methods do in each evaluation, restated from their published code's scheme.

Only the work is restated, for a fair cost beside ours; pictures are not compared.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack

import torch
from torch import Tensor, nn

from lafi.core.levels import scale_input
from lafi.core.sites import find_sites


class FullBatchReference:
    """ControlNet's reference_only: the reference goes through the whole UNet in as many rows as the
    target has, with fresh noise in each evaluation; every self-attention layer gets its tokens.

    Args:
        z0: (1, C, h, w) the reference.
    """

    def __init__(self, unet: nn.Module, z0: Tensor) -> None:
        self.unet, self.z0 = unet, z0
        self.sites = find_sites(unet)

    def evaluate(self, call: Callable[[Tensor], Tensor], x: Tensor, sigma: float) -> Tensor:
        """One evaluation; `call` runs the UNet on (B, C, h, w)."""
        tokens: dict[str, Tensor] = {}
        noised = self.z0.to(x) + sigma * torch.randn_like(x)
        with self._hooks(lambda name, given: tokens.__setitem__(name, given)):
            call(scale_input(noised, sigma))

        def extended(name: str, given: Tensor) -> dict[str, Tensor]:
            return {"context": torch.cat([given, tokens[name]], 1)}

        with self._hooks(extended):
            return call(x)

    def _hooks(self, act: Callable[[str, Tensor], dict[str, Tensor] | None]) -> ExitStack:
        stack = ExitStack()
        for site in self.sites:

            def hook(
                module: nn.Module, args: tuple, kwargs: dict, name: str = site.name
            ) -> tuple[tuple, dict]:
                return args, {**kwargs, **(act(name, args[0]) or {})}

            handle = site.module.register_forward_pre_hook(hook, with_kwargs=True)
            stack.callback(handle.remove)
        return stack
