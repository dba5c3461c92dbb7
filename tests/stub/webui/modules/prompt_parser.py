"""From prompts to conditioning."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class SdConditioning(list[str]):
    """Prompts and the picture's size."""

    def __init__(
        self,
        prompts: Sequence[str],
        is_negative_prompt: bool = False,
        width: int | None = None,
        height: int | None = None,
    ) -> None:
        super().__init__(prompts)
        self.width, self.height = width, height


def get_learned_conditioning(model: Any, prompts: Sequence[str], steps: int) -> Any:
    """A schedule of conditionings; here the same one for all steps."""
    return model.get_learned_conditioning(prompts)


def reconstruct_cond_batch(c: Any, current_step: int) -> Any:
    """The conditioning of a step."""
    return c
