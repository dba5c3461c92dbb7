"""Panels one after the other: what one has left while it was made is the reference of later ones.

The storyboard gives each panel its part; the run finds it here.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from ..core.kept import Kept
from ..core.replay.bank import Bank
from ..settings import LafiSettings

ATTRIBUTE = "lafi_series"
# What reports say where recordings serve, and why they do not.
USED = "used"
NOT_RECORDED = "it was not recorded while it was made"
REGION = "it acts in a region"
SMALLER = "it is seen smaller (Reference size)"
# What may differ between two passes.
OTHER = {
    "model": "another model",
    "size": "another size",
    "denoising": "another denoising strength",
    "networks": "other networks in the prompt",
}


class Pass(NamedTuple):
    """What must be alike in two passes for one to see what the other has left.

    Attributes:
        model: weights, VAE and UNet.
        size: height and width of the latent.
        denoising: where it begins, if from a picture.
        networks: those that the prompt names.
    """

    model: tuple
    size: tuple[int, int]
    hires: bool
    denoising: float | None
    networks: tuple

    @classmethod
    def of(cls, p: Any, model: tuple, size: tuple[int, int]) -> Pass:
        """The pass of this moment."""
        hires = getattr(p, "is_hr_pass", False)
        started = hires or hasattr(p, "init_images")
        denoising = p.denoising_strength if started else None
        # Characters are references, and change nothing of the model.
        others = tuple(each for each in networks(p) if each[0].lower() != "lafi")
        return cls(model, size, hires, denoising, others)


class Trace:
    """What one panel leaves while it is made.

    Args:
        asked: the settings of all that may see it, taken together.
        bank: makes room for one pass.
        lacks: why nothing is recorded; empty where it is.
    """

    def __init__(self, asked: LafiSettings, bank: Callable[[], Bank], lacks: str = "") -> None:
        self.asked, self.lacks, self._bank = asked, lacks, bank
        self._passes: dict[Pass, tuple[LafiSettings, Kept]] = {}

    @property
    def both(self) -> bool:
        """Whether uncond rows are to be recorded as well."""
        return self.asked.fidelity < 1

    def begin(self, now: Pass, settings: LafiSettings) -> Kept:
        """Where a pass leaves its tokens.

        Args:
            settings: its own, which say at which layers and levels.
        """
        found = self._passes.setdefault(now, (settings, Kept(self._bank())))
        return found[1]

    def find(self, now: Pass, settings: LafiSettings) -> Kept | str:
        """What a pass with some settings may see of it, or why it can see nothing."""
        alike = [each for each in self._passes if each.hires == now.hires]
        if not alike:
            return self.lacks or NOT_RECORDED
        if now not in self._passes:
            names = [name for name in OTHER if getattr(alike[-1], name) != getattr(now, name)]
            return "it was made with " + " and ".join(OTHER[name] for name in names)
        made, kept = self._passes[now]
        return kept.lacks or self._too_little(made, settings) or kept

    def _too_little(self, made: LafiSettings, wanted: LafiSettings) -> str:
        deeper = wanted.layers == "all" or wanted.depth > made.depth
        if deeper and made.layers != "all":
            return "it was recorded in fewer layers"
        if wanted.blocks != made.blocks:
            return "it was recorded in other blocks"
        if wanted.start < made.start or wanted.cutoff > made.cutoff:
            return "it was recorded in a shorter window"
        if wanted.fidelity < 1 and made.fidelity == 1 and not self.both:
            return "it was recorded at fidelity 1"
        return ""


@dataclass(frozen=True, eq=False)
class Part:
    """What a panel does in its series.

    Attributes:
        p: its request; a copy, as other extensions make them, has no part.
        records: what it leaves goes here.
        sees: what the panel has left whose picture is its reference.
    """

    p: Any
    records: Trace | None = None
    sees: Trace | None = None

    def __deepcopy__(self, memo: dict[int, Any]) -> Part:
        """Itself: a deep copy of a request has no part either."""
        return self


def part_of(p: Any) -> Part:
    """The part of a request; none in any series, as a rule."""
    part = getattr(p, ATTRIBUTE, None)
    return part if part is not None and part.p is p else Part(p)


def together(settings: Sequence[LafiSettings]) -> LafiSettings:
    """Settings that record for all of some."""
    first = settings[0]

    def values(name: str) -> list[Any]:
        return [getattr(each, name) for each in settings]

    return dataclasses.replace(
        first,
        depth=max(values("depth")),
        layers="all" if "all" in values("layers") else first.layers,
        start=min(values("start")),
        cutoff=max(values("cutoff")),
        fidelity=min(values("fidelity")),
        passes=first.passes if len(set(values("passes"))) == 1 else "both",
    )


def networks(p: Any) -> tuple:
    """The networks that the prompt of this pass names, as the host has parsed them."""
    hires = getattr(p, "is_hr_pass", False)
    data = getattr(p, "hr_extra_network_data" if hires else "extra_network_data", None) or {}
    named = {kind: [each.items for each in each_kind] for kind, each_kind in data.items()}
    return tuple((kind, repr(named[kind])) for kind in sorted(named))
