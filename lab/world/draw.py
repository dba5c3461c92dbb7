"""Draws pictures cell by cell."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from .identity import BAGS, CLOTHES, HAIR_COLOURS, RGB, SHOES, SKINS, TROUSERS, Identity
from .picture import GROUNDS, WALLS, Figure, Picture, Placement, Scene
from .poses import FLOOR, HEAD, REACH, TORSO, Limb, Point, Pose, wobbled
from .sprites import HAIR, HATS, HEADS, Sprite

WHITE: RGB = (250, 250, 250)
EYE: RGB = (24, 22, 34)
SEA: RGB = (70, 140, 214)
NEAR, FAR, SHADOW = 0.86, 0.7, 0.78


def render(picture: Picture) -> np.ndarray:
    """A picture as (rows, columns, 3) bytes, one for each cell."""
    columns, rows = picture.shape
    cells = np.zeros((rows, columns, 3), np.uint8)
    _draw_scene(cells, picture.scene)
    for figure in picture.figures:
        _Drawing(cells, figure).draw()
    return cells


def joints_of(placement: Placement) -> np.ndarray:
    """The joints (11, 2) of a placed figure, cells (x, y), in the order of KEYPOINTS."""
    pose = wobbled(placement.action, placement.wobble)
    to_cell = _Placed(placement, pose)
    head, neck = _head(pose), _neck(pose)
    points = [(head[0], head[1] + HEAD // 2), neck, (0, 0)]
    for which in ("near_arm", "far_arm"):
        points += _ends(_shoulder(pose, which, placement.facing), getattr(pose, which))
    for which in ("near_leg", "far_leg"):
        points += _ends(_hip(pose, which), getattr(pose, which))
    return np.array([to_cell(point) for point in points], np.float32)


class _Placed:
    """From a pose's own coordinates to cells of the picture."""

    def __init__(self, placement: Placement, pose: Pose) -> None:
        self.mirror = -1 if placement.facing == "left" else 1
        self.x, self.y = placement.x, placement.ground - FLOOR - pose.rise
        # On the hands: what was highest touches the ground.
        self.inverted = pose.body == "inverted"
        self.top = FLOOR + _shoulder(pose, "near_arm", placement.facing)[1] - REACH

    def __call__(self, point: Point) -> Point:
        x, y = point
        if self.inverted:
            y = self.top - y
        return self.x + self.mirror * x, self.y + y


def _neck(pose: Pose) -> Point:
    return (3, -2) if pose.body == "level" else (pose.lean, -TORSO)


def _head(pose: Pose) -> Point:
    """The middle of the head's upper row."""
    neck = _neck(pose)
    return (neck[0] + 1, neck[1] - 3) if pose.body == "level" else (neck[0], neck[1] - HEAD)


def _shoulder(pose: Pose, which: str, facing: str) -> Point:
    if pose.body == "level":
        return (0, -1) if which == "near_arm" else (1, -1)
    apart = 3 if facing in ("front", "back") else 1
    return (pose.lean + (-apart if which == "near_arm" else apart), 1 - TORSO)


def _hip(pose: Pose, which: str) -> Point:
    if pose.body == "level":
        return (-4, 0) if which == "near_leg" else (-3, 0)
    return (-2, 0) if which == "near_leg" else (0, 0)


def _ends(start: Point, limb: Limb) -> list[Point]:
    return [(start[0] + x, start[1] + y) for x, y in limb]


