"""A picture as the reference of those beside it and after it: the first of a batch or of a series
of batches, a panel of a storyboard.

Its rows are in the UNet's own calls, so that they cost nothing: what they leave at the sites is
seen by the other pictures of the same call, and kept for later ones. It sees none of it itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import LafiError
from .batching import Call
from .injection import Row, Seen
from .kept import ADAPTIVE, IN_TILES, Kept, Kind
from .levels import NoiseSchedule
from .mask import FigureMask
from .plan import Plan
from .recorder import RECORDINGS, mutes
from .recording import Recording, Select
from .report import PassReport, ReferenceReport
from .tokens import Tokens, nbytes


@dataclass(frozen=True)
class Own:
    """A picture as a source's reference.

    Attributes:
        schedule: the model's timesteps and noise levels.
        first: whether it is the first of this batch; else, all pictures see what is kept.
        kept: where it is kept; None where no later batch follows.
        alone: the first is kept for later ones only; the others of its batch do not see it.
        both: uncond rows are kept, too, where this pass's own uncond rows see nothing.
        mask: which of the kept tokens are seen; None for all.
    """

    schedule: NoiseSchedule
    first: bool = True
    kept: Kept | None = None
    alone: bool = False
    both: bool = False
    mask: Select | None = None


class Anchor:
    """Such a picture in one pass.

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
        self._index, self._timestep, self._muted = 0, 0.0, False
        self._seen: dict[bool, int | None] = {}
        self._keeps = False
        self._waited = 0  # evaluations since the latest that is kept
        self._made: dict[Kind, Tokens] = {}
        self._recording: tuple[list[Kind], Recording] | None = None
        self._call = -1  # of the evaluation
        self._counted = False

    @property
    def shown(self) -> bool:
        """Whether rows of this pass may see it."""
        return not (self.own.first and self.own.alone)

    @property
    def works(self) -> bool:
        """Whether there is anything to do."""
        return self.shown or self.own.kept is None or not self.own.kept.lacks

    def begin(self, index: int, position: int, total: int, sigma: float, adaptive: bool) -> None:
        """Takes an evaluation and its noise level; see `Recorder.begin`.

        Raises:
            LafiError: `anchor_adaptive`, where later batches could not find it again.
        """
        own, kept = self.own, self.own.kept
        self._muted = mutes(own.mask, self.plan.window, position, total)
        if adaptive and own.first and kept is not None:
            if self.shown:
                raise LafiError(
                    "anchor_adaptive",
                    "an adaptive sampler goes through other noise levels in every batch, so that "
                    "the first picture of all cannot be the reference of later batches.",
                    "Set the batch count to 1, or choose another sampler.",
                )
            kept.refuse(ADAPTIVE)
        self._call, self._counted = -1, False
        timestep = own.schedule.timestep(sigma)
        if own.first:
            keeps = kept is not None and not kept.lacks
            self._made, self._keeps = {}, keeps and self._leads(index, total)
            self._index, self._timestep = index, timestep
        elif kept is not None:
            seen = {cond: kept.nearest(index, timestep, cond) for cond in (True, False)}
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
        if not self.own.first or not found or not (self.shown or self._keeps):
            return None
        recording = Recording(
            [None] * len(found),
            rows=found,
            keep_inputs=self._keeps,
            dtype=call.x.dtype,
            count=len(rows),
        )
        kinds = [self._kind(rows[number]) for number in found]
        self._recording = kinds, recording
        self._made |= dict(zip(kinds, recording.tokens, strict=True))
        return recording

    def _serves(self, row: Row) -> bool:
        return row.picture == 0 and (self.own.both or self.plan.share(row.cond) > 0)

    def seen(self, row: Row, call: Call) -> Seen | None:
        """What a row sees of the first picture; nothing, if it is the first picture's own.

        Raises:
            LafiError: `anchor_missing` where nothing of it is known.
        """
        itself = self.own.first and row.picture == 0
        if self.plan.share(row.cond) == 0 or itself or not self.shown:
            return None
        tokens = self._now(self._kind(row)) if self.own.first else self._then(self._kind(row), call)
        if tokens is None:
            raise _missing(self.own.first)
        return Seen(tokens, self.strength, muted=self._muted, counts=self.counts)

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
            self._made[kind] = self._masked(found)
            self.counts.bytes = max(self.counts.bytes, nbytes(self._made[kind]))
            self.report.hold([self._made[kind]])
            self._count("replayed")
        else:
            self._count("reused")
        return self._made[kind]

    def _masked(self, tokens: Tokens) -> Tokens:
        """Of kept tokens those that the mask keeps."""
        select = self.own.mask
        if select is None:
            return tokens
        masked = {}
        for site, each in tokens.items():
            each.receive()
            masked[site] = each.mapped(select)
            if isinstance(select, FigureMask):
                count = next(each.tensors()).shape[1]
                masked[site].background = select.background(count)
        return masked

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
        if self.own.kept is not None and self._keeps and recording.cut and not self.shown:
            self.own.kept.refuse(IN_TILES)
        elif self.own.kept is not None and self._keeps:
            for kind, tokens in zip(kinds, recording.tokens, strict=True):
                self.own.kept.keep(self._index, self._timestep, kind, tokens)
        for each in (each for tokens in recording.tokens for each in tokens.values()):
            each.settle()
        self.counts.bytes = max(self.counts.bytes, sum(map(nbytes, recording.tokens)))
        self.report.hold(recording.tokens)

    def _count(self, what: str) -> None:
        """Once in an evaluation."""
        if not self._counted:
            self._counted = True
            self.report.count(self.counts, what)

    def drop(self) -> None:
        """Lets go of the tokens."""
        self._made, self._recording = {}, None


def _missing(first: bool) -> LafiError:
    """Rows that have nothing to see of the first picture: beside it, or in a later batch."""
    if first:
        return LafiError(
            "anchor_missing",
            "rows of this call come without the first picture's, and nothing that it has left is "
            "known for them.",
            "Use prompts of one length or without AND, or switch the batch's reference off.",
        )
    return LafiError(
        "anchor_missing",
        "nothing that the first picture of all has left is kept for this batch: there was no "
        "memory for it, or its own batch was made otherwise.",
        "Choose a smaller picture, batch size instead of batch count, or switch the batch's "
        "reference off.",
    )
