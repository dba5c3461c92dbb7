"""The toy world: who is in a picture, what they do, where, and the caption that says so.

Everything is drawn from a seeded `random.Random`, so that a number names a picture for ever.
"""

from __future__ import annotations

import zlib
from dataclasses import asdict, dataclass, fields
from random import Random

RGB = tuple[int, int, int]

SKINS: dict[str, RGB] = {
    "pale": (250, 220, 195),
    "tan": (226, 176, 130),
    "brown": (156, 104, 68),
    "dark": (94, 60, 42),
}
HAIR_COLOURS: dict[str, RGB] = {
    "black": (40, 36, 40),
    "brown": (112, 72, 40),
    "blond": (240, 206, 84),
    "red": (196, 76, 32),
    "white": (236, 236, 240),
    "blue": (64, 104, 220),
}
CLOTHES: dict[str, RGB] = {
    "red": (214, 44, 48),
    "orange": (244, 140, 36),
    "yellow": (248, 212, 48),
    "green": (52, 160, 72),
    "cyan": (60, 196, 208),
    "blue": (44, 84, 204),
    "purple": (136, 64, 180),
    "pink": (244, 116, 172),
}
TROUSERS: dict[str, RGB] = {
    "black": (44, 44, 52),
    "navy": (48, 68, 140),
    "brown": (124, 84, 48),
    "white": (240, 240, 240),
    "red": (168, 36, 44),
    "green": (40, 108, 60),
}
SHOES: dict[str, RGB] = {
    "black": (28, 28, 32),
    "white": (248, 248, 248),
    "red": (208, 40, 40),
    "brown": (104, 68, 40),
}
WALLS: dict[str, RGB] = {
    "blue": (164, 200, 240),
    "green": (180, 224, 180),
    "pink": (244, 192, 208),
    "yellow": (248, 234, 168),
    "grey": (184, 184, 190),
    "purple": (206, 184, 236),
}
GROUNDS: dict[str, RGB] = {
    "room": (172, 132, 96),
    "field": (112, 168, 84),
    "beach": (232, 212, 156),
}
HAIR_SHAPES = ("short", "long", "spiky", "bun")
HATS = ("none", "cap", "cone")
PATTERNS = ("plain", "striped", "split", "spotted")
FACINGS = ("left", "right")
ACTIONS = (
    "standing",
    "waving",
    "cheering",
    "pointing",
    "running",
    "jumping",
    "sitting",
    "kicking",
    "crawling",
    "handstanding",
)


@dataclass(frozen=True)
class Identity:
    """Who: everything about a figure that does not change with the pose."""

    skin: str
    hair: str
    hair_shape: str
    hat: str
    hat_colour: str
    shirt: str
    pattern: str
    trousers: str
    shoes: str

    @property
    def held_out(self) -> bool:
        """Whether training never sees this identity (one in ten)."""
        return _one_in_ten(*asdict(self).values())

    def describe(self) -> str:
        """The identity in words, for the text oracle."""
        hat = "" if self.hat == "none" else f", {self.hat_colour} {self.hat}"
        return (
            f"{self.skin} skin, {self.hair} {self.hair_shape} hair{hat}, "
            f"{self.shirt} {self.pattern} shirt, {self.trousers} trousers, {self.shoes} shoes"
        )


IDENTITY_CHOICES: dict[str, tuple[str, ...]] = {
    "skin": tuple(SKINS),
    "hair": tuple(HAIR_COLOURS),
    "hair_shape": HAIR_SHAPES,
    "hat": HATS,
    "hat_colour": tuple(CLOTHES),
    "shirt": tuple(CLOTHES),
    "pattern": PATTERNS,
    "trousers": tuple(TROUSERS),
    "shoes": tuple(SHOES),
}
assert list(IDENTITY_CHOICES) == [field.name for field in fields(Identity)]


@dataclass(frozen=True)
class Placement:
    """How one figure stands in the picture.

    Attributes:
        action: what it does.
        facing: left or right.
        x: middle of the body, pixels from the left.
        ground: height of the ground under it, pixels from the top.
        size: length of the upright body in pixels.
        wobble: seed of the small differences between joint angles.
    """

    action: str
    facing: str
    x: float
    ground: float
    size: float
    wobble: int


