"""Who: everything about a figure that does not change with what it does."""

from __future__ import annotations

import zlib
from dataclasses import asdict, dataclass, fields
from random import Random

RGB = tuple[int, int, int]

SKINS: dict[str, RGB] = {
    "pale": (252, 220, 196),
    "tan": (222, 168, 120),
    "brown": (152, 98, 62),
    "dark": (92, 56, 40),
}
HAIR_COLOURS: dict[str, RGB] = {
    "black": (38, 34, 44),
    "brown": (112, 68, 36),
    "blond": (244, 206, 80),
    "red": (200, 72, 28),
    "white": (240, 240, 244),
    "blue": (60, 110, 226),
}
CLOTHES: dict[str, RGB] = {
    "red": (216, 40, 48),
    "orange": (246, 140, 34),
    "yellow": (250, 214, 46),
    "green": (46, 160, 70),
    "cyan": (54, 198, 212),
    "blue": (44, 82, 206),
    "purple": (138, 62, 184),
    "pink": (246, 116, 174),
}
TROUSERS: dict[str, RGB] = {
    "black": (44, 42, 54),
    "navy": (46, 66, 146),
    "brown": (126, 84, 46),
    "white": (240, 240, 240),
    "red": (170, 34, 44),
    "green": (38, 108, 58),
}
SHOES: dict[str, RGB] = {
    "black": (26, 24, 32),
    "white": (250, 250, 250),
    "red": (212, 38, 40),
    "blue": (50, 96, 216),
}
BAGS: dict[str, RGB] = {
    "brown": (134, 84, 40),
    "red": (190, 30, 52),
    "green": (34, 128, 84),
    "grey": (120, 124, 138),
}
HAIR_SHAPES = ("short", "long", "spiky", "bun")
HATS = ("none", "cap", "cone", "crown")
PATTERNS = ("plain", "striped", "split", "spotted")


@dataclass(frozen=True)
class Identity:
    """A figure's looks; each value is one of `CHOICES`."""

    skin: str
    hair: str
    hair_shape: str
    hat: str
    hat_colour: str
    shirt: str
    pattern: str
    trousers: str
    shoes: str
    bag: str

    @property
    def held_out(self) -> bool:
        """Whether training never sees this identity (one in ten)."""
        return one_in_ten(*asdict(self).values())

    def words(self) -> list[str]:
        """The identity as short phrases, each attribute next to its noun."""
        hat = [] if self.hat == "none" else [f"{self.hat_colour} {self.hat}"]
        return [
            f"{self.skin} skin",
            f"{self.hair} {self.hair_shape} hair",
            *hat,
            f"{self.shirt} {self.pattern} shirt",
            f"{self.trousers} trousers",
            f"{self.shoes} shoes",
            f"{self.bag} bag",
        ]


CHOICES: dict[str, tuple[str, ...]] = {
    "skin": tuple(SKINS),
    "hair": tuple(HAIR_COLOURS),
    "hair_shape": HAIR_SHAPES,
    "hat": HATS,
    "hat_colour": tuple(CLOTHES),
    "shirt": tuple(CLOTHES),
    "pattern": PATTERNS,
    "trousers": tuple(TROUSERS),
    "shoes": tuple(SHOES),
    "bag": tuple(BAGS),
}
assert list(CHOICES) == [field.name for field in fields(Identity)]


def draw_identity(rng: Random, held_out: bool = False) -> Identity:
    """A random identity, from the held-out ones or from the others."""
    while True:
        values = {name: rng.choice(choices) for name, choices in CHOICES.items()}
        if values["hat"] == "none":
            values["hat_colour"] = "red"  # one spelling for one look
        identity = Identity(**values)
        if identity.held_out == held_out:
            return identity


def one_in_ten(*words: str) -> bool:
    """Picks a tenth of all combinations of words, always the same."""
    return zlib.crc32(" ".join(words).encode()) % 10 == 0
