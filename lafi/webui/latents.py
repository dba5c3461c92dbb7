"""Encoded references. Like recordings they outlive the run: on hosts that move models, an encoding
costs two changes of the model on the GPU."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable

from torch import Tensor

BUDGET = 32 * 2**20


class Latents:
    """The latest ones, in main memory.

    Args:
        budget: in bytes.
    """

    def __init__(self, budget: int = BUDGET) -> None:
        self.budget = budget
        self._kept: OrderedDict[Hashable, Tensor] = OrderedDict()

    @property
    def nbytes(self) -> int:
        """What they take."""
        return sum(each.nbytes for each in self._kept.values())

    def get(self, key: Hashable, encode: Callable[[], Tensor]) -> Tensor:
        """The latent (1, C, h, w) of a key, encoded if it is not kept.

        Args:
            key: everything that decides it.
        """
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        latent = self._kept[key] = encode().cpu()
        while self.nbytes > self.budget:
            self._kept.popitem(last=False)
        return latent

    def clear(self) -> None:
        """Forgets all."""
        self._kept.clear()
