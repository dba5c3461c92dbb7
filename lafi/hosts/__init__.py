"""Finds the host by what it can do, when a picture is made."""

from __future__ import annotations

from ..errors import LafiError
from .base import Host


def find_host() -> Host:
    """The adapter for the WebUI that runs.

    Raises:
        LafiError: `unsupported_host` or `no_model`.
    """
    from modules import sd_samplers_common
    from modules.sd_models import model_data

    if not hasattr(getattr(sd_samplers_common, "Sampler", None), "launch_sampling"):
        raise LafiError(
            "unsupported_host",
            "this WebUI does not sample the way AUTOMATIC1111's does.",
            "LAFI runs on AUTOMATIC1111 1.8 to 1.10 and on Forge, reForge and Forge Classic.",
        )
    model = getattr(model_data, "sd_model", None)
    if hasattr(model, "forge_objects"):
        from .forge import ForgeHost

        return ForgeHost()
    from .a1111 import A1111Host

    return A1111Host()
