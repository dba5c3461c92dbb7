"""What a request says of one reference: a character, in one picture or in several views."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from .kinds import Kind, Number, Place, Text
from .lists import Images, Masks
from .regions import Region, parse_region

WEIGHT = Number(0, 4, 0.05)
# What each of `references` may say, as the table's fields do of the first; a strength that is left
# out is the run's.
ENTRY: dict[str, tuple[Kind, Any]] = {
    "image": (Images(), None),
    "mask": (Masks(), None),
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
        masks: of the first ones of them, named alike; each may be None.
        region: where it acts; None for everywhere.
        name: as the request calls it.
    """

    where: str
    pictures: tuple[tuple[str, Any], ...]
    masks: tuple[tuple[str, Any], ...]
    strength: float
    region: Region | None
    prompt: str
    name: str

    @property
    def views(self) -> Iterator[tuple[tuple[str, Any], tuple[str, Any]]]:
        """Each picture and its mask, which may be None, with their names."""
        return itertools.zip_longest(self.pictures, self.masks, fillvalue=("mask", None))

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
            _named(where + "mask", given["mask"]),
            strength if own is None else own,
            parse_region(given["region"]),
            given["prompt"],
            given["name"],
        )


def _named(name: str, pictures: Any) -> tuple[tuple[str, Any], ...]:
    if isinstance(pictures, tuple):
        return tuple((f"{name}[{index}]", each) for index, each in enumerate(pictures))
    return () if pictures is None else ((name, pictures),)
