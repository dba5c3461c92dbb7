"""Devices and precision."""

from __future__ import annotations

import contextlib
from contextlib import AbstractContextManager

import torch

device = torch.device("cpu")
dtype_vae = torch.float32
unet_needs_upcast = False


def autocast(disable: bool = False) -> AbstractContextManager[None]:
    """On a CPU nothing."""
    return contextlib.nullcontext()


def without_autocast(disable: bool = False) -> AbstractContextManager[None]:
    """On a CPU nothing."""
    return contextlib.nullcontext()
