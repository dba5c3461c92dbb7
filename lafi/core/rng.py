"""Random numbers for others' code that draws from the global generators."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch


@contextmanager
def seeded(device: torch.device, seed: int = 0) -> Iterator[None]:
    """Inside, the global generators of the CPU and of `device` draw from `seed`; after it all are
    as they were, and no other device's is touched (`torch.manual_seed` would seed them all)."""
    with ExitStack() as stack:
        before = torch.get_rng_state()
        stack.callback(torch.set_rng_state, before)
        torch.default_generator.manual_seed(seed)
        if device.type != "cpu":
            _seed(device, seed, stack)
        yield


def _seed(device: torch.device, seed: int, stack: ExitStack) -> None:
    backend: Any = getattr(torch, device.type, None)
    if not hasattr(backend, "get_rng_state"):  # DirectML draws on the CPU
        return
    # MPS has one device and one generator.
    where = () if device.type == "mps" else (device,)
    state = backend.get_rng_state(*where)
    stack.callback(lambda: backend.set_rng_state(state, *where))
    # A seed is set in the current device.
    context = stack.enter_context(ExitStack())
    if where:
        context.enter_context(backend.device(device))
    backend.manual_seed(seed)
