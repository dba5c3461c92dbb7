"""Finds the host by what it can do, when a picture is made."""

from __future__ import annotations

import importlib.util
import re

import torch

from ..errors import LafiError
from .base import Host

# The first with hooks that are called after an error too, and with a scale for attention.
OLDEST_TORCH = (2, 1)


def find_host() -> Host:
    """The adapter for the WebUI that runs, whether it has loaded a model yet or not.

    Raises:
        LafiError: `unsupported_host` or `unsupported_torch`.
    """
    from modules import sd_samplers_common

    _check_torch()
    if not hasattr(getattr(sd_samplers_common, "Sampler", None), "launch_sampling"):
        raise LafiError(
            "unsupported_host",
            "this WebUI does not sample the way AUTOMATIC1111's does.",
            "LAFI runs on AUTOMATIC1111 1.8 to 1.10 and on Forge, reForge, Forge Classic and Forge "
            "Neo.",
        )
    if _is_forge():
        from .forge import ForgeHost

        return ForgeHost()
    from .a1111 import A1111Host

    return A1111Host()


def _check_torch() -> None:
    version = torch.__version__
    if tuple(map(int, re.findall(r"\d+", version)[:2])) < OLDEST_TORCH:
        oldest = ".".join(map(str, OLDEST_TORCH))
        raise LafiError(
            "unsupported_torch",
            f"this WebUI runs on torch {version}; LAFI needs {oldest} or later.",
            "Update torch, or switch LAFI off.",
        )


def _is_forge() -> bool:
    """Before a first picture no model tells; this package does, which the whole family has."""
    from modules.sd_models import model_data

    if hasattr(getattr(model_data, "sd_model", None), "forge_objects"):
        return True
    return importlib.util.find_spec("modules_forge") is not None
