"""What a picture holds: figures with a place and a pose, and a scene; drawn at random.

Lengths are in cells: one cell is one drawn pixel, one latent cell, and 8x8 pixels of the picture.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from .identity import RGB, Identity, draw_identity, one_in_ten

CELL = 8  # picture pixels of a cell, in each direction
WALLS: dict[str, RGB] = {
    "blue": (158, 200, 244),
    "green": (178, 226, 178),
    "pink": (246, 194, 210),
    "yellow": (250, 236, 170),
    "grey": (186, 186, 194),
    "purple": (206, 184, 240),
}
GROUNDS: dict[str, RGB] = {
    "room": (172, 130, 94),
    "field": (108, 170, 82),
    "beach": (232, 210, 152),
}
FACINGS = ("left", "right", "front", "back")
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
# What can be told apart when a figure turns towards the viewer or away.
UPRIGHT = ("standing", "waving", "cheering", "pointing", "jumping")
KEYPOINTS = (
    "head", "neck", "hip",
    "near elbow", "near hand", "far elbow", "far hand",
    "near knee", "near foot", "far knee", "far foot",
)  # fmt: skip
# (columns, rows) of the pictures that training sees, by the number of figures; multiples of 8.
SHAPES: dict[int, dict[tuple[int, int], int]] = {
    1: {(16, 16): 70, (24, 16): 15, (16, 24): 15},
    2: {(24, 16): 85, (32, 16): 15},
}


@dataclass(frozen=True)
class Placement:
    """How one figure stands in the picture.

    Attributes:
        action, facing: words of `ACTIONS` and `FACINGS`.
        x: column of the hip.
        ground: row of the shoes of a standing figure.
        wobble: seed of the small differences between poses of one action.
    """

    action: str
    facing: str
    x: int
    ground: int
    wobble: int


@dataclass(frozen=True)
class Figure:
    """Who stands where."""

    identity: Identity
    placement: Placement


@dataclass(frozen=True)
class Scene:
    """Where: the colour of wall or sky, the kind of place, the row where the ground begins."""

    wall: str
    place: str
    horizon: int


@dataclass(frozen=True)
class Picture:
    """One picture of `shape` (columns, rows)."""

    figures: tuple[Figure, ...]
    scene: Scene
    shape: tuple[int, int] = (16, 16)


def draw_placement(
    rng: Random,
    column: tuple[float, float],
    ground: int,
    action: str | None = None,
    facing: str | None = None,
) -> Placement:
    """A random placement between two columns; side views are three times as frequent."""
    action = action or rng.choice(ACTIONS)
    if facing is None:
        weights = (3, 3, 1, 1) if action in UPRIGHT else (1, 1, 0, 0)
        facing = rng.choices(FACINGS, weights)[0]
    middle = (column[0] + column[1]) / 2
    slack = max((column[1] - column[0] - 14) / 2, 0) + 1
    x = round(middle + rng.uniform(-slack, slack))
    return Placement(action, facing, x, ground, rng.randrange(2**31))


def draw_picture(
    rng: Random,
    figures: int = 1,
    *,
    identity: Identity | None = None,
    second: Identity | None = None,
    action: str | None = None,
    facing: str | None = None,
    shape: tuple[int, int] | None = None,
    held_out: bool = False,
) -> Picture:
    """A random picture of the training world, or of the held-out combinations.

    Args:
        figures: 1, or 2.
        identity: of all figures; random where absent.
        second: of the second figure, where it is somebody else.
        action, facing: of all figures; random where absent.
        shape: columns and rows; one of `SHAPES` where absent.
        held_out: combinations of action, facing and scene that training never sees.
    """
    identity = identity or draw_identity(rng, held_out)
    known = SHAPES[figures]
    shape = shape or rng.choices(list(known), list(known.values()))[0]
    while True:
        ground = shape[1] - 2 - (rng.randrange(5) if shape[1] > 16 else 0)
        scene = Scene(
            rng.choice(list(WALLS)), rng.choice(list(GROUNDS)), ground - rng.choice((2, 3))
        )
        width = shape[0] / figures
        placements = [
            draw_placement(rng, (i * width, (i + 1) * width - 1), ground, action, facing)
            for i in range(figures)
        ]
        if all(is_held_out(each, scene) == held_out for each in placements):
            who = [identity, *[second or identity] * (figures - 1)]
            members = zip(who, placements, strict=True)
            return Picture(tuple(Figure(*each) for each in members), scene, shape)


def is_held_out(placement: Placement, scene: Scene) -> bool:
    """Whether training never sees this action, facing and scene together (one in ten)."""
    return one_in_ten(placement.action, placement.facing, scene.wall, scene.place)


def training_pictures(number: int, cells: int = 4096) -> list[Picture]:
    """Batch `number` of the training world: pictures of one shape, about `cells` cells together.

    Half of all pictures have one figure, a third the same one twice, the others two different ones.
    """
    rng = Random(number)
    kind = rng.choices(("one", "twice", "two"), (10, 10, 5))[0]
    known = SHAPES[1 if kind == "one" else 2]
    shape = rng.choices(list(known), list(known.values()))[0]
    pictures = []
    for _ in range(cells // (shape[0] * shape[1])):
        second = draw_identity(rng) if kind == "two" else None
        pictures.append(draw_picture(rng, 1 if kind == "one" else 2, second=second, shape=shape))
    return pictures
