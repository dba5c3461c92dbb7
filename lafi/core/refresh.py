"""Where one recording of the reference serves several evaluations: when it is made, at which level.

What a reference with fixed noise looks like to the UNet changes smoothly with the noise level. So a
recording is made at the level in the middle of the evaluations that it serves, which is nearer to
all of them than the level of the first.
"""

from __future__ import annotations

import math
from collections import deque

from .levels import NoiseSchedule


class Refresh:
    """The state of one pass.

    Args:
        every: how many evaluations a recording serves; with 1 its level is the evaluation's own.
        schedule: the model's timesteps and noise levels.

    Attributes:
        level: the noise level of a recording that is made in this evaluation.
        timestep: the same as a timestep; None where it is the evaluation's own.
    """

    def __init__(self, every: int, schedule: NoiseSchedule) -> None:
        self.every = every
        self.level = 0.0
        self.timestep: float | None = None
        self._schedule = schedule
        self._seen: deque[float] = deque(maxlen=every + 1)  # timesteps
        self._index = 0
        self._made: int | None = None

    def begin(self, index: int, sigma: float, total: int, served: int) -> None:
        """Takes an evaluation's level.

        Args:
            total: the run's evaluations, as far as known.
            served: how many evaluations a recording would serve that is made in this one.
        """
        self._index = index
        self.level, self.timestep = sigma, None
        if self.every == 1:
            return
        self._seen.append(self._schedule.timestep(sigma))
        if served > 1:
            self.timestep = max(self._seen[-1] + self._pace(total) * (served - 1) / 2, 0)
            self.level = self._schedule.sigma(self.timestep)

    def made(self) -> None:
        """A recording was made, or brought back, in this evaluation."""
        self._made = self._index

    @property
    def due(self) -> bool:
        """Whether the latest recording has served its time."""
        return self._made is None or self._index - self._made >= self.every

    def recordings(self, evaluations: int) -> int:
        """How many recordings so many evaluations need."""
        return math.ceil(evaluations / self.every)

    def _pace(self, total: int) -> float:
        """Timesteps from one evaluation to the next, falling: as the last few went, or, at first,
        as if the rest of the run went evenly."""
        seen = self._seen
        if len(seen) == 1:
            return -seen[0] / max(total - self._index, 1)
        return min((seen[-1] - seen[0]) / (len(seen) - 1), 0)


class Nodes:
    """A few levels, spread over the window, each for the evaluations that are nearest to it.

    They are known before the first evaluation, so that a stream with a path of its own can be
    recorded on the way (`Refresh` forecasts one level at a time).

    Args:
        shares: of the run's timesteps, where the levels lie: 0 its beginning, 1 its end; rising.
        schedule: the model's timesteps and noise levels.
        top: the run's first noise level that holds anything of a picture.
        begun: which share of the run lies before it.

    Attributes:
        level, timestep: the nearest level of this evaluation.
        levels: all of them, rising.
    """

    def __init__(
        self, shares: list[float], schedule: NoiseSchedule, top: float, begun: float = 0.0
    ) -> None:
        first = schedule.timestep(top) / max(1 - begun, 0.01)
        self._schedule = schedule
        self._timesteps = [first * (1 - share) for share in reversed(shares)]
        self.levels = [schedule.sigma(each) for each in self._timesteps]
        self.level, self.timestep = self.levels[-1], self._timesteps[-1]
        self._made: float | None = None

    def begin(self, index: int, sigma: float, total: int, served: int) -> None:
        """Takes an evaluation's level; see `Refresh.begin`."""
        here = self._schedule.timestep(sigma)
        self.timestep = min(self._timesteps, key=lambda each: abs(each - here))
        self.level = self.levels[self._timesteps.index(self.timestep)]

    def timestep_of(self, level: float) -> float:
        """The timestep of one of the levels."""
        return self._timesteps[self.levels.index(level)]

    def made(self) -> None:
        """A recording at the nearest level was made, or brought back."""
        self._made = self.timestep

    @property
    def due(self) -> bool:
        """Whether the latest recording is of another level."""
        return self._made != self.timestep

    def recordings(self, evaluations: int) -> int:
        """How many recordings so many evaluations need."""
        return len(self.levels)
