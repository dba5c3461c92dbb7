"""Where the reference's tokens of an evaluation come from: the latest recording while it is fresh,
the bank, a row of the target's own call, or a pass of the reference's own.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import torch
from torch import Tensor, nn

from .batching import Call
from .hooks import Mode, PassState, RecordingComplete
from .memory import allocated_bytes, peak_bytes
from .onebatch import OneBatch
from .plan import Plan
from .reference import ReferenceRunner
from .refresh import Nodes, Refresh
from .replay.key import Key, Replay
from .report import PassReport, Stopwatch
from .sites import check_sites

log = logging.getLogger("LAFI")

# So many recordings serve a whole run without a loss that could be measured (docs/evidence.md).
RECORDINGS = 4


class Recorder:
    """The recordings of one pass.

    Args:
        unet: the UNet that samples.
        runner: sends the reference through it.
        plan: what to do.
        state: what the sites' hooks read.
        report: counts what happens.
        replay: a bank to replay from; None records every evaluation anew.
    """

    def __init__(
        self,
        unet: nn.Module,
        runner: ReferenceRunner,
        plan: Plan,
        state: PassState,
        report: PassReport,
        replay: Replay | None,
    ) -> None:
        self.unet, self.runner, self.plan = unet, runner, plan
        self.state, self.report = state, report
        self.refresh: Refresh | Nodes = Refresh(1, runner.reference.schedule)
        self.expected = 1  # evaluations within the window
        self._replay = replay
        self._watch = Stopwatch()
        self._one_batch = OneBatch(unet, runner, plan, state)
        self._met = self._begun = False
        self._on_the_way: set[float] = set()  # levels that an inversion's path has recorded

    def begin(self, index: int, position: int, sigma: float, total: int, adaptive: bool) -> None:
        """Takes an evaluation's level.

        Args:
            position: of `total`, where the run stands; another than `index` if adaptive.
            adaptive: whether the sampler chooses its levels itself.
        """
        if not self._begun:
            self._begun = True
            self.refresh = self._plan_levels(sigma, total, adaptive)
        every = getattr(self.refresh, "every", 1)
        served = self.plan.window.count(total, position, position + every)
        # A stream with a path of its own has no other level than the evaluation's.
        self.refresh.begin(index, sigma, total, served if self.runner.repeatable else 1)
        if adaptive:
            # Its levels are never met again: what it keeps would only push out what others need.
            self._replay = None

    def _plan_levels(self, sigma: float, total: int, adaptive: bool) -> Refresh | Nodes:
        """At which levels the pass is recorded."""
        schedule, every = self.runner.reference.schedule, self.plan.refresh
        if every:
            return Refresh(every, schedule)
        if self.runner.kind == "inversion":
            nodes = Nodes(self.plan.window.groups(total, RECORDINGS), schedule, sigma)
            self.runner.levels = nodes.levels
            return nodes
        if adaptive or not self.runner.repeatable:
            return Refresh(1, schedule)
        return Refresh(math.ceil(self.expected / RECORDINGS), schedule)

    def bring(self, call: Call, alone: bool) -> Call | None:
        """Puts the evaluation's tokens into the state, given its first call.

        Args:
            alone: no row of the call injects, so that the reference cannot be one of its rows.

        Returns:
            the call to make instead, if the reference is to be a row of it.
        """
        if not self._met:
            self._meet(call)
        if not self.refresh.due and self.state.tokens:
            self.report.reused += 1
            return None
        self.state.tokens = {}  # let go of, before others take as much memory
        if self._replays(call):
            return None
        with torch.no_grad():
            with self._watch.running(call.x.device):
                self._open(call)
            if self._replays(call):  # recorded on the way
                return None
            where = (self.refresh.level, self._timestep(call))
            if not alone and self._one_batch.chosen(call, *where, self._recording):
                return self._one_batch.extended(call, *where)
            self._record(call)
        return None

    def finish(self, call: Call, output: Tensor | None) -> Tensor | None:
        """After the call that `bring` gave back: takes the reference's row out of the answer.

        Args:
            output: (B + 1, C, h, w); None where the UNet failed.
        """
        rows = self._one_batch.taken(call, output)
        if rows is not None:
            self.report.fused += 1
            self._made(call)
        return rows

    def drop(self) -> None:
        """Lets go of the tokens."""
        self.state.tokens = {}
        self._one_batch.drop()

    def close(self) -> None:
        """Lets go of everything."""
        self.drop()
        self.runner.close()
        self.report.reference_seconds = self._watch.seconds()

    # ---- the reference stream -----------------------------------------------------------------

    def _meet(self, call: Call) -> None:
        """What only the pass's first call tells: what others have made of the UNet, and tiles."""
        check_sites(self.unet, self.plan.sites)
        if self.runner.fit(call.x):
            (h, w), (own_h, own_w) = call.x.shape[-2:], self.runner.reference.z0.shape[-2:]
            log.info("the picture is made in tiles of %dx%d latent cells: the reference is used at "
                     "%dx%d.", w, h, own_w, own_h)  # fmt: skip
            self.state.select = self.runner.reference.mask
        self._met = True

    def _open(self, call: Call) -> None:
        """Makes the stream ready; one with a path of its own is recorded on the way."""
        passing = None
        if isinstance(self.refresh, Nodes) and self._keeps:
            nodes = self.refresh

            @contextmanager
            def passing(level: float) -> Iterator[None]:
                state = self.state
                state.tokens, state.last = {}, None
                with state.during(Mode.RECORD):
                    yield
                self._recorded(call, level, nodes.timestep_of(level))
                self._on_the_way.add(level)
                state.tokens = {}

        self.runner.open(call.x, call.timesteps, call.kwargs, passing)

    def _record(self, call: Call) -> None:
        x, report = call.x, self.report
        before, peak = allocated_bytes(x.device), peak_bytes(x.device)
        with self._watch.running(x.device), self._recording():
            self.runner.run(self.refresh.level, x, self._timestep(call), call.kwargs)
        # The peak's counter is the host's, and not reset: only a new peak tells anything.
        if peak_bytes(x.device) > peak:
            report.peak_bytes = max(report.peak_bytes, peak_bytes(x.device) - before)
        self._made(call)

    def _timestep(self, call: Call) -> Tensor:
        """The reference's (1,), as the UNet reads it."""
        own = self.refresh.timestep
        # Fractional, also where the sampler itself counts in whole timesteps.
        if own is None:
            return call.timesteps[:1]
        return torch.full((1,), own, device=call.timesteps.device)

    @contextmanager
    def _recording(self) -> Iterator[None]:
        """Around a separate pass of the reference's row."""
        state = self.state
        state.last = None if self.runner.needs_output else self.plan.sites[-1].name
        with state.during(Mode.RECORD), suppress(RecordingComplete):
            yield

    def _made(self, call: Call) -> None:
        """After a recording for this evaluation."""
        if self.state.tokens:  # else the UNet does not call its own layers: nothing injects either
            self.refresh.made()
            self._recorded(call, self.refresh.level, self.refresh.timestep)

    def _recorded(self, call: Call, level: float, timestep: float | None) -> None:
        """Counts a recording, and hands it to the bank."""
        report, tokens = self.report, self.state.tokens
        report.recorded += 1
        held = sum(each.nbytes() for each in tokens.values())
        report.reference_bytes = max(report.reference_bytes, held)
        report.peak_bytes = max(report.peak_bytes, held)
        key = self._key(call, level, timestep)
        if self._replay is not None and key is not None:
            self._replay.bank.keep(key, tokens, self.refresh.recordings(self.expected))

    # ---- the bank -----------------------------------------------------------------------------

    def _replays(self, call: Call) -> bool:
        key = self._key(call, self.refresh.level, self.refresh.timestep)
        if self._replay is None or key is None:
            return False
        names = [site.name for site in self.plan.sites]
        found = self._replay.bank.find(key, names, call.x.device)
        if found is None:
            return False
        self.state.tokens = found
        self.refresh.made()
        if self.refresh.level in self._on_the_way:
            self.report.reused += 1
        else:
            self.report.replayed += 1
        return True

    @property
    def _keeps(self) -> bool:
        """Whether recordings go to a bank."""
        return self._replay is not None and self.runner.repeatable

    def _key(self, call: Call, level: float, timestep: float | None) -> Key | None:
        """Under what a recording at a level is kept; None if nothing says what it holds."""
        if self._replay is None or not self._keeps:
            return None
        identity = self._replay.identity()
        if identity is None:
            return None
        if timestep is None:
            # Hosts may round it, so that the level alone does not tell.
            timestep = float(call.timesteps[0])
        series = (identity, self.runner.digest(), call.x.device, self.state.dtype)
        return Key(series, (level, timestep))