@dataclass(frozen=True)
class Scene:
    """Where: the wall's (or sky's) colour, the kind of place, and the horizon in pixels."""

    wall: str
    place: str
    horizon: float


@dataclass(frozen=True)
class Picture:
    """One picture: the same figure once or more times in a scene."""

    identity: Identity
    placements: tuple[Placement, ...]
    scene: Scene


SIZE = 128  # pixels, both ways


def draw_identity(rng: Random, held_out: bool = False) -> Identity:
    """A random identity, from the held-out ones or from the others."""
    while True:
        values = {name: rng.choice(choices) for name, choices in IDENTITY_CHOICES.items()}
        if values["hat"] == "none":
            values["hat_colour"] = "red"  # one spelling for one look
        identity = Identity(**values)
        if identity.held_out == held_out:
            return identity


def draw_picture(
    rng: Random,
    figures: int = 1,
    identity: Identity | None = None,
    action: str | None = None,
    held_out: bool = False,
) -> Picture:
    """A random picture of the training world, or of the held-out combinations."""
    identity = identity or draw_identity(rng, held_out)
    while True:
        scene = Scene(
            rng.choice(list(WALLS)), rng.choice(list(GROUNDS)), SIZE * rng.uniform(0.68, 0.74)
        )
        placements = tuple(_place(rng, figures, index, action) for index in range(figures))
        if (
            all(is_held_out(each, scene) for each in placements)
            if held_out
            else not any(is_held_out(each, scene) for each in placements)
        ):
            return Picture(identity, placements, scene)


def is_held_out(placement: Placement, scene: Scene) -> bool:
    """Whether training never sees this action, facing and scene together (one in ten)."""
    return _one_in_ten(placement.action, placement.facing, scene.wall, scene.place)


def training_picture(number: int) -> Picture:
    """Picture `number` of the training world: 65 % one figure, 33 % two, 2 % three."""
    rng = Random(number)
    return draw_picture(rng, rng.choices((1, 2, 3), (65, 33, 2))[0])


def caption(picture: Picture, rng: Random | None = None, oracle: bool = False) -> str:
    """The caption of a picture: class, action, facing and scene, never the identity.

    Args:
        rng: leaves parts out at random, as training wants it; None keeps everything.
        oracle: names the identity too.
    """
    keep = (lambda share: True) if rng is None else (lambda share: rng.random() < share)
    parts = []
    if oracle:
        parts.append(picture.identity.describe())
    for placement in picture.placements:
        words = [placement.action] if keep(0.95) else []
        words += [f"facing {placement.facing}"] if keep(0.85) else []
        parts += [" ".join(words)] if words else []
    if keep(0.85):
        parts.append(f"{picture.scene.wall} {picture.scene.place}")
    count = {1: "a figure", 2: "the same figure twice", 3: "the same figure three times"}
    return ", ".join([count[len(picture.placements)], *parts])


def training_caption(picture: Picture, rng: Random) -> str:
    """A caption as training shows it: 10 % empty (for guidance), 8 % with the identity."""
    if rng.random() < 0.1:
        return ""
    return caption(picture, rng, oracle=rng.random() < 0.08)


def _place(rng: Random, figures: int, index: int, action: str | None) -> Placement:
    column = SIZE / figures
    low, high = {1: (92, 102), 2: (84, 94), 3: (58, 64)}[figures]
    return Placement(
        action=action or rng.choice(ACTIONS),
        facing=rng.choice(FACINGS),
        x=column * (index + 0.5) + rng.uniform(-1, 1) * (8 if figures == 1 else 4),
        ground=SIZE * rng.uniform(0.88, 0.94),
        size=rng.uniform(low, high),
        wobble=rng.randrange(2**31),
    )


def _one_in_ten(*words: str) -> bool:
    return zlib.crc32(" ".join(words).encode()) % 10 == 0