class _Drawing:
    """One figure on its way into a picture."""

    def __init__(self, cells: np.ndarray, figure: Figure) -> None:
        self.cells, self.who = cells, figure.identity
        self.placement = figure.placement
        self.pose = wobbled(self.placement.action, self.placement.wobble)
        self.to_cell = _Placed(self.placement, self.pose)
        facing = self.placement.facing
        self.view = facing if facing in ("front", "back") else "side"

    def draw(self) -> None:
        self._shadow()
        self._arm("far_arm", FAR if self.view == "side" else NEAR)
        self._leg("far_leg", FAR if self.view == "side" else NEAR)
        self._leg("near_leg", 1)
        self._torso()
        if self.view != "back":
            self._bag()
        self._head()
        if self.view == "back":
            self._bag()
        self._arm("near_arm", NEAR)

    def put(self, point: Point, colour: RGB) -> None:
        x, y = self.to_cell(point)
        if 0 <= y < self.cells.shape[0] and 0 <= x < self.cells.shape[1]:
            self.cells[y, x] = colour

    def _shadow(self) -> None:
        row = self.placement.ground + 1
        if row < len(self.cells):
            left, right = max(self.placement.x - 3, 0), self.placement.x + 4
            self.cells[row, left:right] = self.cells[row, left:right] * SHADOW

    def _arm(self, which: str, light: float) -> None:
        start = _shoulder(self.pose, which, self.placement.facing)
        elbow, hand = _ends(start, getattr(self.pose, which))
        sleeve = _shade(CLOTHES[self.who.shirt], light)
        for point in (*_line(start, elbow), *_line(elbow, hand)):
            self.put(point, sleeve)
        self.put(hand, SKINS[self.who.skin])

    def _leg(self, which: str, light: float) -> None:
        start = _hip(self.pose, which)
        knee, foot = _ends(start, getattr(self.pose, which))
        cloth = _shade(TROUSERS[self.who.trousers], light)
        apart = 1 if self.view != "side" and which == "far_leg" else 0
        for a, b in ((start, knee), (knee, foot)):
            steep = abs(b[1] - a[1]) >= abs(b[0] - a[0])
            for x, y in _line(a, b):
                self.put((x + apart, y), cloth)
                self.put((x + 1 + apart, y) if steep else (x + apart, y + 1), cloth)
        shoe = _shade(SHOES[self.who.shoes], light)
        forwards = knee[1] == foot[1]  # a level shin: the sole stands upright
        toes = (0, 1) if self.view != "side" or forwards else (0, 1, 2)
        for step in toes:
            end = (
                (foot[0] + apart, foot[1] + step) if forwards else (foot[0] + step + apart, foot[1])
            )
            self.put(end, shoe)

    def _torso(self) -> None:
        shirt, pose = CLOTHES[self.who.shirt], self.pose
        wide = (-2, -1, 0, 1) if self.view == "side" else (-2, -1, 0, 1, 2)
        for up in range(TORSO):
            for across in wide:
                colour = WHITE if self._is_white(across, up) else shirt
                if pose.body == "level":
                    self.put((up - 3, across - 1), colour)
                    self.put((up - 2, across - 1), colour)
                else:
                    shift = round(pose.lean * up / (TORSO - 1))
                    self.put((across + shift, -1 - up), colour)
        if pose.body != "level":
            for across in wide:
                self.put((across, 0), TROUSERS[self.who.trousers])

    def _is_white(self, across: int, up: int) -> bool:
        pattern = self.who.pattern
        if pattern == "striped":
            return up % 2 == 1 if self.pose.body != "level" else across % 2 == 1
        if pattern == "split":
            return across >= 0
        return pattern == "spotted" and up in (1, 2) and across in (-1, 0)

    def _bag(self) -> None:
        colour = BAGS[self.who.bag]
        dark = _shade(colour, NEAR)
        pose = self.pose
        if pose.body == "level":
            for x in (-3, -2, -1):
                self.put((x, -4), colour)
                self.put((x, -5), dark)
        elif self.view == "side":
            for up in (0, 1, 2):
                shift = round(pose.lean * up / (TORSO - 1))
                self.put((shift - 3, -1 - up), colour)
                self.put((shift - 4, -1 - up), dark)
        elif self.view == "front":
            for up in (1, 2, 3):
                for across in (-2, 2):
                    self.put((across + round(pose.lean * up / (TORSO - 1)), -1 - up), colour)
        else:
            for up in (0, 1, 2):
                for across in (-1, 0, 1):
                    shift = round(pose.lean * up / (TORSO - 1))
                    self.put((across + shift, -1 - up), colour if up else dark)

    def _head(self) -> None:
        who, view = self.who, self.view
        self._stamp(HEADS[view])
        for sprite in HAIR[who.hair_shape, view]:
            self._stamp(sprite)
        if who.hat != "none":
            self._stamp(HATS[who.hat, view])

    def _stamp(self, sprite: Sprite) -> None:
        who, (x, y) = self.who, _head(self.pose)
        hat = CLOTHES[who.hat_colour]
        colours = {
            "H": HAIR_COLOURS[who.hair],
            "S": SKINS[who.skin],
            "E": EYE,
            "C": hat,
            "c": _shade(hat, NEAR),
        }
        for down, row in enumerate(sprite.rows):
            for right, letter in enumerate(row):
                if letter != ".":
                    at = (x - 3 + sprite.left + right, y + sprite.top + down)
                    self.put(at, colours[letter])


def _line(a: Point, b: Point) -> Iterator[Point]:
    """The cells from one point to another."""
    steps = max(abs(b[0] - a[0]), abs(b[1] - a[1]), 1)
    for step in range(steps + 1):
        share = step / steps
        yield round(a[0] + (b[0] - a[0]) * share), round(a[1] + (b[1] - a[1]) * share)


def _draw_scene(cells: np.ndarray, scene: Scene) -> None:
    ground = GROUNDS[scene.place]
    cells[: scene.horizon] = WALLS[scene.wall]
    cells[scene.horizon :] = ground
    if scene.place == "room":
        cells[scene.horizon] = WHITE
    elif scene.place == "beach":
        cells[scene.horizon - 2 : scene.horizon] = SEA
    else:
        cells[scene.horizon - 1, 1::4] = ground
        cells[scene.horizon + 1, 3::4] = _shade(ground, NEAR)


def _shade(colour: RGB, share: float) -> RGB:
    return tuple(round(each * share) for each in colour)  # type: ignore[return-value]


def empty_scene(picture: Picture) -> Picture:
    """The same place without anybody."""
    return Picture((), picture.scene, picture.shape)


def with_identities(picture: Picture, *identities: Identity) -> Picture:
    """The same picture with somebody else in it."""
    figures = zip(identities, picture.figures, strict=True)
    return Picture(
        tuple(Figure(who, figure.placement) for who, figure in figures),
        picture.scene,
        picture.shape,
    )
