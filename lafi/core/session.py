"""One pass of sampling: off, record, inject. The only state machine.

The host says before each model evaluation where the run stands (`begin`); the UNet's own hooks do
the rest. In the first UNet call of an evaluation the reference stream's row goes through the same
UNet at the same noise level and its tokens are recorded; then the target's rows go through and see
them. Further UNet calls of the same evaluation (split batches) use the same recording.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from .attention import Rows
from .batching import Call
from .hooks import Mode, PassState, SiteHook
from .plan import Plan
from .recorder import Recorder
from .reference import Reference, ReferenceRunner, UNetForward
from .replay.key import Replay
from .report import PassReport
from .schedule import POSITIONS, AdaptiveProgress

# (number of rows, kwargs of the UNet call) -> for each row whether it is a cond row
RowKinds = Callable[[int, dict[str, Any]], list[bool]]


class Session:
    """LAFI in one pass of one UNet. Close it however the pass ends.

    Args:
        unet: the UNet that samples.
        reference: the reference stream's material.
        plan: what to do.
        forward: the UNet without hooks.
        report: counts what happens.
        replay: a bank to replay from; None records every evaluation anew.
    """

    def __init__(
        self,
        unet: nn.Module,
        reference: Reference,
        plan: Plan,
        forward: UNetForward,
        report: PassReport,
        replay: Replay | None = None,
    ) -> None:
        self.unet, self.reference, self.plan = unet, reference, plan
        self.report = report
        self._state = PassState(
            strength=plan.strength,
            select=reference.mask,
            context_hook=plan.context_hook,
            upcast=plan.upcast,
            keep_inputs=replay is not None,
        )
        self._runner = ReferenceRunner(unet, reference, plan.stream, forward, plan.progress)
        self._recorder = Recorder(unet, self._runner, plan, self._state, report, replay)
        self._handles: list[Any] = []
        self._row_kinds: RowKinds = _all_positive
        self._ready = False
        self._counted = False
        self._progress = AdaptiveProgress(reference.schedule.log_sigmas[0])

    def begin(
        self, index: int, total: int, sigma: float, row_kinds: RowKinds, adaptive: bool = False
    ) -> None:
        """Announces evaluation `index` (from 0) of `total`, at noise level `sigma`.

        Outside the window no hook is left in the UNet.

        Args:
            row_kinds: tells cond from uncond rows in the UNet calls of this evaluation.
            adaptive: whether `total` is a guess, because the sampler chooses its own steps; then
                the noise level tells how far the run is.

        Raises:
            LafiError: `empty_window`, at the start of a run that would never inject.
        """
        self._row_kinds = row_kinds
        self._runner.announce(sigma, total)
        self._ready = self._counted = False
        self._state.touched.clear()
        position = index
        if adaptive:
            position, total = self._progress.position(sigma), POSITIONS
        window = self.plan.window
        if not self.report.evaluations:
            self._recorder.expected = window.require(total)
        self.report.evaluations += 1
        self._recorder.begin(index, position, sigma, total, adaptive)
        if window.contains(position, total):
            self._install()
        else:
            self._remove()
            self.report.skipped += 1

    def reference_latent(self) -> Tensor:
        """The reference stream's latent (1, C, h, w) of a recording made in this evaluation, in
        variance-exploding form; known from the first UNet call on."""
        return self._runner.latent(self._recorder.refresh.level)

    def close(self) -> None:
        """Takes every hook and tensor away; safe at any time, any number of times."""
        self._remove()
        self._recorder.close()
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
            *(SiteHook(site, self._state) for site in self.plan.sites),
        ]

    def _remove(self) -> None:
        self.report.switched += bool(self._handles)
        for handle in self._handles:
            handle.remove()
        self._handles = []
        self._state.mode = Mode.OFF
        self._state.rows = None
        self._recorder.drop()

    def _before_call(
        self, unet: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
        state, call = self._state, Call(args, kwargs)
        state.mode = Mode.OFF
        state.dtype = call.x.dtype
        sees = self._weigh(call)
        first, self._ready = not self._ready, True
        if first:
            extended = self._recorder.bring(call, alone=not sees)
            if extended is not None:
                return extended.args, extended.kwargs
        if state.tokens and sees:
            state.mode = Mode.INJECT
        return None

    def _weigh(self, call: Call) -> bool:
        """Sets which rows of a call see the reference, and how much; whether any does."""
        state, plan = self._state, self.plan
        state.rows, state.strength = None, plan.strength
        kinds = self._kinds(call) if plan.fidelity else [True]
        if all(kinds):
            return True
        if plan.fidelity == 1:
            state.rows = Rows.of(kinds, call.x.device) if any(kinds) else None
            return any(kinds)
        weights = [plan.strength * (1 if kind else 1 - plan.fidelity) for kind in kinds]
        if any(kinds):
            state.strength = torch.tensor(weights, device=call.x.device).view(-1, 1, 1)
        else:
            state.strength = weights[0]
        return True

    def _kinds(self, call: Call) -> list[bool]:
        return self._row_kinds(call.x.shape[0], call.kwargs)

    def _after_call(
        self, unet: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Tensor | None
    ) -> Tensor | None:
        self._state.mode = Mode.OFF
        if output is not None:
            self._count()
        return self._recorder.finish(Call(args, kwargs), output)

    def _count(self) -> None:
        """Counts an evaluation once, when a first site has injected in it."""
        touched, report = self._state.touched, self.report
        if not touched or self._counted:
            return
        self._counted = True
        report.injected += 1
        if len(touched) > len(report.sites):
            report.sites = [each.name for each in self.plan.sites if each.name in touched]


def _all_positive(rows: int, kwargs: dict[str, Any]) -> list[bool]:
    return [True] * rows
