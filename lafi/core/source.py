"""Where a pass's tokens come from."""

from __future__ import annotations

from dataclasses import dataclass

from ..regions import Region
from .own import Own
from .reference import Reference


@dataclass(frozen=True)
class Source:
    """One picture that the new one sees. Several views of a character are several sources.

    Attributes:
        reference: the picture as the model sees it, or the first of the batch itself.
        strength: weight w on its keys: 1 is plain concatenation; 0 leaves it out.
        region: where in the new picture it acts; None for everywhere. Not of the batch's first.
        name: for reports.
    """

    reference: Reference | Own
    strength: float = 1.0
    region: Region | None = None
    name: str = ""

    @property
    def plain(self) -> bool:
        """Whether its tokens are simply there, everywhere alike."""
        return self.strength == 1 and self.region is None
