"""Poses: where the joints of a figure are, in cells.

The figure faces right: x grows forwards, y downwards, (0, 0) is the hip. Arms are given from their
shoulders, legs from their hips; each limb as its middle joint and its end.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random

Point = tuple[int, int]
Limb = tuple[Point, Point]

TORSO, LEG, HEAD = 4, 3, 5  # heights
FLOOR = LEG  # y of the shoes of a standing figure
REACH = 7  # how far above the neck the hands of a handstand are


@dataclass(frozen=True)
class Pose:
    """One action.

    Attributes:
        near_arm, far_arm, near_leg, far_leg: middle joint and end, from shoulder or hip.
        lean: how far the neck stands before the hip.
        rise: how far the whole body is lifted off the ground; negative lowers it.
        body: upright, level (on all fours) or inverted (on the hands).
        planted: feet that stand on the ground, so that they wobble sideways only.
    """

    near_arm: Limb
    far_arm: Limb
    near_leg: Limb = ((0, 1), (0, 3))
    far_leg: Limb = ((0, 1), (0, 3))
    lean: int = 0
    rise: int = 0
    body: str = "upright"
    planted: tuple[str, ...] = ("near_leg", "far_leg")


_HANGING: Limb = ((-1, 2), (-1, 4))
_FREE: Limb = ((1, 2), (1, 4))
POSES: dict[str, Pose] = {
    "standing": Pose(_HANGING, _FREE),
    "waving": Pose(((-3, -1), (-3, -5)), _FREE),
    "cheering": Pose(((-3, -1), (-3, -6)), ((3, -1), (3, -6))),
    "pointing": Pose(_HANGING, ((3, 0), (6, 0))),
    "running": Pose(
        ((2, 2), (4, 0)), ((-3, 1), (-4, 3)), ((-2, 1), (-4, 1)), ((2, 1), (3, 3)), 1,
        planted=("far_leg",),
    ),
    "jumping": Pose(
        ((-3, 0), (-4, -3)), ((3, 0), (4, -3)), ((-2, 1), (-3, 2)), ((2, 1), (3, 2)), 0, 1,
        planted=(),
    ),
    "sitting": Pose(
        ((-2, 2), (-3, 4)), ((2, 2), (4, 2)), ((2, 0), (4, 0)), ((2, 0), (5, 0)), 0, -2,
        planted=(),
    ),
    "kicking": Pose(
        ((-2, 1), (-4, 0)), ((2, 2), (3, 0)), far_leg=((2, 0), (5, -1)), lean=-1,
        planted=("near_leg",),
    ),
    "crawling": Pose(
        ((0, 2), (0, 4)), ((1, 2), (2, 4)), ((0, 2), (-3, 3)), ((1, 2), (-1, 3)), body="level",
        planted=("near_leg", "far_leg"),
    ),
    "handstanding": Pose(
        ((-3, -3), (-3, -REACH)), ((3, -3), (3, -REACH)), ((-1, 1), (-2, 3)), ((1, 1), (2, 3)),
        body="inverted", planted=(),
    ),
}  # fmt: skip


def wobbled(action: str, seed: int) -> Pose:
    """The pose of an action with small differences of its own."""
    rng = Random(seed)
    pose = POSES[action]
    changes: dict[str, Limb] = {}
    for name in ("near_arm", "far_arm", "near_leg", "far_leg"):
        middle, end = getattr(pose, name)
        dx, dy = _step(rng), _step(rng)
        if name in pose.planted or (pose.body == "inverted" and name.endswith("arm")):
            dy = 0
        moved = (middle[0] + (dx if rng.random() < 0.5 else 0), middle[1])
        changes[name] = (moved, (end[0] + dx, end[1] + dy))
    lean = pose.lean + (_step(rng) if pose.body == "upright" else 0)
    return replace(pose, lean=lean, **changes)


def _step(rng: Random) -> int:
    return rng.choices((-1, 0, 1), (1, 2, 1))[0]
