"""Draws the toy world: jointed figures from circles, capsules and polygons, antialiased.

Lengths are shares of the upright body's length. Angles are in degrees: 0 hangs straight down, 90
points where the figure faces, 180 straight up.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from random import Random

import numpy as np
from PIL import Image, ImageDraw

from .world import (
    CLOTHES,
    GROUNDS,
    HAIR_COLOURS,
    RGB,
    SHOES,
    SIZE,
    SKINS,
    TROUSERS,
    WALLS,
    Identity,
    Picture,
    Placement,
    Scene,
)

OVERSAMPLING = 3
HEAD, TORSO, WIDTH = 0.17, 0.27, 0.27
UPPER_ARM, FOREARM, THIGH, SHIN = 0.16, 0.16, 0.15, 0.15
ARM_THICK, LEG_THICK = 0.095, 0.12
WHITE: RGB = (250, 250, 250)
KEYPOINTS = (
    "head", "neck", "hip",
    "near elbow", "near hand", "far elbow", "far hand",
    "near knee", "near foot", "far knee", "far foot",
)  # fmt: skip
PARTS = ("background", "skin", "hair", "hat", "shirt", "trousers", "shoes")

# action: torso, near arm (upper, fore), far arm, near leg (thigh, shin), far leg, turn, lift
POSES: dict[str, tuple[float, ...]] = {
    "standing": (0, -14, -6, 14, 8, 5, 3, -7, -5, 0, 0),
    "waving": (0, -138, -176, 14, 8, 5, 3, -7, -5, 0, 0),
    "cheering": (0, -140, -165, 140, 165, 12, 8, -12, -8, 0, 0),
    "pointing": (0, -16, -4, 90, 92, 5, 3, -9, -7, 0, 0),
    "running": (14, -62, 0, 58, 132, 62, -25, -25, -88, 0, 0.05),
    "jumping": (0, -106, -116, 106, 116, 42, 34, -42, -34, 0, 0.17),
    "sitting": (-6, -30, 4, 36, 64, 86, 4, 74, -6, 0, 0),
    "kicking": (-16, -52, -24, 64, 92, 100, 92, -6, -4, 0, 0),
    "crawling": (72, 4, 0, -12, -4, 10, -76, -16, -84, 0, 0),
    "handstanding": (0, -168, -174, 168, 174, 24, 14, -16, -40, 180, 0),
}


@dataclass(frozen=True)
class Figure:
    """A drawn figure: its placement and its joints (11, 2), pixels, in the order of KEYPOINTS."""

    placement: Placement
    joints: np.ndarray


@dataclass(frozen=True)
class Rendering:
    """A drawn picture.

    Attributes:
        pixels: (SIZE, SIZE, 3) bytes.
        labels: (SIZE, SIZE) bytes, indices into PARTS; None if not asked for.
        figures: the figures in it.
    """

    pixels: np.ndarray
    labels: np.ndarray | None
    figures: tuple[Figure, ...]


class _Canvas:
    """A picture and, beside it, the map of parts."""

    def __init__(self, labels: bool) -> None:
        big = SIZE * OVERSAMPLING
        self.image = Image.new("RGB", (big, big))
        self._colour = ImageDraw.Draw(self.image)
        self.parts = Image.new("L", (big, big)) if labels else None
        self._part = ImageDraw.Draw(self.parts) if self.parts else None

    def polygon(self, points: list[tuple[float, float]], colour: RGB, part: str) -> None:
        scaled = [(x * OVERSAMPLING, y * OVERSAMPLING) for x, y in points]
        self._colour.polygon(scaled, fill=colour)
        if self._part:
            self._part.polygon(scaled, fill=PARTS.index(part))

    def circle(self, centre: np.ndarray, radius: float, colour: RGB, part: str) -> None:
        x, y, r = centre[0] * OVERSAMPLING, centre[1] * OVERSAMPLING, radius * OVERSAMPLING
        self._colour.ellipse((x - r, y - r, x + r, y + r), fill=colour)
        if self._part:
            self._part.ellipse((x - r, y - r, x + r, y + r), fill=PARTS.index(part))

    def capsule(self, a: np.ndarray, b: np.ndarray, thick: float, colour: RGB, part: str) -> None:
        along = (b - a) / max(float(np.hypot(*(b - a))), 1e-6) * thick / 2
        side = np.array([-along[1], along[0]])
        self.polygon([tuple(p) for p in (a + side, b + side, b - side, a - side)], colour, part)
        self.circle(a, thick / 2, colour, part)
        self.circle(b, thick / 2, colour, part)


@dataclass(frozen=True)
class _Frame:
    """A local frame: origin, forward and up in pixels per unit."""

    origin: np.ndarray
    forward: np.ndarray
    up: np.ndarray

    def at(self, forward: float, up: float) -> np.ndarray:
        return self.origin + forward * self.forward + up * self.up

    def points(self, *points: tuple[float, float]) -> list[tuple[float, float]]:
        return [tuple(self.at(*point)) for point in points]

    def arc(self, radius: float, start: float, end: float) -> list[tuple[float, float]]:
        """Points on a circle round the origin; 0 is forward, 90 up."""
        angles = np.radians(np.linspace(start, end, 14))
        return [tuple(self.at(radius * math.cos(t), radius * math.sin(t))) for t in angles]


def render(picture: Picture, labels: bool = False) -> Rendering:
    """Draws a picture."""
    canvas = _Canvas(labels)
    _draw_scene(canvas, picture.scene)
    figures = tuple(_draw_figure(canvas, picture.identity, each) for each in picture.placements)
    pixels = np.asarray(canvas.image.reduce(OVERSAMPLING))
    parts = None
    if canvas.parts:
        parts = np.asarray(canvas.parts.resize((SIZE, SIZE), Image.Resampling.NEAREST))
    return Rendering(pixels, parts, figures)


def joints_of(placement: Placement) -> np.ndarray:
    """The joints (11, 2) of a placed figure, pixels, in the order of KEYPOINTS."""
    return _skeleton(placement)[0]


def _skeleton(placement: Placement) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Joints, and the further points and directions that drawing needs."""
    rng = Random(placement.wobble)
    torso, *limbs, turn, lift = POSES[placement.action]
    torso += rng.uniform(-5, 5)
    limbs = [angle + rng.uniform(-8, 8) for angle in limbs]

    def step(angle: float, length: float) -> np.ndarray:
        radians = math.radians(angle + turn)
        return np.array([math.sin(radians), math.cos(radians)]) * length  # y down

    hip = np.zeros(2)
    up = step(180 - torso, 1)
    neck = hip + up * TORSO
    head_up = step(180 - torso * 0.4, 1)
    head = neck + head_up * (HEAD * 0.92)
    side = np.array([-up[1], up[0]])
    points = {
        "near shoulder": neck - up * 0.05 - side * 0.08,
        "far shoulder": neck - up * 0.05 + side * 0.08,
    }
    points |= {"near hip": hip - side * 0.045, "far hip": hip + side * 0.045}
    joints = [head, neck, hip]
    for index, which in enumerate(("near", "far")):
        elbow = points[f"{which} shoulder"] + step(limbs[2 * index], UPPER_ARM)
        joints += [elbow, elbow + step(limbs[2 * index + 1], FOREARM)]
    for index, which in enumerate(("near", "far"), start=2):
        knee = points[f"{which} hip"] + step(limbs[2 * index], THIGH)
        joints += [knee, knee + step(limbs[2 * index + 1], SHIN)]
    return _to_pixels(placement, np.stack(joints), points | {"up": up, "head up": head_up}, lift)


