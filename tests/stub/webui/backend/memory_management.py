"""Which models are on the GPU."""

from __future__ import annotations

from typing import Any

# What was asked for, in order.
loaded: list[Any] = []


def load_model_gpu(model: Any) -> None:
    """Brings a model to the GPU."""
    loaded.append(model)
