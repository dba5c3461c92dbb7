"""All references of a pass: brings their tokens up to each evaluation, in as few calls of the UNet
as may be. Those of one size that need the UNet are rows of one call.
"""

from __future__ import annotations

import logging
from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace

import torch
from torch import Tensor, nn

from ..errors import LafiError
from ..regions import Region
from .batching import Call
from .injection import Seen
from .memory import allocated_bytes, peak_bytes
from .one_batch import OneBatch
from .plan import Plan
from .recorder import Recorder
from .recording import Recording, RecordingComplete
from .reference import Reference, UNetForward
from .refresh import Nodes
from .replay.key import Replay
from .report import PassReport, Stopwatch
from .runner import Network, ReferenceRunner
from .sites import check_sites
from .source import Source
from .state import PassState
from .tokens import Tokens

log = logging.getLogger("LAFI")


class References:
    """The references of one pass.

    Args:
        unet: the UNet that samples.
        sources: where tokens come from.
        plan: what to do.
        forward: the UNet without hooks.
        state: what sites do; set for a while.
        report: counts what happens.
        replay: a bank to replay from.

    Attributes:
        one_batch: the reference as a row of the target's own call.
    """

    def __init__(
        self,
        unet: nn.Module,
        sources: Sequence[Source],
        plan: Plan,
        forward: UNetForward,
        state: PassState,
        report: PassReport,
        replay: Replay | None,
    ) -> None:
        self.unet, self.plan, self.report = unet, plan, report
        self.sources = tuple(
            # A region that is the whole picture is none.
            replace(each, region=None) if each.region == Region() else each
            for each in sources
            if each.strength > 0 and isinstance(each.reference, Reference)
        )
        self.recorders = [
            Recorder(ReferenceRunner(each.reference, plan.stream), plan, report, each.name, replay)
            for each in self.sources
            if isinstance(each.reference, Reference)
        ]
        self._network = Network(unet, forward, state, plan.progress)
        self.one_batch = OneBatch(unet, plan, state.during, self._separate)
        self._during = state.during
        self._watch = Stopwatch()
        self._met = False

    @property
    def _alone(self) -> bool:
        """Whether there is one reference only."""
        return len(self.recorders) == 1

    @property
    def measures(self) -> bool:
        """Whether sites must know their layer's height and width."""
        return any(
            each.runner.reference.mask is not None or source.region is not None
            for each, source in zip(self.recorders, self.sources, strict=True)
        )

    def begin(
        self,
        index: int,
        position: int,
        sigma: float,
        total: int,
        adaptive: bool,
        expected: int,
    ) -> None:
        """Takes an evaluation's level; see `Recorder.begin`.

        Args:
            expected: the evaluations within the window.
        """
        for each in self.recorders:
            each.expected = expected
            each.begin(index, position, sigma, total, adaptive)

    def offers(self) -> list[Seen]:
        """What rows may see now."""
        made = zip(self.recorders, self.sources, strict=True)
        return [
            Seen(each.tokens, source.strength, source.region, each.muted, each.own)
            for each, source in made
            if each.tokens
        ]  # fmt: skip

    def bring(self, call: Call, mixes: bool) -> Call | None:
        """Makes the evaluation's tokens, given its first call.

        Args:
            mixes: whether a reference may be one of the call's own rows, for all that the rows see.

        Returns:
            the call to make instead, if the reference is to be a row of it.
        """
        if not self._met:
            self._meet(call)
        wanted = [each for each in self.recorders if not each.fresh()]
        identity = self._identity(wanted)
        wanted = [each for each in wanted if not each.replays(call, identity)]
        with torch.no_grad():
            for group in _alike(wanted):
                with self._watch.running(call.x.device):
                    self._open([each for each in group if each.runner.stream is None], call)
                identity = self._identity(group)
                # Some are recorded on the way.
                left = [each for each in group if not each.replays(call, identity)]
                if mixes and left and self._alone and self.one_batch.suits(left[0], call):
                    return self.one_batch.extend(left[0], call)
                if left:
                    self._record(left, call)
        return None

    def finish(self, call: Call, output: Tensor | None) -> Tensor | None:
        """After the call that `bring` gave back: takes the reference's row out of the answer.

        Args:
            output: (B + 1, C, h, w); None where the UNet failed.
        """
        tokens = self.one_batch.finish(call, output)
        if tokens is None or output is None:
            return None
        [recorder] = self.recorders
        recorder.made(call, tokens, self._identity([recorder]), fused=True)
        self._hold()
        return output[:-1]

    def drop(self) -> None:
        """Lets go of the tokens."""
        for each in self.recorders:
            each.drop()
        self.one_batch.drop()

    def close(self) -> None:
        """Lets go of everything."""
        self.drop()
        for each in self.recorders:
            each.close()
        self.report.reference_seconds = self._watch.seconds()

    # ---- calls of the UNet for references alone -----------------------------------------------

    def _meet(self, call: Call) -> None:
        """What only the pass's first call tells: what others have made of the UNet, and tiles."""
        check_sites(self.unet, self.plan.sites)
        self._met = True
        size = call.x.shape[-2:]
        for each, source in zip(self.recorders, self.sources, strict=True):
            whole = self._picture(each)
            if source.region is not None and whole != size:
                raise LafiError(
                    "region_in_tiles",
                    f"the picture is made in tiles of {size[1]}x{size[0]} latent cells, and "
                    "nothing says where in it each of them is; a region cannot be found there.",
                    "Switch off what makes tiles (Tiled Diffusion), or leave out the regions.",
                )
        for each in self.recorders:
            if each.runner.fit(call.x, self.unet, self._picture(each)):
                (h, w), (own_h, own_w) = call.x.shape[-2:], each.runner.reference.z0.shape[-2:]
                log.info("the picture is made in tiles of %dx%d latent cells: the reference is "
                         "used at %dx%d.", w, h, own_w, own_h)  # fmt: skip

    def _picture(self, recorder: Recorder) -> tuple[int, int]:
        """The picture's size in latent cells; that of the reference where nobody told it."""
        height, width = recorder.runner.reference.z0.shape[-2:]
        return self.plan.size or (height, width)

    def _identity(self, recorders: Sequence[Recorder]) -> Hashable | None:
        """Asked where it is used: a LoRA may be merged while the UNet runs."""
        return next((each.identity() for each in recorders if each.keeps), None)

    def _open(self, recorders: Sequence[Recorder], call: Call) -> None:
        """Makes streams ready; those with a path of their own are recorded on the way."""
        if not recorders:
            return

        @contextmanager
        def passing(level: float) -> Iterator[None]:
            recording = self._recording(recorders, call, to_the_end=True)
            with self._during(recording):
                yield
            identity = self._identity(recorders)
            for each, tokens in zip(recorders, recording.tokens, strict=True):
                each.passed(call, tokens, level, identity)
            self._hold(recording.tokens)

        records = recorders[0].keeps and isinstance(recorders[0].refresh, Nodes)
        runners = [each.runner for each in recorders]
        self._network.open(runners, call, passing if records else None)

    def _record(self, recorders: Sequence[Recorder], call: Call) -> None:
        """A pass for the rows of some references."""
        x, report = call.x, self.report
        before, peak = allocated_bytes(x.device), peak_bytes(x.device)
        recording = self._recording(recorders, call, recorders[0].runner.needs_output)
        with self._watch.running(x.device), self._during(recording):
            self._send(recorders, call, advance=True)
        # The peak's counter is the host's, and not reset: only a new peak tells anything.
        if peak_bytes(x.device) > peak:
            report.peak_bytes = max(report.peak_bytes, peak_bytes(x.device) - before)
        identity = self._identity(recorders)
        for each, tokens in zip(recorders, recording.tokens, strict=True):
            each.made(call, tokens, identity, fused=False)
        self._hold()

    def _send(self, recorders: Sequence[Recorder], call: Call, advance: bool) -> None:
        first = recorders[0]
        level, timestep = first.refresh.level, first.timestep(call)
        latents = [each.runner.latent(level) for each in recorders]
        references = [each.runner.reference for each in recorders]
        with suppress(RecordingComplete):
            output = self._network.answer(references, latents, level, timestep, call)
            if advance:
                for row, (each, latent) in enumerate(zip(recorders, latents, strict=True)):
                    each.runner.advance(latent, level, output[row : row + 1])

    def _separate(self, recorder: Recorder, call: Call) -> Recording:
        """A pass of one reference that leaves nothing behind."""
        recording = self._recording([recorder], call, recorder.runner.needs_output)
        with self._during(recording):
            self._send([recorder], call, advance=False)
        return recording

    def _recording(self, recorders: Sequence[Recorder], call: Call, to_the_end: bool) -> Recording:
        return Recording(
            [each.runner.reference.mask for each in recorders],
            last=None if to_the_end else self.plan.sites[-1].name,
            keep_inputs=any(each.keeps for each in recorders),
            dtype=call.x.dtype,
        )

    def _hold(self, more: Sequence[Tokens] = ()) -> None:
        """Notes what is held."""
        self.report.hold([*(each.tokens for each in self.recorders), *more])


def _alike(recorders: Sequence[Recorder]) -> list[list[Recorder]]:
    """Those that can be rows of one call: of one size and level."""
    groups: dict[Hashable, list[Recorder]] = {}
    for each in recorders:
        reference, refresh = each.runner.reference, each.refresh
        shapes = reference.z0.shape, reference.conditioning.shapes
        kind = (*shapes, refresh.level, refresh.timestep, each.runner.kind)
        groups.setdefault(kind, []).append(each)
    return list(groups.values())