def _to_pixels(
    placement: Placement, joints: np.ndarray, points: dict[str, np.ndarray], lift: float
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    middle = (joints[:, 0].min() + joints[:, 0].max()) / 2
    lowest = max(joints[:, 1].max() + 0.04, joints[0, 1] + HEAD) + lift
    mirror = np.array([1.0 if placement.facing == "right" else -1.0, 1.0])
    corner = np.array([placement.x, placement.ground])

    def move(point: np.ndarray) -> np.ndarray:
        return corner + (point - [middle, lowest]) * mirror * placement.size

    moved = {
        name: point * mirror * placement.size if "up" in name else move(point)
        for name, point in points.items()
    }
    return move(joints), moved


def _draw_figure(canvas: _Canvas, identity: Identity, placement: Placement) -> Figure:
    joints, points = _skeleton(placement)
    size = placement.size
    joint = dict(zip(KEYPOINTS, joints, strict=True))
    turned = placement.action == "handstanding"
    facing = (1 if placement.facing == "right" else -1) * (-1 if turned else 1)

    def frame(origin: np.ndarray, up: np.ndarray) -> _Frame:
        return _Frame(origin, np.array([-up[1], up[0]]) * facing, up)

    body, head = frame(joint["hip"], points["up"]), frame(joint["head"], points["head up"])
    shirt, trousers = CLOTHES[identity.shirt], TROUSERS[identity.trousers]
    shoes, skin = SHOES[identity.shoes], SKINS[identity.skin]

    def leg(which: str, shade: float) -> None:
        knee, foot = joint[f"{which} knee"], joint[f"{which} foot"]
        colour = _shade(trousers, shade)
        canvas.capsule(points[f"{which} hip"], knee, LEG_THICK * size, colour, "trousers")
        canvas.capsule(knee, foot, LEG_THICK * size * 0.92, colour, "trousers")
        down = (foot - knee) / max(float(np.hypot(*(foot - knee))), 1e-6)
        toe = np.array([down[1], -down[0]]) * facing * (-1 if turned else 1)
        toe = foot + (toe if not turned else -toe) * 0.07 * size
        canvas.capsule(foot, toe, LEG_THICK * size, _shade(shoes, shade), "shoes")

    def arm(which: str, shade: float) -> None:
        elbow, hand = joint[f"{which} elbow"], joint[f"{which} hand"]
        colour = _shade(shirt, shade)
        canvas.capsule(points[f"{which} shoulder"], elbow, ARM_THICK * size, colour, "shirt")
        canvas.capsule(elbow, hand, ARM_THICK * size * 0.92, colour, "shirt")
        canvas.circle(hand, ARM_THICK * size * 0.6, _shade(skin, shade), "skin")

    arm("far", 0.8)
    leg("far", 0.8)
    leg("near", 1)
    _draw_torso(canvas, body, identity, size)
    _draw_head(canvas, head, identity, size)
    arm("near", 0.92)
    return Figure(placement, joints)


def _draw_torso(canvas: _Canvas, body: _Frame, identity: Identity, size: float) -> None:
    shirt = CLOTHES[identity.shirt]
    half, low, high = WIDTH / 2, -0.05, TORSO
    canvas.capsule(
        body.at(0, low + 0.02), body.at(0, low + 0.05), WIDTH * 0.9 * size,
        TROUSERS[identity.trousers], "trousers",
    )  # fmt: skip
    outline = [
        (-half, low + 0.04), (half, low + 0.04), (half, high - 0.06), (half * 0.6, high),
        (-half * 0.6, high), (-half, high - 0.06),
    ]  # fmt: skip
    canvas.polygon(body.points(*outline), shirt, "shirt")
    if identity.pattern == "striped":
        for up in (0.045, 0.15):
            band = ((-half, up), (half, up), (half, up + 0.05), (-half, up + 0.05))
            canvas.polygon(body.points(*band), WHITE, "shirt")
    elif identity.pattern == "split":
        side = (
            (0, low + 0.04),
            (half, low + 0.04),
            (half, high - 0.06),
            (half * 0.6, high),
            (0, high),
        )
        canvas.polygon(body.points(*side), WHITE, "shirt")
    elif identity.pattern == "spotted":
        canvas.circle(body.at(0, 0.12), 0.075 * size, WHITE, "shirt")


def _draw_head(canvas: _Canvas, head: _Frame, identity: Identity, size: float) -> None:
    hair, skin = HAIR_COLOURS[identity.hair], SKINS[identity.skin]
    radius = HEAD
    if identity.hair_shape == "long":
        panel = ((-1.1, 0.2), (0.05, 0.4), (-0.1, -1.3), (-1.15, -1.3))
        scaled = [(x * radius, y * radius) for x, y in panel]
        canvas.polygon(head.points(*scaled), hair, "hair")
    if identity.hair_shape == "bun":
        canvas.circle(head.at(-radius * 1.0, radius * 0.55), radius * 0.5 * size, hair, "hair")
    canvas.circle(head.origin, radius * size, skin, "skin")
    canvas.polygon(head.arc(radius * 1.06, 42, 222), hair, "hair")
    if identity.hair_shape == "spiky":
        for angle in (50, 85, 120, 155):
            tip = head.arc(radius * 1.55, angle, angle)[0]
            base = head.arc(radius, angle - 22, angle + 22)
            canvas.polygon([tip, base[0], base[-1]], hair, "hair")
    eye = radius * 0.14 * size
    canvas.circle(head.at(radius * 0.62, -radius * 0.05), eye, (20, 20, 24), "skin")
    canvas.circle(head.at(radius * 0.1, -radius * 0.05), eye, (20, 20, 24), "skin")
    mouth = ((0.2, -0.5), (0.7, -0.45), (0.4, -0.65))
    canvas.polygon(
        head.points(*[(x * radius, y * radius) for x, y in mouth]), (150, 40, 50), "skin"
    )
    _draw_hat(canvas, head, identity)


def _draw_hat(canvas: _Canvas, head: _Frame, identity: Identity) -> None:
    colour, radius = CLOTHES[identity.hat_colour], HEAD
    if identity.hat == "cap":
        canvas.polygon(head.arc(radius * 1.14, 14, 176), colour, "hat")
        brim = ((0.6, 0.26), (1.6, 0.2), (1.6, 0.42), (0.6, 0.6))
        scaled = [(x * radius, y * radius) for x, y in brim]
        canvas.polygon(head.points(*scaled), _shade(colour, 0.8), "hat")
    elif identity.hat == "cone":
        cone = ((-1.1, 0.4), (1.1, 0.4), (0.0, 2.1))
        canvas.polygon(head.points(*[(x * radius, y * radius) for x, y in cone]), colour, "hat")


def _draw_scene(canvas: _Canvas, scene: Scene) -> None:
    edge, horizon = float(SIZE), scene.horizon
    wall, ground = WALLS[scene.wall], GROUNDS[scene.place]
    canvas.polygon([(0, 0), (edge, 0), (edge, edge), (0, edge)], wall, "background")
    floor = [(0, horizon), (edge, horizon), (edge, edge), (0, edge)]
    canvas.polygon(floor, ground, "background")
    if scene.place == "room":
        board = [(0, horizon - 4), (edge, horizon - 4), (edge, horizon), (0, horizon)]
        canvas.polygon(board, WHITE, "background")


def _shade(colour: RGB, share: float) -> RGB:
    return tuple(round(each * share) for each in colour)  # type: ignore[return-value]
