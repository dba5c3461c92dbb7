"""One pass of sampling: off, record, inject. The only state machine.

The host says before each model evaluation where the run stands (`begin`); the UNet's own hooks do
the rest. In the first UNet call of an evaluation the reference stream's row goes through the same
UNet at the same noise level and its tokens are recorded; then the target's rows go through and see
them. Further UNet calls of the same evaluation (split batches) use the same recording.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import LafiError
from .bank import Key
from .batching import Batching, accepts_row, add_row
from .injection import Injection, Mode, RecordingComplete, SiteHook
from .memory import allocated_bytes, peak_bytes
from .plan import Plan, Replay
from .reference import Reference, ReferenceRunner, UNetForward
from .refresh import Refresh
from .report import PassReport, Stopwatch
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
        self._runner = ReferenceRunner(unet, reference, plan.stream, forward)
        self._replay = replay
        self._injection = Injection(
            strength=plan.strength,
            select=reference.mask,
            context_hook=plan.context_hook,
            upcast=plan.upcast,
            keep_inputs=replay is not None,
        )
        self._handles: list[Any] = []
        self._watch = Stopwatch()
        self._refresh = Refresh(plan.refresh, reference.schedule)
        self._expected = 1  # evaluations within the window
        self._row_kinds: RowKinds = _all_positive
        self._ready = False
        self._counted = False
        self._fused: Tensor | None = None
        self._progress = AdaptiveProgress(reference.schedule.log_sigmas[0])
        self._parameters = list(unet.parameters()) if replay else []

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
        self._injection.touched.clear()
        position = index
        if adaptive:
            position, total = self._progress.position(sigma), POSITIONS
        if not self.report.evaluations:
            self._check_window(total)
        self.report.evaluations += 1
        served = self.plan.window.count(total, position, position + self.plan.refresh)
        # A stream with a path of its own is where it is.
        self._refresh.begin(index, sigma, total, served if self._runner.repeatable else 1)
        if self.plan.window.contains(position, total):
            self._install()
        else:
            self._remove()
            self.report.skipped += 1

    def reference_latent(self) -> Tensor:
        """The reference stream's latent (1, C, h, w) of a recording made in this evaluation, in
        variance-exploding form; known from the first UNet call on."""
        return self._runner.latent(self._refresh.level)

    def close(self) -> None:
        """Takes every hook and tensor away; safe at any time, any number of times."""
        self._remove()
        self._runner.close()
        self._parameters = []
        self.report.reference_seconds = self._watch.seconds()

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
            self.unet.register_forward_hook(self._after_call, always_call=True),
            *(SiteHook(site, self._injection) for site in self.plan.sites),
        ]

    def _remove(self) -> None:
        self.report.switched += bool(self._handles)
        for handle in self._handles:
            handle.remove()
        self._handles = []
        self._injection.mode = Mode.OFF
        self._injection.tokens = {}
        self._injection.rows = self._fused = None

    def _check_window(self, total: int) -> None:
        window = self.plan.window
        self._expected = window.count(total)
        if not self._expected:
            raise LafiError(
                "empty_window",
                f"none of the run's {total} model evaluations lies between start "
                f"{window.start:g} % and cutoff {window.cutoff:g} %.",
                "Widen the window, or raise the number of steps.",
            )

    def _before_call(
        self, unet: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[Any, ...] | None:
        injection = self._injection
        injection.mode, injection.rows = Mode.OFF, None
        x, timesteps = args[0], args[1] if len(args) > 1 else kwargs["timesteps"]
        injection.dtype = x.dtype
        if self.plan.positive_only:
            kinds = torch.tensor(self._row_kinds(x.shape[0], kwargs))
            injection.rows = None if bool(kinds.all()) else kinds
        first, self._ready = not self._ready, True
        if first and not self._keeps_last():
            injection.tokens = {}  # before others take as much memory
            if not self._replays(x):
                self._open(x, timesteps, kwargs)
                if self._fusable(args, kwargs) and self._fuses(x, timesteps, args, kwargs):
                    return self._fuse(x, timesteps, args, kwargs)
                self._record(x, timesteps, kwargs)
        injection.mode = Mode.INJECT
        return None

    def _after_call(
        self, unet: nn.Module, args: tuple[Any, ...], output: Tensor | None
    ) -> Tensor | None:
        injection = self._injection
        injection.mode = Mode.OFF
        latent, self._fused = self._fused, None
        if output is None:  # the UNet failed
            if latent is not None and isinstance(self.plan.fused, Batching):
                self.plan.fused.avoid(self._kind_of_call(args[0][:-1]))
            return None
        if injection.touched and not self._counted:
            self._counted = True
            self.report.injected += 1
            if len(injection.touched) > len(self.report.sites):
                names = [each.name for each in self.plan.sites]
                self.report.sites = [name for name in names if name in injection.touched]
        if latent is None:
            return None
        self._runner.advance(latent, self._refresh.level, output[-1:])
        self.report.fused += 1
        self._recorded(output.device)
        return output[:-1]

    # ---- the reference stream -----------------------------------------------------------------

    def _keeps_last(self) -> bool:
        """Whether the latest recording is still fresh enough."""
        if self._refresh.due or not self._injection.tokens:
            return False
        self.report.reused += 1
        return True

    @torch.no_grad()
    def _open(self, x: Tensor, timesteps: Tensor, kwargs: dict[str, Any]) -> None:
        with self._watch.running(x.device):
            self._runner.open(x, timesteps, kwargs)

    @torch.no_grad()
    def _record(self, x: Tensor, timesteps: Tensor, kwargs: dict[str, Any]) -> None:
        report = self.report
        before, peak = allocated_bytes(x.device), peak_bytes(x.device)
        with self._watch.running(x.device), self._recording():
            self._runner.run(self._refresh.level, x, self._timestep(timesteps), kwargs)
        # The peak's counter is the host's, and not reset: only a new peak tells anything.
        if peak_bytes(x.device) > peak:
            report.peak_bytes = max(report.peak_bytes, peak_bytes(x.device) - before)
        self._recorded(x.device)

    def _timestep(self, timesteps: Tensor) -> Tensor:
        """The reference's (1,), as the UNet reads it."""
        own = self._refresh.timestep
        # Fractional, also where the sampler itself counts in whole timesteps.
        return timesteps[:1] if own is None else torch.full((1,), own, device=timesteps.device)

    @contextmanager
    def _recording(self) -> Iterator[None]:
        """Around a separate pass of the reference's row."""
        injection = self._injection
        injection.mode = Mode.RECORD
        injection.last = None if self._runner.needs_output else self.plan.sites[-1].name
        try:
            yield
        except RecordingComplete:
            pass
        finally:
            injection.mode = Mode.OFF

    def _recorded(self, device: torch.device) -> None:
        """Counts a recording, and hands it to the bank."""
        report, tokens = self.report, self._injection.tokens
        report.recorded += 1
        self._refresh.made()
        held = sum(each.nbytes() for each in tokens.values())
        report.reference_bytes = max(report.reference_bytes, held)
        report.peak_bytes = max(report.peak_bytes, held)
        if self._replay is not None and self._runner.repeatable:
            count = math.ceil(self._expected / self.plan.refresh)
            self._replay.bank.keep(self._key(device), tokens, count)

    def _replays(self, x: Tensor) -> bool:
        if self._replay is None or not self._runner.repeatable:
            return False
        names = [site.name for site in self.plan.sites]
        found = self._replay.bank.find(self._key(x.device), names, x.device)
        if found is None:
            return False
        self._injection.tokens = found
        self._refresh.made()
        self.report.replayed += 1
        return True

    def _key(self, device: torch.device) -> Key:
        """Everything that decides what a recording of this evaluation holds."""
        assert self._replay is not None
        return (
            self._replay.identity,
            # A weight that is written in place (LoRA, merges) moves its version on.
            sum(0 if each.is_inference() else each._version for each in self._parameters),
            self._runner.digest(),
            device,
            self._injection.dtype,
            self._refresh.level,
        )

    # ---- one batch ----------------------------------------------------------------------------

    def _fusable(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
        """Whether the reference can be one more row of this call, with the same result.

        Not with a mask, a strength or chosen rows: its own row must see plain attention. Not under
        an extension that has its own UNet forward.
        """
        return (
            not self._injection.splits
            and self.reference.mask is None
            and "forward" not in vars(self.unet)
            and accepts_row(args, kwargs, self.reference.conditioning)
        )

    @torch.no_grad()
    def _fuses(
        self, x: Tensor, timesteps: Tensor, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> bool:
        """Whether to, for a call that allows it; leaves nothing behind of what it tries."""
        if not isinstance(self.plan.fused, Batching):
            return self.plan.fused
        runner, injection, level = self._runner, self._injection, self._refresh.level

        def separate() -> None:
            injection.tokens = {}
            with self._recording():
                latent = runner.latent(level)
                runner.answer(latent, level, x, self._timestep(timesteps), kwargs)
            injection.mode = Mode.INJECT
            self.unet.forward(*args, **kwargs)

        def fused() -> None:
            injection.tokens = {}
            row_args, row_kwargs = self._fuse(x, timesteps, args, kwargs)
            self.unet.forward(*row_args, **row_kwargs)

        try:
            return self.plan.fused.fuses(self._kind_of_call(x), x.device, separate, fused)
        finally:
            injection.mode, injection.tokens, self._fused = Mode.OFF, {}, None
            injection.touched.clear()

    def _kind_of_call(self, x: Tensor) -> Hashable:
        """What decides how long a call takes, as far as it matters for the choice."""
        return (type(self.unet), x.dtype, x.device, x.shape, self._runner.needs_output)

    @torch.no_grad()
    def _fuse(
        self, x: Tensor, timesteps: Tensor, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The call with the reference as its last row."""
        level = self._refresh.level
        self._fused = self._runner.latent(level)
        self._injection.last = None
        self._injection.mode = Mode.FUSED
        row = self._runner.row(self._fused, level, x)
        timestep = self._timestep(timesteps)
        return add_row(args, kwargs, row, timestep, self.reference.conditioning)


def _all_positive(rows: int, kwargs: dict[str, Any]) -> list[bool]:
    return [True] * rows
