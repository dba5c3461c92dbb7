"""What a pass is made of: the reference as the model sees it, and the plan."""

from __future__ import annotations

import logging
from typing import Any

import torch
from modules import devices, shared
from modules.sd_samplers_common import InterruptedException

from ..core.mask import TokenMask
from ..core.plan import Plan
from ..core.reference import Conditioning, Reference
from ..core.schedule import Window
from ..core.sites import Site
from ..errors import LafiError
from ..hosts.base import Host
from ..settings import LafiSettings
from . import kept
from .images import CELL, Crop, Fitted, Picture, fit_picture

log = logging.getLogger("LAFI")

# Errors of a mask: merged tokens have no place in it, or nothing of it is left.
MISFITS = ("mask_does_not_fit", "mask_empty")


class Material:
    """Of one run.

    Args:
        p: the host's request.
        settings: of the run.
        picture: the reference.

    Attributes:
        crop: what the latest size cut away.
    """

    def __init__(self, p: Any, settings: LafiSettings, picture: Picture) -> None:
        self.p, self.settings, self.picture = p, settings, picture
        self.crop = Crop()
        self._unmasked = False
        # A run's text encoder changes with the model and with the networks that a prompt names.
        self._texts: dict[tuple, Conditioning] = {}

    def reference(self, host: Host, height: int, width: int) -> Reference:
        """The reference at a latent size, for the model that is loaded now."""
        settings, picture = self.settings, self.picture
        fitted = fit_picture(picture, width * CELL, height * CELL, settings.fit)
        self.crop = fitted.crop
        z0 = kept.latents.get(self._key(host, fitted), lambda: host.encode(fitted.pixels))
        seed = picture.seed if settings.noise_seed == -1 else settings.noise_seed
        # On the CPU: the same noise on every machine, and the host's generators stay untouched.
        noise = torch.randn(z0.shape, generator=torch.Generator().manual_seed(seed))
        reader = (host.model_key(), height, width, _networks(self.p))
        if reader not in self._texts:
            size = (width * CELL, height * CELL)
            if cut := fitted.crop.describe():
                log.info("at %dx%d, %s.", *size, cut)
            self._texts[reader] = host.conditioning(settings.prompt, *size, z0)
        return Reference(
            z0,
            noise,
            self._texts[reader],
            host.schedule(),
            host.prediction(),
            None if self._unmasked or fitted.mask is None else TokenMask(fitted.mask),
        )

    def needs_no_mask(self, error: BaseException) -> bool:
        """Whether an error is that of a mask which nobody gave: a figure that was cut out, or the
        border of a padded picture."""
        given = self.picture.mask is not None and self.picture.figure is None
        masked = not given and not self._unmasked
        return masked and isinstance(error, LafiError) and error.code in MISFITS

    def unmask(self) -> None:
        """Goes without a mask from now on."""
        self._unmasked = True
        self.picture = self.picture.whole()

    def _key(self, host: Host, fitted: Fitted) -> tuple:
        """Everything that decides the latent."""
        return (
            host.model_key(),
            *(self.picture.hash, self.picture.pixels.size, self.settings.fit),
            tuple(fitted.pixels.shape),
            *(getattr(shared.opts, "sd_vae_encode_method", None), devices.dtype_vae),
            getattr(self.p, "tiling", None),
        )

    def plan(self, host: Host, sites: tuple[Site, ...]) -> Plan:
        """What to do at some sites."""
        settings = self.settings
        return Plan(
            sites,
            Window(settings.start, settings.cutoff),
            settings.stream,
            fidelity=settings.fidelity,
            refresh=settings.refresh,
            fused=kept.fused(),
            context_hook=host.context_hook(),
            upcast=host.upcast_attention(),
            progress=show_progress,
        )


def show_progress(done: int, total: int) -> None:
    """Tells of a reference stream that takes long by itself, and ends it when the user wants.

    Raises:
        InterruptedException: as the host ends a pass.
    """
    state = shared.state
    stopped = state.interrupted or state.skipped
    over = stopped or done == total
    state.textinfo = None if over else f"LAFI: the reference's path, {done} of {total}"
    if stopped:
        raise InterruptedException


def _networks(p: Any) -> tuple:
    """The networks that the prompt of this pass names, as the host has parsed them."""
    hires = getattr(p, "is_hr_pass", False)
    data = getattr(p, "hr_extra_network_data" if hires else "extra_network_data", None) or {}
    named = {kind: [each.items for each in each_kind] for kind, each_kind in data.items()}
    return tuple((kind, repr(named[kind])) for kind in sorted(named))
