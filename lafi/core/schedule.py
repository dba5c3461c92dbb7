"""The window of a sampling run in which injection is on (paper, section 3.2, step 3)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Window:
    """From `start` up to, not including, `cutoff`: percent of a run's model evaluations.

    Evaluations are counted, not noise levels: a Restart sampler goes back up to a high noise level,
    and a window over noise levels would open again. For an adaptive sampler, whose evaluations
    nobody knows beforehand, the session puts a position by noise level that never goes back.
    """

    start: float = 0
    cutoff: float = 80

    def contains(self, index: int, total: int) -> bool:
        """Whether injection is on in evaluation `index` (from 0) of `total`.

        An adaptive sampler may need more evaluations than its `total` says; a window without end
        stays open for them.
        """
        begun = index * 100 >= self.start * total
        return begun and (self.cutoff >= 100 or index * 100 < self.cutoff * total)

    def count(self, total: int) -> int:
        """In how many of `total` evaluations injection is on."""
        return sum(self.contains(index, total) for index in range(total))
