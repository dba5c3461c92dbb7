"""What attention layers are given, for tests that look inside."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn

from .site import Site


def site_inputs(sites: Sequence[Site], rows: int, call: Callable[[], Any]) -> dict[str, Tensor]:
    """The tokens (B, N, C) that each site gets in a call, in float32; of a transformer those of the
    picture and of the text that its block gets.

    Args:
        rows: B; calls with another number are a reference's own.
        call: makes the call.
    """
    seen: dict[str, Tensor] = {}

    def keep(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            given = [each for each in (*args, *kwargs.values())
                     if isinstance(each, Tensor) and each.dim() == 3]  # fmt: skip
            if given and given[0].shape[0] == rows:
                seen[name] = torch.cat([each.detach().float() for each in given], 1)

        return hook

    with ExitStack() as stack:
        for site in sites:
            module = getattr(site.module, "to_q", site.module)
            handle = module.register_forward_pre_hook(keep(site.name), with_kwargs=True)
            stack.callback(handle.remove)
        call()
    return seen
