"""The pixel world: who is in a picture, what they do, where, and the caption that says so.

Everything is drawn from a seeded `random.Random`, so that a number names a picture for ever.
"""

from .captions import caption, training_caption
from .draw import joints_of, render
from .identity import CHOICES, Identity, draw_identity
from .picture import (
    ACTIONS,
    CELL,
    FACINGS,
    GROUNDS,
    KEYPOINTS,
    WALLS,
    Figure,
    Picture,
    Placement,
    Scene,
    draw_picture,
    is_held_out,
    training_pictures,
)

__all__ = [
    "ACTIONS",
    "CELL",
    "CHOICES",
    "FACINGS",
    "GROUNDS",
    "KEYPOINTS",
    "WALLS",
    "Figure",
    "Identity",
    "Picture",
    "Placement",
    "Scene",
    "caption",
    "draw_identity",
    "draw_picture",
    "is_held_out",
    "joints_of",
    "render",
    "training_caption",
    "training_pictures",
]
