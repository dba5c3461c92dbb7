"""One reference's tokens in each evaluation: the latest recording while it is fresh, or one from
the bank; and when a new one is due.
"""

from __future__ import annotations

import math
from collections.abc import Hashable
from typing import Any

import torch
from torch import Tensor

from .batching import Call
from .mask import FigureMask
from .plan import Plan
from .refresh import Nodes, Refresh
from .replay.key import Key, Replay
from .report import PassReport, ReferenceReport
from .runner import ReferenceRunner
from .schedule import Window
from .tokens import Tokens, nbytes

# So many recordings serve a whole run without a loss that could be measured (docs/evidence.md).
RECORDINGS = 4
# Share of the window after which nothing of a figure's background comes through; the last
# evaluation is always such a one.
BACKGROUND_SHARE = 0.7


def mutes(mask: Any, window: Window, position: int, total: int) -> bool:
    """Whether nothing of a figure's background comes through in an evaluation."""
    over = window.passed(position, total) >= BACKGROUND_SHARE or window.last(position, total)
    return over and isinstance(mask, FigureMask)


class Recorder:
    """The recordings of one reference in one pass.

    Args:
        runner: its stream.
        plan: what to do.
        report: counts what happens.
        name: of the reference in the report.
        replay: a bank to replay from; None records every evaluation anew.

    Attributes:
        tokens: those of this evaluation; empty where none are known.
        refresh: when a recording is made, and at which level.
        expected: evaluations within the window.
        muted: whether nothing of the figure's background comes through in this evaluation.
    """

    def __init__(
        self,
        runner: ReferenceRunner,
        plan: Plan,
        report: PassReport,
        name: str,
        replay: Replay | None,
    ) -> None:
        self.runner, self.plan = runner, plan
        self.report, self.own = report, ReferenceReport(name)
        report.references.append(self.own)
        self.refresh: Refresh | Nodes = Refresh(1, runner.reference.schedule)
        self.expected = 1
        self.muted = False
        self.tokens: Tokens = {}
        self._replay = replay if runner.repeatable else None
        self._begun = False
        self._on_the_way: set[float] = set()  # levels that an inversion's path has recorded

    def begin(self, index: int, position: int, sigma: float, total: int, adaptive: bool) -> None:
        """Takes an evaluation's level.

        Args:
            position: of `total`, where the run stands; another than `index` if adaptive.
            adaptive: whether the sampler chooses its levels itself.
        """
        self.runner.announce(sigma, total)
        if not self._begun:
            self._begun = True
            self.refresh = self._plan_levels(position, sigma, total, adaptive)
        window = self.plan.window
        self.muted = mutes(self.runner.reference.mask, window, position, total)
        every = getattr(self.refresh, "every", 1)
        served = window.count(total, position, position + every)
        # A stream with a path of its own has no other level than the evaluation's.
        self.refresh.begin(index, sigma, total, served if self.runner.repeatable else 1)
        if adaptive:
            # Its levels are never met again: what it keeps would only push out what others need.
            self._replay = None

    def _plan_levels(
        self, position: int, sigma: float, total: int, adaptive: bool
    ) -> Refresh | Nodes:
        """At which levels the pass is recorded."""
        schedule, every = self.runner.reference.schedule, self.plan.refresh
        if every:
            return Refresh(every, schedule)
        if self.runner.kind == "inversion":
            shares = self.plan.window.middles(total, RECORDINGS)
            nodes = Nodes(shares, schedule, sigma, position / total)
            self.runner.levels = nodes.levels
            return nodes
        if adaptive or not self.runner.repeatable:
            return Refresh(1, schedule)
        return Refresh(math.ceil(self.expected / RECORDINGS), schedule)

    @property
    def keeps(self) -> bool:
        """Whether recordings go to a bank."""
        return self._replay is not None

    def identity(self) -> Hashable | None:
        """What the bank's key needs to know of the UNet as it is now; None where nobody knows."""
        return None if self._replay is None else self._replay.identity()

    def fresh(self) -> bool:
        """Whether the latest tokens serve this evaluation; else they are let go of, before others
        take as much memory."""
        if not self.refresh.due and self.tokens:
            self._count("reused")
            return True
        self.tokens = {}
        return False

    def replays(self, call: Call, identity: Hashable | None) -> bool:
        """Whether the bank has the tokens of this evaluation."""
        key = self._key(call, self.refresh.level, self.refresh.timestep, identity)
        if self._replay is None or key is None:
            return False
        names = [site.name for site in self.plan.sites]
        found = self._replay.bank.find(key, names, call.x.device)
        if found is None:
            return False
        self.tokens = found
        self.refresh.made()
        self._count("reused" if self.refresh.level in self._on_the_way else "replayed")
        return True

    def passed(self, call: Call, tokens: Tokens, level: float, identity: Hashable | None) -> None:
        """Takes what an inversion's path has recorded on its way, as far as the bank has room: what
        it has not is recorded when it is due, and counts then."""
        assert isinstance(self.refresh, Nodes)
        if self._keep(call, tokens, level, self.refresh.timestep_of(level), identity):
            self._on_the_way.add(level)
            self._recorded(tokens)

    def made(self, call: Call, tokens: Tokens, identity: Hashable | None, fused: bool) -> None:
        """Takes a recording for this evaluation."""
        self.tokens = tokens
        if fused:
            self._count("fused")
        if tokens:  # else the UNet does not call its own layers: nothing injects either
            self.refresh.made()
            self._keep(call, tokens, self.refresh.level, self.refresh.timestep, identity)
            self._recorded(tokens)

    def timestep(self, call: Call) -> Tensor:
        """A recording's (1,), as the UNet reads it."""
        own = self.refresh.timestep
        # Fractional, also where the sampler itself counts in whole timesteps.
        if own is None:
            return call.timesteps[:1]
        read = self.runner.reference.schedule.reads(own)
        return torch.full((1,), read, device=call.timesteps.device)

    def drop(self) -> None:
        """Lets go of the tokens."""
        self.tokens = {}

    def close(self) -> None:
        """Lets go of everything."""
        self.drop()
        self.runner.close()

    def _keep(
        self,
        call: Call,
        tokens: Tokens,
        level: float,
        timestep: float | None,
        identity: Hashable | None,
    ) -> bool:
        """Gives a recording to the bank; whether it has it."""
        key = self._key(call, level, timestep, identity)
        if self._replay is None or key is None:
            return False
        return self._replay.bank.keep(key, tokens, self.refresh.recordings(self.expected))

    def _recorded(self, tokens: Tokens) -> None:
        self._count("recorded")
        for each in tokens.values():
            each.settle()  # the bank has what it needs
        self.own.bytes = max(self.own.bytes, nbytes(tokens))

    def _count(self, what: str) -> None:
        self.report.count(self.own, what)

    def _key(
        self, call: Call, level: float, timestep: float | None, identity: Hashable | None
    ) -> Key | None:
        """Under what a recording at a level is kept; None if nothing says what it holds."""
        if identity is None:
            return None
        if timestep is None:
            # Hosts may round it, so that the level alone does not tell.
            timestep = float(call.timesteps[0])
        series = (identity, self.runner.digest(), call.guidance, call.x.device, call.x.dtype)
        return Key(series, (level, timestep))
