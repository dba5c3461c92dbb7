"""Captions: what a figure does, which way it faces and where; the identity only when asked for."""

from __future__ import annotations

from random import Random

from .picture import Figure, Picture

EMPTY = 0.1  # share of training captions without a word, for classifier-free guidance
NAMED = 0.6  # share of training captions that say who it is


def caption(picture: Picture, rng: Random | None = None, named: bool = False) -> str:
    """The caption of a picture.

    Args:
        rng: leaves parts out at random, as training wants it; None keeps everything.
        named: says the identity too.
    """

    def keep(share: float) -> bool:
        return rng is None or rng.random() < share

    figures = picture.figures
    same = len({figure.identity for figure in figures}) == 1
    if len(figures) == 1:
        parts = ["a figure"]
    else:
        parts = ["the same figure twice" if same else "two figures"]
    for index, figure in enumerate(figures):
        if named and (index == 0 or not same):
            parts += [words for words in figure.identity.words() if keep(0.85)]
        if keep(0.97):
            parts.append(_doing(figure))
    if keep(0.85):
        parts.append(f"{picture.scene.wall} {picture.scene.place}")
    return ", ".join(parts)


def training_caption(picture: Picture, rng: Random) -> str:
    """A caption as training shows it."""
    if rng.random() < EMPTY:
        return ""
    return caption(picture, rng, named=rng.random() < NAMED)


def _doing(figure: Figure) -> str:
    return f"{figure.placement.action} facing {figure.placement.facing}"
