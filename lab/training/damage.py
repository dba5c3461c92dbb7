"""Pictures drawn with a defect, from which the judges learn what a whole figure is not."""

from __future__ import annotations

from random import Random

from torch import Tensor

from ..world import KEYPOINTS, Figure, Picture, draw_identity, joints_of, render
from ..world.draw import empty_scene, with_identities
from ..world.picture import draw_placement
from .data import to_tensor


def damage(picture: Picture, rng: Random) -> Tensor:
    """A picture of one figure with a part erased, doubled or moved, two identities mixed, or a
    second figure; (3, h, w) in -1..1."""
    columns, rows = picture.shape
    cells = to_tensor(render(picture))
    figure = picture.figures[0]
    joints = joints_of(figure.placement)
    kind = rng.randrange(4)
    if kind == 0:  # a second figure, or a part of one
        x = figure.placement.x + rng.choice((-9, -8, -7, 7, 8, 9))
        place = draw_placement(rng, (x, x), figure.placement.ground)
        members = [figure, Figure(figure.identity, place)]
        rng.shuffle(members)
        return to_tensor(render(Picture(tuple(members), picture.scene, picture.shape)))
    if kind == 1:  # one body of two identities
        other = with_identities(picture, draw_identity(rng))
        middle = int(joints[rng.randrange(3), 1].clip(3, rows - 3))
        cells[:, middle:] = to_tensor(render(other))[:, middle:]
        return cells
    size = rng.randrange(3, 5)
    centre = joints[rng.randrange(len(KEYPOINTS))]
    x = int((centre[0] - size / 2).clip(0, columns - size))
    y = int((centre[1] - size / 2).clip(0, rows - size))
    part = cells[:, y : y + size, x : x + size].clone()
    if kind == 2:  # a part erased: the empty scene shows
        empty = to_tensor(render(empty_scene(picture)))
        cells[:, y : y + size, x : x + size] = empty[:, y : y + size, x : x + size]
        return cells
    # A part somewhere else.
    x, y = rng.randrange(columns - size), rng.randrange(rows - size)
    cells[:, y : y + size, x : x + size] = part
    return cells
