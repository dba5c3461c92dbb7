"""What a pass is made of: the reference as the model sees it, and the plan."""

from __future__ import annotations

import logging
import math
from dataclasses import replace
from typing import Any

import torch
from modules import devices, shared
from torch import Tensor

from ..core.kept import Kept
from ..core.mask import TokenMask
from ..core.memory import size_that_fits
from ..core.own import Own
from ..core.plan import Plan
from ..core.reference import Conditioning, Reference
from ..core.schedule import Window
from ..core.sites import Site
from ..core.source import Source
from ..errors import LafiError, invalid
from ..hosts.base import Host
from ..regions import Region
from ..settings import LafiSettings
from . import kept, series
from .fitting import Crop, Fitted, fit_picture, fitted_size
from .images import CELL, Picture
from .progress import show_progress
from .series import Part, Pass
from .views import View, part_made

log = logging.getLogger("LAFI")
# What reports call the first picture, where others have their hash.
OWN = "own"
# What is recorded for later panels alone.
RECORDED = "recorded"

# Errors of a mask: merged tokens have no place in it, or nothing of it is left.
MISFITS = ("mask_does_not_fit", "mask_empty")
# Why a region has nothing to act in.
OUTSIDE = "lies outside the part that is made"
TOO_SMALL = "is too small: no latent cell (8x8 pixels) lies in it"


