"""All pictures that a request shows, opened; and where in the new picture they act."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from modules import shared

from ..errors import invalid
from ..references import Character
from ..regions import Region
from ..settings import LafiSettings
from .images import Picture, open_picture

# Scripts that make tiles of a picture as pictures of their own.
TILES = ("SD upscale",)


@dataclass(frozen=True)
class View:
    """One picture, and the character that it shows."""

    picture: Picture
    character: Character

    @property
    def mask_given(self) -> bool:
        """Whether it has a mask, or transparency, of the user's: not a figure that was cut out."""
        return self.picture.mask is not None and self.picture.figure is None


def open_views(settings: LafiSettings) -> list[list[View]]:
    """The pictures of each character.

    Raises:
        LafiError: naming the field.
    """
    background = shared.opts.img2img_background_color
    return [
        [
            View(open_picture(image, mask, background, settings.cutout, (name, other)), character)
            for (name, image), (other, mask) in character.views
        ]
        for character in settings.characters
    ]


def part_made(p: Any) -> Region:
    """The part of the picture that a pass makes: in inpainting the masked area alone, where the
    user wants that.

    Raises:
        LafiError: naming the region, where it cannot be known.
    """
    box = getattr(p, "paste_to", None)
    whole = getattr(p, "mask_for_overlay", None)
    if not box and _title(p) not in TILES:
        return Region()
    if not box or whole is None:
        raise invalid(
            "region", "cannot be found: a part of the picture is made; which, is not said"
        )
    (x, y, width, height), (across, down) = box, whole.size
    return Region(x / across, (x + width) / across, y / down, (y + height) / down)


def _title(p: Any) -> str:
    """Of the selectable script that makes the picture, as the host's menu has it."""
    scripts = getattr(getattr(p, "scripts", None), "selectable_scripts", ())
    number = next(iter(getattr(p, "script_args", None) or (0,)), 0)
    chosen = isinstance(number, int) and 0 < number <= len(scripts)
    return str(scripts[number - 1].title()) if chosen else ""
