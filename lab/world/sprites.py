"""Heads, hair and hats as small drawings, read row by row; column 3 is the middle of the head.

H hair, S skin, E eye, C hat, c the hat's shadow. The side view faces right.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Sprite:
    """A drawing whose upper left corner lies `left` columns and `top` rows from the head's."""

    rows: tuple[str, ...]
    left: int = 0
    top: int = 0


def _sprite(text: str, left: int = 0, top: int = 0) -> Sprite:
    return Sprite(tuple(text.split()), left, top)


HEADS: dict[str, Sprite] = {
    "side": _sprite(
        """
        .HHHHH.
        HHHHHH.
        HHSSES.
        HHSSESS
        .SSSSS.
        """
    ),
    "front": _sprite(
        """
        .HHHHH.
        HHHHHHH
        HSESESH
        HSESESH
        .SSSSS.
        """
    ),
    "back": _sprite(
        """
        .HHHHH.
        HHHHHHH
        HHHHHHH
        HHHHHHH
        .HHHHH.
        """
    ),
}
HAIR: dict[tuple[str, str], tuple[Sprite, ...]] = {
    ("short", "side"): (),
    ("short", "front"): (),
    ("short", "back"): (),
    ("long", "side"): (_sprite("H HH HH HHH HHH HH", -1, 2),),
    ("long", "front"): (_sprite("H H HH HH H", -1, 3), _sprite(".H .H HH HH .H", 6, 3)),
    ("long", "back"): (_sprite("HHHHHHH HHHHHHH HHHHHHH .HHHHH.", 0, 3),),
    ("spiky", "side"): (_sprite("..H.H.H. .HHHHHH. HH.HHHH. .H...... HH...... .H......", -1, -1),),
    ("spiky", "front"): (_sprite(".H.H.H.H. .HHHHHHH. HH.....HH ......... HH.....HH", -1, -1),),
    ("spiky", "back"): (_sprite(".H.H.H.H. .HHHHHHH. HH.....HH ......... HH.....HH", -1, -1),),
    ("bun", "side"): (_sprite(".HH HHH HHH .HH", -3, 1),),
    ("bun", "front"): (_sprite("HH HH", -2, 0), _sprite("HH HH", 7, 0)),
    ("bun", "back"): (_sprite("HH HH", -2, 0), _sprite("HH HH", 7, 0)),
}
_CONE = _sprite(
    """
    ....C....
    ...CCC...
    ...CCC...
    .CCCCCCC.
    .ccccccc.
    """,
    -1,
    -3,
)
_CROWN = _sprite("C.C.C.C CCCCCCC ccccccc", 0, -1)
_CAP = _sprite(".CCCCC. CCCCCCC ccccccc", 0, -1)
HATS: dict[tuple[str, str], Sprite] = {
    ("cap", "side"): _sprite(".CCCC.... CCCCCC... CCCCCcccc", 0, -1),
    ("cap", "front"): _CAP,
    ("cap", "back"): _sprite(".CCCCC. CCCCCCC CCCCCCC", 0, -1),
    ("cone", "side"): _CONE,
    ("cone", "front"): _CONE,
    ("cone", "back"): _CONE,
    ("crown", "side"): _sprite("C.C.C.C CCCCCCC cccccc.", 0, -1),
    ("crown", "front"): _CROWN,
    ("crown", "back"): _CROWN,
}