class Material:
    """Of one run.

    Args:
        p: the host's request.
        settings: of the run.
        characters: the pictures of each.
        anchored: whether the first picture that is made is a reference of the others.
        part: of the request in a storyboard.

    Attributes:
        own: of each pass whose reference is a panel, whether what that left while it was made
            serves, or why it does not.
        size: side of the references against the picture's, in the latest pass.
        crops: what the latest size cut away of each.
        firsts: the first picture that is made, by checkpoint, size and pass, once it is.
    """

    def __init__(
        self,
        p: Any,
        settings: LafiSettings,
        characters: list[list[View]],
        anchored: bool,
        part: Part | None = None,
    ) -> None:
        self.p, self.settings, self.characters, self.anchored = p, settings, characters, anchored
        self.crops = [Crop() for _ in self.views]
        self._unmasked = False
        # A run's text encoder changes with the model and with the networks that a prompt names.
        self._texts: dict[tuple, Conditioning] = {}
        self._told: set[tuple] = set()
        self.size = 1.0
        self.firsts: dict[tuple, tuple[int, Kept]] = {}
        self.part = Part(p) if part is None else part
        self.own: dict[str, str] = {}

    @property
    def injects(self) -> bool:
        """Whether any picture sees a reference; else the one that is made is recorded alone."""
        return bool(self.characters) or self.anchored

    @property
    def views(self) -> list[View]:
        """All pictures."""
        return [view for each in self.characters for view in each]

    @property
    def hashes(self) -> list[list[str]]:
        """Of the pictures of each character."""
        return [[view.picture.hash for view in each] for each in self.characters]

    def acts_here(self) -> bool:
        """Whether any of it acts in the part of the picture that is made."""
        size = (self.p.height // CELL, self.p.width // CELL)
        seen = [view.character for view in self.views if view.character.strength]
        return self.anchored or not all(self._misses(each.region, *size) for each in seen)

    def _misses(self, region: Region | None, height: int, width: int) -> str:
        """Why a reference does not act at a latent size; empty where it does."""
        if region is None:
            return ""
        place = region.within(part_made(self.p))
        if place is None:
            return OUTSIDE
        return "" if any(map(any, place.cells(height, width))) else TOO_SMALL

    def sources(self, host: Host, height: int, width: int) -> dict[int | str, Source]:
        """What a pass at a latent size sees, for the model that is loaded now: by the number of the
        picture, `OWN`, or `RECORDED`.

        Raises:
            LafiError: naming a region, where no reference acts in the part that is made.
        """
        sources: dict[int | str, Source] = {}
        problems: dict[str, str] = {}
        for index, view in enumerate(self.views):
            character, region = view.character, view.character.region
            if not character.strength:
                continue
            if why := self._misses(region, height, width):
                problems[f"{character.where}region"] = why
                log.info("%sregion %s.", character.where, why)
                continue
            region = self._place(index)
            own = None if index else self._earlier(host, height, width)
            reference = own or self._reference(index, host, height, width)
            sources[index] = Source(reference, character.strength, region, view.picture.hash)
        if self.anchored:
            sources[OWN] = self._first_picture(host, height, width)
        if problems and not sources:
            field, why = next(iter(problems.items()))
            raise invalid(field, f"{why}, so nothing is injected")
        trace = self.part.records
        if trace is not None:
            tokens = trace.begin(self._now(host, height, width), self.settings)
            recorded = Own(host.schedule(), kept=tokens, alone=True, both=trace.both)
            sources[RECORDED] = Source(recorded, name=OWN)
        return sources

    def _now(self, host: Host, height: int, width: int) -> Pass:
        return Pass.of(self.p, host.model_key(), (height, width))

    def _earlier(self, host: Host, height: int, width: int) -> Own | None:
        """The panel that is the reference, as it was recorded while it was made; None where that
        does not serve: its picture is then the reference, as any other."""
        trace, view = self.part.sees, self.views[0]
        if trace is None:
            return None
        now = self._now(host, height, width)
        why = series.REGION if view.character.region else series.SMALLER if self.size < 1 else ""
        found = why or trace.find(now, self.settings)
        told = found if isinstance(found, str) else series.USED
        self.own["hires" if now.hires else "first"] = told
        if isinstance(found, str):
            log.info("the reference is recorded from the panel's picture: %s.", told)
            return None
        return Own(host.schedule(), False, found, mask=self._mask(0, width * CELL, height * CELL))

    def _first_picture(self, host: Host, height: int, width: int) -> Source:
        """The first picture of all, as this batch sees it: beside itself, or as it was kept."""
        # Not by `model_key`: hosts may read the same checkpoint anew for each batch.
        key = (host.checkpoint(), height, width, getattr(self.p, "is_hr_pass", False))
        batch = getattr(self.p, "iteration", 0)
        first, tokens = self.firsts.setdefault(key, (batch, Kept()))
        own = Own(host.schedule(), batch == first, tokens if self.p.n_iter > 1 else None)
        return Source(own, self.settings.strength, name=OWN)

    def skipped(self) -> None:
        """A picture that came to no end is no reference: the next one takes its place. One of a
        later batch leaves the first as it is."""
        batch = getattr(self.p, "iteration", 0)
        for key in [key for key, (first, _) in self.firsts.items() if first == batch]:
            del self.firsts[key]

    def _reference(self, index: int, host: Host, height: int, width: int) -> Reference:
        settings, picture = self.settings, self.views[index].picture
        size = self._shown(index, height, width)
        fitted = self._fitted(index, *size)
        key = self._key(host, picture, fitted)
        z0 = kept.latents.get(key, lambda: host.encode(fitted.pixels))
        seed = picture.seed if settings.noise_seed == -1 else settings.noise_seed
        return Reference(
            z0,
            # On the CPU: the same on every machine, and the host's generators stay untouched.
            torch.randn(z0.shape, generator=torch.Generator().manual_seed(seed)),
            self._conditioning(index, host, z0, (width * CELL, height * CELL)),
            host.schedule(),
            host.prediction(),
            self._mask(index, *size),
        )

    def _shown(self, index: int, height: int, width: int) -> tuple[int, int]:
        """Width and height, in pixels, at which a pass of a latent size shows a picture."""
        picture, sides = self.views[index].picture, (width * CELL, height * CELL)
        return fitted_size(picture, *sides, self.settings.fit, self.size, self._place(index))

    def _place(self, index: int) -> Region | None:
        """Where a picture acts in the part that is made; None for everywhere."""
        region = self.views[index].character.region
        return region and region.within(part_made(self.p))

    def _mask(self, index: int, width: int, height: int) -> TokenMask | None:
        """Which tokens of a picture are seen; None for all."""
        if self._unmasked and not self.views[index].mask_given:
            return None
        mask = self._fitted(index, width, height).mask
        return None if mask is None else self.views[index].picture.token_mask(mask)

    def needs_no_mask(self, error: BaseException) -> bool:
        """Whether an error may be that of a mask which nobody gave: a figure that was cut out, or
        the border of a padded picture."""
        masked = not self._unmasked and not all(view.mask_given for view in self.views)
        return masked and isinstance(error, LafiError) and error.code in MISFITS

    def unmask(self) -> None:
        """Goes with the masks alone that were given from now on."""
        self._unmasked = True
        self.characters = [
            [view if view.mask_given else replace(view, picture=view.picture.whole())
             for view in each]
            for each in self.characters
        ]  # fmt: skip

    def _fitted(self, index: int, width: int, height: int) -> Fitted:
        """A picture at a size in pixels; says once what that cuts away."""
        fitted = fit_picture(self.views[index].picture, width, height, self.settings.fit)
        size = (index, width, height)
        if size not in self._told and (cut := fitted.crop.describe()):
            number = f" {index + 1}" if len(self.views) > 1 else ""
            log.info("at %dx%d, %s.", width, height, cut.replace("reference", "reference" + number))
        self._told.add(size)
        self.crops[index] = fitted.crop
        return fitted

    def _conditioning(
        self, index: int, host: Host, z0: Tensor, sides: tuple[int, int]
    ) -> Conditioning:
        """As the picture of these sides is told: SDXL takes a smaller size for a poorer picture."""
        prompt = self.views[index].character.prompt
        # Of each picture: models for inpainting read it beside the text.
        reader = (index, host.model_key(), z0.shape, sides, series.networks(self.p))
        if reader not in self._texts:
            self._texts[reader] = host.conditioning(prompt, *sides, z0)
        return self._texts[reader]

    def _key(self, host: Host, picture: Picture, fitted: Fitted) -> tuple:
        """Everything that decides the latent."""
        return (
            host.model_key(),
            *(picture.hash, picture.pixels.size, self.settings.fit),
            tuple(fitted.pixels.shape),
            *(getattr(shared.opts, "sd_vae_encode_method", None), devices.dtype_vae),
            getattr(self.p, "tiling", None),
        )

    def fit_memory(self, needed: int, available: int, height: int, width: int) -> None:
        """Chooses how large references are shown: as the user wants, or smaller if they would not
        fit. By all that a device has, so that a request gives the same picture whenever it is made.

        Args:
            needed: bytes of a recording of the picture's own size.
            available: bytes of the device; 0 where nobody knows.
            height, width: of the picture's latent.
        """
        self.size, wanted = 1.0, self.settings.reference_size / 100
        full = math.ceil(needed * self.share(height, width))
        self.size = size_that_fits(wanted, full, available)
        if self.size < wanted:
            log.warning("the reference is shown at %.0f %% of its size: its recordings would take "
                        "%.1f GiB.", 100 * self.size, full * wanted**2 / 2**30)  # fmt: skip

    def share(self, height: int, width: int) -> float:
        """How large all pictures together are shown, against the new one; an anchor is as large."""
        areas = [math.prod(self._shown(index, height, width)) for index in range(len(self.views))]
        return sum(areas) / (height * width * CELL**2) or 1.0

    def plan(self, host: Host, sites: tuple[Site, ...], size: tuple[int, int]) -> Plan:
        """What to do at some sites, in a pass at a latent size."""
        settings = self.settings
        return Plan(
            sites,
            Window(settings.start, settings.cutoff),
            settings.stream,
            fidelity=settings.fidelity,
            refresh=settings.refresh,
            fused=kept.fused(),
            position=settings.position,
            size=size,
            context_hook=host.context_hook(),
            upcast=host.upcast_attention(),
            progress=show_progress,
        )
