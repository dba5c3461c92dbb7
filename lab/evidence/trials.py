"""What is asked for: reference pictures, prompts, and what of a reference a method shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from lafi.core.mask import FigureMask, TokenMask
from lafi.webui.cutout import cut_out

from ..training.data import to_bytes
from ..world import (
    ACTIONS,
    CELL,
    GROUNDS,
    WALLS,
    Figure,
    Picture,
    Scene,
    draw_identity,
    draw_picture,
    render,
)
from ..world.draw import empty_scene, with_identities
from .methods import Method
from .tokens import thinned

SHAPE = (16, 16)  # columns and rows of every picture
SIDES = ("left", "right")


@dataclass(frozen=True)
class Trial:
    """A reference picture and the pictures that are asked for with it (one figure each)."""

    reference: Picture
    wanted: tuple[Picture, ...]


@dataclass(frozen=True)
class Count:
    """How many references, prompts of each, and seeds of each."""

    references: int
    prompts: int
    seeds: int

    @property
    def pictures(self) -> int:
        """Of all."""
        return self.references * self.prompts * self.seeds

    @property
    def clusters(self) -> np.ndarray:
        """(pictures,) which reference each picture belongs to."""
        return np.repeat(np.arange(self.references), self.prompts * self.seeds)

    def at_most(self, other: Count) -> Count:
        """The smaller number of each."""
        mine, others = (tuple(vars(each).values()) for each in (self, other))
        return Count(*map(min, mine, others))

    def within(self, whole: Count) -> np.ndarray:
        """(pictures,) where these are among the pictures of a larger count."""
        every = np.arange(whole.pictures).reshape(whole.references, whole.prompts, whole.seeds)
        return every[: self.references, : self.prompts, : self.seeds].ravel()

    def of(self, trials: Sequence[Trial]) -> list[Trial]:
        """The first references, with their first prompts."""
        first = trials[: self.references]
        return [Trial(each.reference, each.wanted[: self.prompts]) for each in first]


def draw_trials(count: int, prompts: int, seed: int, held_out: bool = True) -> list[Trial]:
    """References of held-out or known identities, with prompts of other actions and walls."""
    rng = Random(seed)
    trials = []
    for _ in range(count):
        facing = rng.choice(SIDES)
        reference = draw_picture(rng, held_out=held_out, shape=SHAPE, facing=facing)
        figure = reference.figures[0]
        others = [a for a in ACTIONS if a != figure.placement.action]
        wanted = []
        for action in rng.sample(others, prompts):
            place = replace(
                figure.placement, action=action, facing=rng.choice(SIDES), x=8, wobble=0
            )
            walls = [wall for wall in WALLS if wall != reference.scene.wall]
            scene = Scene(rng.choice(walls), rng.choice(list(GROUNDS)), 12)
            wanted.append(Picture((Figure(figure.identity, place),), scene))
        trials.append(Trial(reference, tuple(wanted)))
    return trials


def shown(method: Method, trial: Trial) -> list[Picture]:
    """The pictures that the reference streams get: one, or several views."""
    return [_view(each, trial) for each in (method.reference, *method.views)]


def _view(which: str, trial: Trial) -> Picture:
    own = trial.reference
    figure = own.figures[0]
    if which == "blank":
        return empty_scene(own)
    if which == "same pose":
        placement = trial.wanted[0].figures[0].placement
        return Picture((Figure(figure.identity, placement),), own.scene, own.shape)
    if which in ("front", "back"):
        placement = replace(figure.placement, action="standing", facing=which)
        return Picture((Figure(figure.identity, placement),), own.scene, own.shape)
    if which == "another identity":
        who = figure.identity
        return with_identities(own, draw_identity(Random(str(who)), who.held_out))
    return own


def mask_of(method: Method, picture: Picture):
    """Which of a reference's tokens a method keeps; None for all."""
    mask = None
    if method.mask == "figure":
        differs = (render(picture) != render(empty_scene(picture))).any(2)
        mask = TokenMask(torch.from_numpy(differs))
    elif method.mask != "none":
        # What is left out of the tokens below cannot be told from the figure.
        whole = method.mask == "cutout" and method.rate == 1
        kind = FigureMask if whole else TokenMask
        cells = figure_of(render(picture), grown=method.mask == "grown")
        mask = None if cells is None else kind(cells)
    return thinned(method.thin, method.rate, mask)


def figure_of(cells: Tensor | np.ndarray, grown: bool = False) -> Tensor | None:
    """The figure (rows, columns) as LAFI cuts it out; None where it finds none.

    Args:
        cells: (rows, columns, 3) bytes, or (1, 3, rows, columns) in -1..1.
        grown: by one cell in every direction.
    """
    pixels = to_bytes(cells)[0] if isinstance(cells, Tensor) else cells
    rows, columns = pixels.shape[:2]
    picture = Image.fromarray(pixels).resize(
        (columns * CELL, rows * CELL), Image.Resampling.NEAREST
    )
    figure = cut_out(picture)
    if figure is None:
        return None
    kept = np.asarray(figure).reshape(rows, CELL, columns, CELL).max((1, 3)) > 127
    mask = torch.from_numpy(kept)
    if grown:
        mask = F.max_pool2d(mask.float()[None, None], 3, 1, 1)[0, 0].bool()
    return mask
