"""AUTOMATIC1111 WebUI 1.8 to 1.10: ldm and sgm UNets behind the WebUI's own attention."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from modules import launch_utils, sd_hijack, sd_unet, shared
from modules.hypernetworks import hypernetwork
from torch import Tensor, nn

from ..core.session import RowKinds
from ..core.stream import NoiseSchedule
from ..errors import LafiError
from .webui import WebUIHost


class A1111Host(WebUIHost):
    """See `lafi.hosts.base.Host`."""

    @property
    def name(self) -> str:
        return f"A1111 {launch_utils.git_tag()}"

    def unet(self) -> nn.Module:
        if sd_unet.current_unet is not None:
            raise LafiError(
                "unsupported_unet",
                f"the UNet is replaced by {sd_unet.current_unet.option.label}.",
                "Set SD Unet to None in the settings, or switch LAFI off.",
            )
        return self.model().model.diffusion_model

    def model_key(self) -> tuple:
        from modules import sd_vae

        model = self.model()
        return (id(self.unet()), model.sd_model_hash, sd_vae.loaded_vae_file)

    def identity(self) -> tuple:
        # Networks are merged into the weights when a layer first runs, too late for a look at them.
        networks = getattr(sys.modules.get("networks"), "loaded_networks", ())
        loaded = tuple(
            (net.name, net.unet_multiplier, net.dyn_dim, getattr(net, "mtime", None))
            for net in networks
        )
        hypernetworks = tuple(map(_hypernetwork_key, shared.loaded_hypernetworks))
        optimizer = sd_hijack.model_hijack.optimization_method
        return (*super().identity(), loaded, hypernetworks, optimizer, self.upcast_attention())

    def prediction(self) -> str:
        return self.model().parameterization

    def schedule(self) -> NoiseSchedule:
        return NoiseSchedule(self.model().alphas_cumprod)

    def sigma(self, denoiser: Any, level: Tensor) -> float:
        highest = float(level.max())
        # Samplers of the timestep family (DDIM, PLMS, UniPC) hand over timesteps.
        if hasattr(denoiser.inner_model, "sigmas"):
            return highest
        return self.schedule().sigma(highest)

    def row_kinds(self, conds: int) -> RowKinds:
        # One evaluation may be split over several calls, but rows keep their order: cond rows of
        # all pictures first, then uncond rows.
        seen = 0

        def kinds(rows: int, kwargs: dict) -> list[bool]:
            nonlocal seen
            first, seen = seen, seen + rows
            return [row < conds for row in range(first, seen)]

        return kinds

    def context_hook(self) -> Callable[[Tensor], tuple[Tensor, Tensor]] | None:
        loaded = shared.loaded_hypernetworks
        if not loaded:
            return None
        return lambda context: hypernetwork.apply_hypernetworks(loaded, context)


def _hypernetwork_key(network: hypernetwork.Hypernetwork) -> tuple:
    multipliers = {module.multiplier for pair in network.layers.values() for module in pair}
    return (network.name, network.filename, *sorted(multipliers))
