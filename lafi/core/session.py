"""One pass of sampling: off, record, inject. The only state machine.

The host says before each model evaluation where the run stands (`begin`); the UNet's own hooks do
the rest. In the first UNet call of an evaluation the references' rows go through the same UNet at
the same noise level and their tokens are recorded; then the target's rows go through and see them.
Further UNet calls of the same evaluation (split batches) use the same recordings.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor, nn

from .batching import Call
from .hooks import attach
from .injection import Row, Seen, inject, inject_each
from .joint.families import find_family
from .joint.layout import Layout
from .own import Anchor, Own
from .plan import Plan
from .reference import UNetForward
from .references import References
from .replay.key import Replay
from .report import PassReport, Tally
from .schedule import POSITIONS, AdaptiveProgress
from .source import Source
from .state import PassState

# (number of rows, kwargs of the UNet call) -> what each row is
RowKinds = Callable[[int, dict[str, Any]], list[Row]]


class Session:
    """LAFI in one pass of one UNet. Close it however the pass ends.

    Args:
        unet: the UNet that samples.
        sources: what is seen; one of strength 0 is left out.
        plan: what to do.
        forward: the UNet without hooks.
        report: counts what happens.
        replay: a bank to replay from; None records every evaluation anew.
    """

    def __init__(
        self,
        unet: nn.Module,
        sources: Sequence[Source],
        plan: Plan,
        forward: UNetForward,
        report: PassReport,
        replay: Replay | None = None,
    ) -> None:
        self.unet, self.plan = unet, plan
        self.report = report
        self._tally = Tally(report, [each.name for each in plan.sites])
        self._family = find_family(unet)
        self._state = PassState(
            plan.context_hook, plan.upcast, self._note, plan.position, self._lay
        )
        self._references = References(unet, sources, plan, forward, self._state, report, replay)
        self._anchors = [
            Anchor(each.reference, each.strength, plan, report, each.name)
            for each in sources
            if isinstance(each.reference, Own) and each.strength > 0
        ]
        self._handles: list[Any] = []
        self._row_kinds: RowKinds = _all_positive
        self._ready = False
        self._expected = 0  # evaluations that inject
        schedule = sources[0].reference.schedule
        self._progress = AdaptiveProgress(schedule.log_sigmas[0])

    def begin(
        self, index: int, total: int, sigma: float, row_kinds: RowKinds, adaptive: bool = False
    ) -> None:
        """Announces evaluation `index` (from 0) of `total`, at noise level `sigma`.

        Outside the window no hook is left in the UNet; nor at an infinite level, where a reference
        is nothing but noise.

        Args:
            row_kinds: tells cond from uncond rows in the UNet calls of this evaluation.
            adaptive: whether `total` is a guess, because the sampler chooses its own steps; then
                the noise level tells how far the run is.

        Raises:
            LafiError: `empty_window`, at the start of a run that would never inject.
        """
        self._row_kinds = row_kinds
        self._ready = False
        self._tally.begin()
        position = index
        if adaptive:
            position, total = self._progress.position(sigma), POSITIONS
        window, noise = self.plan.window, math.isinf(sigma)
        if not self.report.evaluations:
            self._expected = window.require(total, position + 1 if noise else 0)
        self.report.evaluations += 1
        if not noise:
            self._references.begin(index, position, sigma, total, adaptive, self._expected)
            for each in self._anchors:
                each.begin(index, position, total, sigma, adaptive)
        works = self._references.sources or any(each.works for each in self._anchors)
        if works and window.contains(position, total) and not noise:
            self._install()
        else:
            self._remove()
            self.report.skipped += 1

    def reference_latent(self, source: int = 0) -> Tensor:
        """A reference stream's latent (1, C, h, w) of a recording made in this evaluation, in
        variance-exploding form; known from the first UNet call on."""
        recorder = self._references.recorders[source]
        return recorder.runner.latent(recorder.refresh.level)

    def close(self) -> None:
        """Takes every hook and tensor away; safe at any time, any number of times."""
        self._remove()
        self._references.close()
        self._row_kinds = _all_positive

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ---- hooks --------------------------------------------------------------------------------

    def _install(self) -> None:
        if self._handles:
            return
        self.report.switched += 1
        self._handles = [
            self.unet.register_forward_pre_hook(self._before_call, with_kwargs=True),
            self.unet.register_forward_hook(self._after_call, with_kwargs=True, always_call=True),
        ]
        for each in attach(self.plan.sites, self._state, self._references.measures):
            self._handles.append(each)  # one by one: what fails leaves those before it to `close`

    def _remove(self) -> None:
        self.report.switched += bool(self._handles)
        for handle in self._handles:
            handle.remove()
        self._handles = []
        self._state.set()
        self._state.layout = None
        self._references.drop()
        for each in self._anchors:
            each.drop()

    def _before_call(
        self, unet: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
        state, references, call = self._state, self._references, Call(args, kwargs)
        state.set()
        state.layout = self._lay(call.x, call.context)
        rows = self._rows(call)
        first, self._ready = not self._ready, True
        if first:
            extended = references.bring(call, self._mixes(rows))
            self._tally.forget()  # trials may have injected
            if extended is not None:
                one_batch = references.one_batch
                state.set(one_batch.recording, one_batch.injection(extended))
                return extended.args, extended.kwargs
        offers, device = references.offers(), call.x.device
        # One picture at most is recorded; all are asked, since they count calls.
        recordings = [each.record(rows, call) for each in self._anchors]
        recording = next((each for each in recordings if each is not None), None)
        if recording is not None or any(each.shown for each in self._anchors):
            seen = [self._sees(row, offers, call) for row in rows]
            state.set(recording, inject_each(seen, device, whole=recording is not None))
        elif offers:
            state.set(None, inject(rows, offers, self.plan.fidelity, device))
        return None

    def _lay(self, x: Tensor, context: Tensor | None) -> Layout | None:
        """Where a transformer's picture tokens are in a call; None of a UNet."""
        return None if self._family is None else self._family.layout(self.unet, x, context)

    def _mixes(self, rows: list[Row]) -> bool:
        """Whether a reference may be one row more of a call: not where rows differ in what they
        see, since its own must see plain attention."""
        plain = all(each.plain for each in self._references.sources)
        return not self._anchors and plain and all(row.cond for row in rows)

    def _sees(self, row: Row, offers: list[Seen], call: Call) -> list[Seen]:
        """What a row sees where a picture that was sampled is a reference."""
        share = self.plan.share(row.cond)
        if not share:
            return []
        own = [each.seen(row, call) for each in self._anchors]
        seen = [*offers, *(each for each in own if each is not None)]
        return [replace(each, weight=each.weight * share) for each in seen]

    def _rows(self, call: Call) -> list[Row]:
        count = call.x.shape[0]
        if self.plan.fidelity or self._anchors:
            return self._row_kinds(count, call.kwargs)
        return _all_positive(count, call.kwargs)

    def _after_call(
        self, unet: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Tensor | None
    ) -> Tensor | None:
        self._state.set()
        if output is not None:
            self._tally.count()
        for each in self._anchors:
            each.finish(done=output is not None)
        return self._references.finish(Call(args, kwargs), output)

    def _note(self, site: str, seen: Sequence[Seen]) -> None:
        self._tally.note(site, [each.counts for each in seen])


def _all_positive(rows: int, kwargs: dict[str, Any]) -> list[Row]:
    return [Row(True)] * rows
