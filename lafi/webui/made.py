"""What each pass of a run was made of, and which of it really acted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ..core.own import Own
from ..core.report import PassReport
from ..core.source import Source
from .material import OWN, Material


@dataclass(eq=False)
class Made:
    """One pass that was made.

    Attributes:
        report: what happened in it.
        batch: of the batch count.
        material: what it was made of.
        names: the hashes of the characters that its prompt calls.
        sources: what it could see, in the report's order: the number of a picture of the
            material, `OWN` or `RECORDED`.
        panels: those pictures whose tokens a storyboard's panel has left while it was made.
    """

    report: PassReport
    batch: int
    material: Material
    names: dict[str, str]
    sources: list[int | str] = field(default_factory=list)
    panels: set[int | str] = field(default_factory=set)

    def take(self, sources: Mapping[int | str, Source]) -> list[Source]:
        """The sources for its session; kept is which they are, not their tensors."""
        acting = [each for each in sources if sources[each].strength]
        made = [each for each in acting if isinstance(sources[each].reference, Own)]
        # Reports name what is recorded by itself before pictures that are made.
        self.sources = [each for each in acting if each not in made] + made
        self.panels = {each for each in made if isinstance(each, int)}
        return list(sources.values())

    @property
    def acted(self) -> set[int | str]:
        """Those of `sources` that some query saw."""
        told = zip(self.sources, self.report.references, strict=False)
        return {source for source, each in told if each.injected}

    def characters(self, first: bool = False) -> set[int | str]:
        """Which of the material's characters acted, and `OWN`.

        Args:
            first: asked for the first picture of all, which sees nothing of itself.
        """
        acted, found, number = self.acted, set[int | str](), 0
        for position, views in enumerate(self.material.characters):
            if acted & set(range(number, number + len(views))):
                found.add(position)
            number += len(views)
        # In the batch of the first picture it has left its tokens; in later ones all see them.
        return found | (acted & {OWN} if not (first and self.report.anchored) else set())
