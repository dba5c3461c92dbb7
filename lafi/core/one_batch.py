"""A reference as one more row of the target's own call, where that gives the same and is faster."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from contextlib import AbstractContextManager
from typing import Any

from torch import Tensor, nn

from .batching import Batching, Call, accepts_row, add_row
from .injection import Injection, Seen, Sight
from .plan import Plan
from .recorder import Recorder
from .recording import Recording
from .tokens import Tokens


class OneBatch:
    """The row of a pass's only reference.

    Args:
        unet: the UNet that samples.
        plan: what to do.
        during: sets, for a while, what sites do.
        separate: the other way: a pass of the reference's own.

    Attributes:
        recording: takes the row, in a call that has it.
    """

    def __init__(
        self,
        unet: nn.Module,
        plan: Plan,
        during: Callable[..., AbstractContextManager[Any]],
        separate: Callable[[Recorder, Call], Recording],
    ) -> None:
        self.unet, self.plan = unet, plan
        self.recording: Recording | None = None
        self._during, self._separate = during, separate
        self._latent: Tensor | None = None
        self._recorder: Recorder | None = None

    def suits(self, recorder: Recorder, call: Call) -> bool:
        """Whether the reference can be one more row of this call, with the same result, and is to.

        Not with a mask: its own row must see plain attention. Not among tiles. Not where anything
        has its own forward in the network: another extension, or LAFI itself in a transformer.
        """
        reference = recorder.runner.reference
        return (
            bool(self.plan.fused)
            and reference.mask is None
            and reference.z0.shape[-2:] == call.x.shape[-2:]
            and not any("forward" in vars(module) for module in self.unet.modules())
            and accepts_row(call, reference.conditioning)
            and self._faster(recorder, call)
        )

    def _faster(self, recorder: Recorder, call: Call) -> bool:
        """Leaves nothing behind of what it tries."""
        if not isinstance(self.plan.fused, Batching):
            return self.plan.fused

        def separate() -> None:
            recording = self._separate(recorder, call)
            with self._during(None, _everywhere(call, recording.tokens[0], recorder)):
                self.unet.forward(*call.args, **call.kwargs)

        def fused() -> None:
            extended = self.extend(recorder, call)
            with self._during(self.recording, self.injection(extended)):
                self.unet.forward(*extended.args, **extended.kwargs)

        try:
            kind = self._kind_of_call(recorder, call.x)
            return self.plan.fused.fuses(kind, call.x.device, separate, fused)
        finally:
            self.drop()

    def extend(self, recorder: Recorder, call: Call) -> Call:
        """The call with the reference as its last row."""
        runner, level = recorder.runner, recorder.refresh.level
        reference = runner.reference
        self._recorder, self._latent = recorder, runner.latent(level)
        self.recording = Recording(
            [None], rows=[-1], keep_inputs=recorder.keeps, dtype=call.x.dtype
        )
        row = reference.row(self._latent, level, call.x)
        return add_row(call, row, recorder.timestep(call), reference.conditioning)

    def injection(self, call: Call) -> Injection:
        """What the rows of such a call see."""
        assert self.recording is not None
        assert self._recorder is not None
        return _everywhere(call, self.recording.tokens[0], self._recorder)

    def finish(self, call: Call, output: Tensor | None) -> Tokens | None:
        """After such a call, what it left; None after any other call.

        Args:
            output: (B + 1, C, h, w); None where the UNet failed.
        """
        recorder, latent, recording = self._recorder, self._latent, self.recording
        self.drop()
        if recorder is None or latent is None or recording is None:
            return None
        if output is None:
            if isinstance(self.plan.fused, Batching):
                self.plan.fused.avoid(self._kind_of_call(recorder, call.x[:-1]))
            return None
        recorder.runner.advance(latent, recorder.refresh.level, output[-1:])
        return recording.tokens[0]

    def drop(self) -> None:
        """Lets go of everything."""
        self._recorder = self._latent = self.recording = None

    def _kind_of_call(self, recorder: Recorder, x: Tensor) -> Hashable:
        """What decides how long a call takes, as far as it matters for the choice."""
        return (type(self.unet), x.dtype, x.device, x.shape, recorder.runner.needs_output)


def _everywhere(call: Call, tokens: Tokens, recorder: Recorder) -> Injection:
    """All rows see one reference as it is. The reference's own row sees its keys twice, which
    changes nothing: duplicates cancel in the softmax."""
    seen = Seen(tokens, counts=recorder.own)
    return Injection(call.x.shape[0], (Sight(None, (seen,)),))
