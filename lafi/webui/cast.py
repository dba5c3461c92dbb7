"""Who acts in a pass: the references of the settings, and the characters that its prompt calls."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence
from typing import Any

from ..settings import BY_NAME, LafiSettings, validate
from . import checks, infotext, series
from .characters import tags
from .characters.tags import Tag
from .made import Made
from .material import OWN, Material
from .views import open_views

log = logging.getLogger("LAFI")
# The fields that name references; all others are of the run.
OF_REFERENCES = ("image", "views", "mask", "region", "prompt", "references", "anchor")
MOST_KEPT = 8


class Cast:
    """Of one run: what each of its passes is made of.

    Args:
        p: the host's request, whose prompts may differ from batch to batch.
        settings: of the run; switched off they name no reference, but say how the called act.
        inner: whether `p` makes a picture within another's.
    """

    def __init__(self, p: Any, settings: LafiSettings, inner: bool) -> None:
        part = series.Part(p) if inner else series.part_of(p)
        if not settings.enabled:
            if part.records is not None and not tags.expected(p):
                # Nobody acts in it: it is recorded as later ones want it.
                settings = dataclasses.replace(part.records.asked, enabled=False)
            defaults: dict[str, Any] = {name: BY_NAME[name].default for name in OF_REFERENCES}
            settings = dataclasses.replace(settings, **defaults)
        self.p, self.settings, self.inner = p, settings, inner
        self.part = part
        # The first picture stays the others' reference, whoever is called beside it.
        self._firsts: dict[tuple, Any] = {}
        self._made: dict[tuple[Tag, ...], tuple[Material | None, dict[str, str]]] = {}

    def now(self) -> Material | None:
        """What the pass of this moment is made of; None where nothing acts in it.

        Raises:
            LafiError: a reference or a tag is wrong.
        """
        return self._now()[0]

    def names(self) -> dict[str, str]:
        """The hashes of the characters that the prompt of this moment's pass calls."""
        return self._now()[1]

    def announce(self) -> dict[str, str]:
        """What an infotext says of the pass of this moment before it is made; empty where nothing
        acts in it."""
        material, names = self._now()
        if material is None or not material.injects:
            return {}
        return self._say(material.hashes, names, True)

    def describe(self, passes: Sequence[Made], first: bool) -> dict[str, str]:
        """What a picture's infotext says: of all that acted in it; empty where nothing did.

        Args:
            passes: the picture's own.
            first: whether it is the first of its batch.
        """
        hashes: list[list[str]] = [[] for _ in self.settings.characters]
        called: dict[str, str] = {}
        anchored = False
        for each in passes:
            acted = each.characters(first)
            anchored |= OWN in acted
            for number, views in enumerate(each.material.characters):
                if number not in acted:
                    continue
                if number < len(hashes):
                    hashes[number] = each.material.hashes[number]
                else:
                    called |= {n: d for n, d in each.names.items() if n == views[0].character.name}
        if not (any(hashes) or called or anchored):
            return {}
        left = (
            {infotext.RECORDINGS: OWN} if any(each.panels & each.acted for each in passes) else {}
        )
        return self._say(hashes, called, anchored) | left

    def _say(
        self, hashes: Sequence[list[str]], called: dict[str, str], anchored: bool
    ) -> dict[str, str]:
        said = infotext.describe(self.settings, hashes[: len(self.settings.characters)], anchored)
        if called:
            pairs = ", ".join(f"{name} {digest}" for name, digest in called.items())
            said = {infotext.CHARACTERS: pairs} | said
        return said

    def _now(self) -> tuple[Material | None, dict[str, str]]:
        called = tags.called(self.p)
        if called not in self._made:
            if len(self._made) >= MOST_KEPT:
                self._made.clear()
            names = tags.hashes(called, self.settings.cutout)
            self._made[called] = self._make(called), names
        return self._made[called]

    def _make(self, called: Sequence[Tag]) -> Material | None:
        settings = self.settings
        if called:
            more = [*settings.references, *tags.references(called)]
            settings = validate(vars(settings) | {"enabled": True, "references": more})
        if not settings.enabled:
            records = self.part.records is not None
            return Material(self.p, settings, [], False, self.part) if records else None
        if not self.inner:
            checks.check(settings, self.p)
        # A picture within a picture is alone.
        anchored = settings.anchor == "batch" and not self.inner
        if not (settings.characters or anchored):
            return None
        material = Material(self.p, settings, open_views(settings), anchored, self.part)
        material.firsts = self._firsts
        shows = any(each.strength for each in settings.characters)
        if settings.acts and (shows or anchored):
            return material
        log.info("nothing to inject: depth, cutoff or strength is 0.")
        return None
