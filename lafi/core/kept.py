"""What a picture has left while it was sampled, kept for later ones."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import torch

from .replay.bank import Bank
from .replay.key import Key
from .tokens import Tokens

# Nothing else is kept there, and it goes with the series.
UNLIMITED = 2**62
SERIES = "own"
# Why recordings of a picture's own serve nobody.
NO_MEMORY = "they did not fit into the memory for recordings"
IN_TILES = "another extension (HyperTile) cut it into tiles"
ADAPTIVE = "its sampler chose its own noise levels"

# Row kind: whether it is a cond row, and which part of the call's work it does (see `Row`).
Kind = tuple[bool, Hashable]


class Kept:
    """What a picture has left in one kind of pass (first, hires), for later ones.

    Args:
        bank: where it goes.

    Attributes:
        lacks: why it serves nobody; empty where it does.
    """

    def __init__(self, bank: Bank | None = None) -> None:
        # The tokens that keys and values are projected from are half of their size.
        self._bank = Bank(UNLIMITED, projected=False) if bank is None else bank
        self._kinds: dict[tuple[int, bool], Kind] = {}
        self._timesteps: dict[int, float] = {}
        self.lacks = ""

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return self._bank.nbytes

    def keep(self, index: int, timestep: float, kind: Kind, tokens: Tokens) -> None:
        """Keeps what a row of an evaluation has left."""
        key = Key(SERIES, (index, kind))
        self._bank.keep(key, tokens)
        if key not in self._bank:
            self.refuse(NO_MEMORY)
            return
        self._kinds.setdefault((index, kind[0]), kind)
        self._timesteps[index] = timestep

    def refuse(self, why: str) -> None:
        """Serves nobody from now on."""
        self.lacks = why
        self._bank.clear()
        self._kinds.clear()

    def nearest(self, index: int, timestep: float, cond: bool) -> int | None:
        """The evaluation whose rows of a kind are kept and whose noise level is the nearest to
        that of another, of several alike the nearest in the run; None if none is. Hosts leave out
        the uncond rows of some (NGMS), and a later picture may have other steps."""
        known = sorted(known for known, kind in self._kinds if kind is cond)

        def distance(each: int) -> tuple[float, int]:
            return abs(self._timesteps[each] - timestep), abs(each - index)

        return min(known, key=distance, default=None)

    def find(
        self, index: int, kind: Kind, sites: Sequence[str], device: torch.device
    ) -> Tokens | None:
        """What is kept of an evaluation; of another part of the prompt where this one is not."""
        found = self._bank.find(Key(SERIES, (index, kind)), sites, device)
        other = self._kinds.get((index, kind[0]))
        if found is None and other is not None:
            found = self._bank.find(Key(SERIES, (index, other)), sites, device)
        return found
