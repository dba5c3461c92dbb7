"""The first picture of a batch, or of a series of batches, as the reference of the others.

Its rows are in the UNet's own calls, so that they cost nothing: what they leave at the sites is
seen by the other pictures of the same call, and kept for later batches. It sees none of it itself.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import torch

from ..errors import LafiError
from .batching import Call
from .injection import Row, Seen
from .plan import Plan
from .recorder import RECORDINGS
from .recording import Recording
from .replay.bank import Bank
from .replay.key import Key
from .report import PassReport, ReferenceReport
from .stream import NoiseSchedule
from .tokens import Tokens, nbytes

# Nothing else is kept there, and it goes with the series.
UNLIMITED = 2**62


# Row kind: whether it is a cond row, and which part of the call's work it does (see `Row`).
Kind = tuple[bool, Hashable]


class Kept:
    """What the first picture has left in one kind of pass (first, hires), for the later batches."""

    def __init__(self) -> None:
        # The tokens that keys and values are projected from are half of their size.
        self._bank = Bank(UNLIMITED, projected=False)
        self._kinds: dict[tuple[int, bool], Kind] = {}

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return self._bank.nbytes

    def keep(self, index: int, kind: Kind, tokens: Tokens) -> None:
        """Keeps what a row of an evaluation has left."""
        self._kinds.setdefault((index, kind[0]), kind)
        self._bank.keep(Key(index, kind), tokens)

    def nearest(self, index: int, cond: bool) -> int | None:
        """The evaluation whose rows of a kind are kept and which lies nearest to another; None if
        none is. Hosts leave out the uncond rows of some (NGMS)."""
        known = sorted(known for known, kind in self._kinds if kind is cond)
        return min(known, key=lambda each: abs(each - index), default=None)

    def find(
        self, index: int, kind: Kind, sites: Sequence[str], device: torch.device
    ) -> Tokens | None:
        """What is kept of an evaluation; of another part of the prompt where this one is not."""
        found = self._bank.find(Key(index, kind), sites, device)
        other = self._kinds.get((index, kind[0]))
        if found is None and other is not None:
            found = self._bank.find(Key(index, other), sites, device)
        return found


@dataclass(frozen=True)
class Own:
    """The first picture as a source's reference.

    Attributes:
        schedule: the model's timesteps and noise levels.
        first: whether it is made in this batch; in later ones, all pictures see what is kept.
        kept: where it is kept; None where no later batch follows.
    """

    schedule: NoiseSchedule
    first: bool = True
    kept: Kept | None = None


class Anchor:
    """The first picture in one pass.

    Args:
        own: how it is one.
        strength: weight on its keys.
        plan: what to do.
        report: counts what happens.
        name: of the reference in the report.
    """

    def __init__(
        self, own: Own, strength: float, plan: Plan, report: PassReport, name: str
    ) -> None:
        self.own, self.strength, self.plan = own, strength, plan
        self.report, self.counts = report, ReferenceReport(name)
        report.references.append(self.counts)
        # The evaluation; in later batches those whose tokens cond and uncond rows see.
        self._index = 0
        self._seen: dict[bool, int | None] = {}
        self._keeps = False
        self._waited = 0  # evaluations since the latest that is kept
        self._made: dict[Kind, Tokens] = {}
        self._recording: tuple[list[Kind], Recording] | None = None
        self._call = -1  # of the evaluation
        self._counted = False

    def begin(self, index: int, total: int, adaptive: bool) -> None:
        """Takes an evaluation.

        Raises:
            LafiError: `anchor_adaptive`, where later batches could not find it again.
        """
        if adaptive and self.own.kept is not None:
            raise LafiError(
                "anchor_adaptive",
                "an adaptive sampler goes through other noise levels in every batch, so that the "
                "first picture of all cannot be the reference of later batches.",
                "Set the batch count to 1, or choose another sampler.",
            )
        self._call, self._counted = -1, False
        if self.own.first:
            self._made, self._keeps = {}, self.own.kept is not None and self._leads(index, total)
            self._index = index
        elif self.own.kept is not None:
            seen = {cond: self.own.kept.nearest(index, cond) for cond in (True, False)}
            if seen != self._seen:
                self._seen, self._made = seen, {}

    def _leads(self, index: int, total: int) -> bool:
        """Whether later batches see the tokens of this evaluation in others as well."""
        every = self.plan.refresh
        if every:
            return index % every == 0
        groups = self.plan.window.groups(total, RECORDINGS)
        group = next((each for each in groups if index in each), [])
        leads = bool(group) and index == group[(len(group) - 1) // 2]
        # A run that turns out longer than announced may step over all middles.
        self._waited = 0 if leads or self._waited >= len(group) else self._waited + 1
        return self._waited == 0

    # ---- one call -----------------------------------------------------------------------------

    def record(self, rows: Sequence[Row], call: Call) -> Recording | None:
        """What takes the first picture's rows out of a call; None if it has none."""
        self._recording, self._call = None, self._call + 1
        found = [number for number, row in enumerate(rows) if self._serves(row)]
        if not self.own.first or not found:
            return None
        recording = Recording(
            [None] * len(found), rows=found, keep_inputs=self._keeps, dtype=call.x.dtype
        )
        kinds = [self._kind(rows[number]) for number in found]
        self._recording = kinds, recording
        self._made |= dict(zip(kinds, recording.tokens, strict=True))
        return recording

    def _serves(self, row: Row) -> bool:
        return row.picture == 0 and self.plan.share(row.cond) > 0

    def seen(self, row: Row, call: Call) -> Seen | None:
        """What a row sees of the first picture; nothing, if it is the first picture's own.

        Raises:
            LafiError: `anchor_missing` where nothing of it is known.
        """
        if self.plan.share(row.cond) == 0 or (self.own.first and row.picture == 0):
            return None
        tokens = self._now(self._kind(row)) if self.own.first else self._then(self._kind(row), call)
        if tokens is None:
            raise LafiError(
                "anchor_missing",
                "rows of this call come without the first picture's, and nothing that it has left "
                "is known for them.",
                "Use prompts of one length or without AND, or switch the batch's reference off.",
            )
        return Seen(tokens, self.strength)

    def _kind(self, row: Row) -> Kind:
        # Tiles may be counted anew in each call.
        return row.cond, (self._call, row.part)

    def _now(self, kind: Kind) -> Tokens | None:
        """Of this evaluation; of another part of the prompt where the first picture lacks it."""
        if kind in self._made:
            return self._made[kind]
        return next((each for (cond, _), each in self._made.items() if cond == kind[0]), None)

    def _then(self, kind: Kind, call: Call) -> Tokens | None:
        """Of the first batch."""
        if kind not in self._made:
            index = self._seen.get(kind[0])
            if self.own.kept is None or index is None:
                return None
            names = [site.name for site in self.plan.sites]
            found = self.own.kept.find(index, kind, names, call.x.device)
            if found is None:
                return None
            self._made[kind] = found
            self._count("replayed")
        else:
            self._count("reused")
        return self._made[kind]

    def finish(self, done: bool) -> None:
        """After a call: counts and keeps what the first picture has left.

        Args:
            done: whether it came to its end.
        """
        made, self._recording = self._recording, None
        if made is None or not done or not any(made[1].tokens):
            return
        kinds, recording = made
        if not self._counted:
            self.report.anchored += 1
        self._count("recorded")
        self.counts.bytes = max(self.counts.bytes, sum(map(nbytes, recording.tokens)))
        self.report.hold(recording.tokens)
        if self.own.kept is not None and self._keeps:
            for kind, tokens in zip(kinds, recording.tokens, strict=True):
                self.own.kept.keep(self._index, kind, tokens)

    def _count(self, what: str) -> None:
        """Once in an evaluation."""
        if not self._counted:
            self._counted = True
            self.report.count(self.counts, what)

    def drop(self) -> None:
        """Lets go of the tokens."""
        self._made, self._recording = {}, None
