"""What each kind of model is asked for where the command line leaves it open."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class World:
    """Prompts and references.

    Attributes:
        prompts: of the new pictures.
        references: prompts of the references; seeds of drawn figures if `draws`.
        steps, size, scale: of every picture.
        draws: the references are drawn, not sampled.
    """

    prompts: tuple[str, ...]
    references: tuple[str, ...]
    steps: int
    size: int
    scale: float = 5.0
    draws: bool = False


# The seeds are those of held-out figures with much to tell them apart by.
PIXELS = World(
    prompts=(
        "a figure, running facing right, green field",
        "a figure, sitting facing left, pink room",
        "a figure, jumping facing right, blue beach",
        "a figure, kicking facing left, purple field",
    ),
    references=("3", "24"),
    steps=20,
    size=128,
    scale=3.0,
    draws=True,
)
WOMAN = "photo of a woman with red hair in a blue coat"
TRAINED = World(
    prompts=tuple(
        f"{WOMAN}, {action}"
        for action in (
            "running through a forest",
            "sitting in a cafe",
            "dancing on a stage",
            "riding a bicycle in a city",
        )
    ),
    references=(f"{WOMAN}, standing in a street",),
    steps=20,
    size=512,
)
RANDOM = World(
    prompts=("a knight, running", "a knight, sitting"), references=("1",), steps=8, size=128,
    draws=True,
)  # fmt: skip


def world_of(pixels: bool, trained: bool) -> World:
    """For the bundled model, another trained one, or a random one."""
    if pixels:
        return PIXELS
    return TRAINED if trained else RANDOM
