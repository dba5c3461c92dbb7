"""What every training stage shares: a resumable state file, a clock and a log."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

RUNS = Path(__file__).parents[1] / "runs"
SAVE_EVERY = 120.0  # seconds

log = logging.getLogger("training")


def device() -> torch.device:
    """The GPU if there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def on_gpu(value: int, otherwise: int) -> int:
    """A batch size that depends on the device."""
    return value if device().type == "cuda" else otherwise


def autocast() -> contextlib.AbstractContextManager:
    """bfloat16 where it is safe, on either kind of device."""
    return torch.autocast(device().type, torch.bfloat16)


class Stage:
    """One stage's progress in wall-clock seconds, across interruptions.

    Args:
        name: names the state file.
        minutes: the stage's budget; learning rates follow its share that is spent.
        parts: what to save: objects with state_dict and load_state_dict.
    """

    def __init__(self, name: str, minutes: float, **parts: Any) -> None:
        self.path, self.budget, self.parts = RUNS / f"{name}.pt", minutes * 60, parts
        self.seconds, self.step = 0.0, 0
        if self.path.exists():
            self._load()
        self._started = self._saved = time.monotonic()
        self._before = self.seconds

    @property
    def progress(self) -> float:
        """Share of the budget that is spent, 0 to 1."""
        return min(self.seconds / self.budget, 1.0)

    def steps(self) -> Iterator[int]:
        """Step numbers until the budget is spent; saves now and then, and at the end."""
        while self.seconds < self.budget:
            yield self.step
            self.step += 1
            now = time.monotonic()
            self.seconds = self._before + now - self._started
            if now - self._saved > SAVE_EVERY:
                self.save()
                self._saved = now
        self.save()

    def save(self) -> None:
        """Writes the state, whole or not at all."""
        RUNS.mkdir(exist_ok=True)
        state = {name: part.state_dict() for name, part in self.parts.items()}
        half = self.path.with_suffix(".half")
        torch.save({"seconds": self.seconds, "step": self.step, "parts": state}, half)
        half.replace(self.path)

    def _load(self) -> None:
        state = torch.load(self.path, map_location=device(), weights_only=True)
        self.seconds, self.step = state["seconds"], state["step"]
        for name, part in self.parts.items():
            part.load_state_dict(state["parts"][name])
        log.info("%s: resumed at step %d, %.0f s", self.path.stem, self.step, self.seconds)


def learning_rate(
    optimizer: torch.optim.Optimizer, peak: float, step: int, progress: float
) -> None:
    """Linear warm-up over 200 steps, then linear decay to nothing at the end of the budget.

    A parameter group's `scale`, where it has one, multiplies its rate.
    """
    rate = peak * min(1.0, (step + 1) / 200) * max(1 - progress, 0.02)
    for group in optimizer.param_groups:
        group["lr"] = rate * group.get("scale", 1.0)
