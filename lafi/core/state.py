"""What all sites of a pass read while calls go through them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from torch import Tensor

from .attention import ContextHook
from .grouping import Groups
from .injection import Injection, Seen
from .joint.layout import Layout
from .recording import Recording


@dataclass
class PassState:
    """Of one pass. The session alone writes it, from call to call; sites read it.

    Attributes:
        context_hook: the host's own treatment of a context before the projections.
        upcast: compute weighted attention in float32.
        injected: told the name of a site that injects, and what its queries see.
        position: where a reference's tokens stand, in a network with rotary positions.
        lay: of a transformer, where the picture's tokens are in a call with a latent (B, C, h, w)
            and a text (B, L, D); None of a UNet.
        groups: of queries that see the same, where sources have regions.
        recording: takes what passes; None to take nothing.
        injection: what the call's rows see; None for nothing.
        layout: of the call.
    """

    context_hook: ContextHook | None = None
    upcast: bool = False
    injected: Callable[[str, Sequence[Seen]], None] = field(default=lambda site, seen: None)
    position: str = "own"
    lay: Callable[[Tensor, Tensor | None], Layout | None] = field(default=lambda x, context: None)
    groups: Groups = field(default_factory=Groups)
    recording: Recording | None = None
    injection: Injection | None = None
    layout: Layout | None = None

    def set(self, recording: Recording | None = None, injection: Injection | None = None) -> None:
        """What the next call does; nothing, if nothing is given."""
        self.recording, self.injection = recording, injection

    @contextmanager
    def during(
        self, recording: Recording | None = None, injection: Injection | None = None
    ) -> Iterator[None]:
        """The same for a while."""
        before = self.recording, self.injection
        self.set(recording, injection)
        try:
            yield
        finally:
            self.set(*before)

    @contextmanager
    def laid_out(self, x: Tensor, context: Tensor | None) -> Iterator[None]:
        """For a while, another call's layout."""
        before, self.layout = self.layout, self.lay(x, context)
        try:
            yield
        finally:
            self.layout = before
