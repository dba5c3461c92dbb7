"""The reference as one more row of the target's own UNet call: where that is possible with the same
result, and, if it is to be found out, whether it is faster.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from contextlib import AbstractContextManager

from torch import Tensor, nn

from .batching import Batching, Call, accepts_row, add_row
from .hooks import Mode, PassState
from .plan import Plan
from .reference import ReferenceRunner


class OneBatch:
    """Of one pass.

    Args:
        unet: the UNet that samples.
        runner: has the reference's row.
        plan: what to do.
        state: what the sites' hooks read.
    """

    def __init__(
        self, unet: nn.Module, runner: ReferenceRunner, plan: Plan, state: PassState
    ) -> None:
        self.unet, self.runner, self.plan, self.state = unet, runner, plan, state
        # The reference's latent in the call that is under way, and its level.
        self._row: tuple[Tensor, float] | None = None

    def chosen(
        self,
        call: Call,
        level: float,
        timestep: Tensor,
        recording: Callable[[], AbstractContextManager[None]],
    ) -> bool:
        """Whether the reference is to be one more row of this call.

        Args:
            level, timestep: where the reference is recorded; see `extended`.
            recording: around a separate pass of the reference's row.
        """
        if not self._possible(call):
            return False
        fused = self.plan.fused
        if isinstance(fused, Batching):
            return self._faster(fused, call, level, timestep, recording)
        return fused

    def extended(self, call: Call, level: float, timestep: Tensor) -> Call:
        """The call with the reference as its last row.

        Args:
            level: the reference's noise level.
            timestep: (1,) the same as the UNet reads it.
        """
        latent = self.runner.latent(level)
        self._row = latent, level
        self.state.last, self.state.mode = None, Mode.FUSED
        row = self.runner.row(latent, level, call.x)
        return add_row(call, row, timestep, self.runner.reference.conditioning)

    def taken(self, call: Call, output: Tensor | None) -> Tensor | None:
        """After a call: the target's rows (B, C, h, w) of the answer, if the reference was one more
        of them and there is an answer.

        Args:
            output: (B + 1, C, h, w); None where the UNet failed.
        """
        row, self._row = self._row, None
        if row is None:
            return None
        if output is None:
            if isinstance(self.plan.fused, Batching):
                self.plan.fused.avoid(self._kind(call.x[:-1]))
            return None
        self.runner.advance(*row, output[-1:])
        return output[:-1]

    def drop(self) -> None:
        """Lets go of the row."""
        self._row = None

    def _possible(self, call: Call) -> bool:
        """Whether the reference can be one more row of this call, with the same result.

        Not with a mask, a strength or chosen rows: its own row must see plain attention. Not among
        tiles. Not under an extension that has its own forward anywhere in the UNet.
        """
        reference = self.runner.reference
        return (
            not self.state.splits
            and reference.mask is None
            and reference.z0.shape[-2:] == call.x.shape[-2:]
            and bool(self.plan.fused)
            and not any("forward" in vars(module) for module in self.unet.modules())
            and accepts_row(call, reference.conditioning)
        )

    def _faster(
        self,
        batching: Batching,
        call: Call,
        level: float,
        timestep: Tensor,
        recording: Callable[[], AbstractContextManager[None]],
    ) -> bool:
        """Tries both ways where that was not done before; leaves nothing of it behind."""
        state, runner = self.state, self.runner

        def separate() -> None:
            state.tokens = {}
            with recording():
                runner.answer(runner.latent(level), level, call.x, timestep, call.kwargs)
            with state.during(Mode.INJECT):
                self.unet.forward(*call.args, **call.kwargs)

        def fused() -> None:
            state.tokens = {}
            extended = self.extended(call, level, timestep)
            self.unet.forward(*extended.args, **extended.kwargs)

        try:
            return batching.fuses(self._kind(call.x), call.x.device, separate, fused)
        finally:
            state.mode, state.tokens = Mode.OFF, {}
            state.touched.clear()
            self.drop()

    def _kind(self, x: Tensor) -> Hashable:
        """What decides how long a call takes, as far as it matters for the choice."""
        return (type(self.unet), x.dtype, x.device, x.shape, self.runner.needs_output)
