"""What a request says of one reference: a character, in one picture or in several views."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .kinds import Kind, Number, Place, Text
from .lists import Image, Images
from .regions import Region, parse_region

WEIGHT = Number(0, 4, 0.05)
# What each of `references` may say, as the table's fields do of the first; a strength that is left
# out is the run's.
ENTRY: dict[str, tuple[Kind, Any]] = {
    "image": (Images(), None),
    "mask": (Image(), None),
    "strength": (WEIGHT, None),
    "region": (Place(), ""),
    "prompt": (Text(), ""),
    "name": (Text(), ""),
}


@dataclass(frozen=True)
class Character:
    """What one reference shows.

    Attributes:
        where: what stands before its fields in errors, such as ``references[0].``.
        pictures: each with the name that errors give it.
        mask: of the first picture, or None.
        region: where it acts; None for everywhere.
        name: as the request calls it.
    """

    where: str
    pictures: tuple[tuple[str, Any], ...]
    mask: Any
    strength: float
    region: Region | None
    prompt: str
    name: str

    @classmethod
    def of(cls, where: str, given: Mapping[str, Any], strength: float, views: Any = None) -> Any:
        """From checked fields.

        Args:
            given: the fields of `ENTRY`.
            strength: of the run.
            views: further pictures.
        """
        own = given["strength"]
        return cls(
            where,
            _named(where + "image", given["image"]) + _named(where + "views", views),
            given["mask"],
            strength if own is None else own,
            parse_region(given["region"]),
            given["prompt"],
            given["name"],
        )


def _named(name: str, pictures: Any) -> tuple[tuple[str, Any], ...]:
    if isinstance(pictures, tuple):
        return tuple((f"{name}[{index}]", each) for index, each in enumerate(pictures))
    return () if pictures is None else ((name, pictures),)
