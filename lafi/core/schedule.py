"""The window of a sampling run in which injection is on (paper, section 3.2, step 3)."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

from ..errors import LafiError
from .levels import LARGEST

# Into how many parts an adaptive sampler's run is divided.
POSITIONS = 1000


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
        begun = index >= _boundary(self.start, total)
        return begun and (self.cutoff >= 100 or index < _boundary(self.cutoff, total))

    def count(self, total: int, first: int = 0, end: int | None = None) -> int:
        """In how many of `total` evaluations, from `first` to before `end`, injection is on."""
        end = total if end is None else min(end, total)
        return sum(self.contains(index, total) for index in range(first, end))

    def passed(self, index: int, total: int) -> float:
        """Which share of the window's evaluations is over before evaluation `index`."""
        return self.count(total, 0, index) / max(self.count(total), 1)

    def last(self, index: int, total: int) -> bool:
        """Whether evaluation `index` is the window's last."""
        return not self.count(total, index + 1)

    def require(self, total: int, first: int = 0) -> int:
        """`count` of a whole run.

        Args:
            first: the first evaluation that can inject; those before it see nothing but noise.

        Raises:
            LafiError: `empty_window`, if it is none.
        """
        count = self.count(total, first)
        if not count:
            noise = ", but for those of nothing but noise," if first else ""
            raise LafiError(
                "empty_window",
                f"none of the run's {total} model evaluations{noise} lies between start "
                f"{self.start:g} % and cutoff {self.cutoff:g} %.",
                "Widen the window, or raise the number of steps.",
            )
        return count

    def groups(self, total: int, count: int) -> list[list[int]]:
        """The evaluations within, of `total`, as `count` equal groups, or fewer."""
        inside = [index for index in range(total) if self.contains(index, total)]
        count = min(count, len(inside))
        ends = [round(each * len(inside) / count) for each in range(count + 1)]
        return [inside[a:b] for a, b in itertools.pairwise(ends)]

    def middles(self, total: int, count: int) -> list[float]:
        """Each group's middle as a share of the run."""
        return [sum(each) / len(each) / total for each in self.groups(total, count)]


def _boundary(percent: float, total: int) -> int:
    """The first evaluation after `percent` of `total`.

    A part of a run is never all of it where it has at least two: few steps, as distilled models
    take, leave one evaluation to what follows.
    """
    index = math.ceil(percent * total / 100)
    return index if percent >= 100 or total < 2 else min(index, total - 1)


class AdaptiveProgress:
    """How far the run of an adaptive sampler is, by the logarithm of the noise level; never goes
    back.

    Args:
        lowest: logarithm of the model's lowest noise level, where the run ends.
    """

    def __init__(self, lowest: float) -> None:
        self._lowest = lowest
        self._top, self._furthest = -math.inf, 0

    def position(self, sigma: float) -> int:
        """Out of `POSITIONS`, at noise level `sigma`."""
        level = math.log(min(max(sigma, 1e-10), LARGEST))
        self._top = max(self._top, level)
        span = self._top - self._lowest
        share = (self._top - level) / span if span > 0 else 0.0
        self._furthest = max(self._furthest, int(share * POSITIONS))
        return self._furthest
