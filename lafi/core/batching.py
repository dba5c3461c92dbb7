"""Whether the reference goes through the UNet as one more row of the picture's own batch, or by
itself: by itself is less work (it ends at its last recorded site), one more row is fewer kernels.

Which is faster depends on the GPU, so it can be measured there, once for each kind of call. The
trials' answers are thrown away: the evaluation that measured is then made like all others, so that
the same request gives the same picture.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .memory import out_of_memory
from .reference import Conditioning

# One row more must be this much faster: it needs more memory, and clocks are noisy.
MARGIN = 0.97
# Elsewhere less work is less time.
MEASURED = ("cuda",)


@dataclass(frozen=True)
class Call:
    """A call of the UNet: its positional and keyword arguments."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    @property
    def x(self) -> Tensor:
        """(B, C, h, w) the rows."""
        x: Tensor = self.args[0]
        return x

    @property
    def timesteps(self) -> Tensor:
        """(B,) as the UNet reads them."""
        found: Tensor = self.args[1] if len(self.args) > 1 else self.kwargs["timesteps"]
        return found

    @property
    def context(self) -> Tensor | None:
        """(B, L, D) the text, where it is given by name."""
        return self.kwargs.get("context")

    @property
    def guidance(self) -> float | None:
        """Where the network reads the guidance instead of being called twice for it."""
        found = self.kwargs.get("guidance")
        return float(found[0]) if isinstance(found, Tensor) else None


class Batching:
    """Measures, and remembers what was faster while the process lives."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._fused: dict[Hashable, bool] = {}

    def fuses(
        self,
        key: Hashable,
        device: torch.device,
        separate: Callable[[], object],
        fused: Callable[[], object],
    ) -> bool:
        """Whether one batch is faster.

        Args:
            key: everything that decides how long the two take.
            separate, fused: one evaluation each way.
        """
        if device.type not in MEASURED:
            return False
        if key not in self._fused:
            limit = MARGIN * self._seconds(separate, device)
            try:
                self._fused[key] = self._seconds(fused, device) < limit
            except RuntimeError as error:
                if not out_of_memory(error):
                    raise
                self._fused[key] = False
        return self._fused[key]

    def avoid(self, key: Hashable) -> None:
        """From now on separate: one batch failed, for want of memory as a rule."""
        self._fused[key] = False

    def _seconds(self, evaluate: Callable[[], object], device: torch.device) -> float:
        evaluate()  # warms up: kernels are chosen and memory is taken
        _wait(device)
        begun = self._clock()
        evaluate()
        _wait(device)
        return self._clock() - begun


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def accepts_row(call: Call, conditioning: Conditioning) -> bool:
    """Whether a UNet call is one that `add_row` can extend: not if it is handed more than that."""
    kwargs, context = call.kwargs, call.kwargs.get("context")
    return (
        len(call.args) <= 2
        and context is not None
        and set(kwargs) <= {"timesteps", "context", "y"}
        and context.shape[1] % conditioning.context.shape[1] == 0
        and (kwargs.get("y") is None) == (conditioning.vector is None)
    )


def add_row(call: Call, row: Tensor, timestep: Tensor, conditioning: Conditioning) -> Call:
    """A UNet call with one more row at its end.

    Args:
        call: x (B, C, h, w), timesteps (B,), context (B, L, D), y (B, A) where it is.
        row: (1, C, h, w) the new row's input.
        timestep: (1,) where it is; whole or not.
        conditioning: what it reads beside it.
    """
    extended = dict(call.kwargs)
    context = extended["context"]
    # A repeated context is the same context: its keys cancel in the softmax as well.
    times = context.shape[1] // conditioning.context.shape[1]
    row_context = conditioning.context.to(context).repeat(1, times, 1)
    extended["context"] = torch.cat([context, row_context])
    if conditioning.vector is not None:
        extended["y"] = torch.cat([extended["y"], conditioning.vector.to(extended["y"])])
    timesteps = torch.cat([call.timesteps, timestep])
    if "timesteps" in extended:
        extended["timesteps"] = timesteps
    return Call((torch.cat([call.x, row]), timesteps)[: len(call.args)], extended)
