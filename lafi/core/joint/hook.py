"""The hook of a transformer's block: its attention, in which the picture's rows see references.

Text rows see no reference, so that it cannot lead the prompt; keys are recorded after their norm
and before rotary positions, so that they can be put anywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor, nn

from ...errors import LafiError
from ..attention import Extra, Part, Projected, attend
from ..grouping import acting
from ..injection import Injection, Rows, Seen, Sight
from ..site import Site, replaced
from ..state import PassState
from ..tokens import SiteTokens
from .layout import Layout
from .positions import Rotation, places, stand


@dataclass(frozen=True)
class Asked:
    """One call of a block's attention, as the block makes it.

    Attributes:
        q, k, v: (B, H, L, D), or (B, L, H * D); SD3's values are (B, L, H, D).
        args, kwargs: what else it hands over.
    """

    q: Tensor
    k: Tensor
    v: Tensor
    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    @property
    def by_head(self) -> bool:
        """Whether heads have a dimension of their own."""
        return self.q.dim() == 4

    @property
    def heads(self) -> int:
        """How many."""
        if self.by_head:
            return self.q.shape[1]
        return int(self.args[0] if self.args else self.kwargs["heads"])

    @property
    def tokens(self) -> int:
        """L."""
        return self.q.shape[-2]

    @property
    def rotation(self) -> Rotation | None:
        """What is still to be done to queries and keys."""
        given = self.kwargs.get("pe", self.args[0] if self.args else None)
        return Rotation.of(given) if isinstance(given, Tensor) else None

    @property
    def masked(self) -> bool:
        """Whether some tokens are hidden from others."""
        given = self.kwargs.get("mask", self.args[1] if len(self.args) > 1 else None)
        return given is not None

    def rows(self, rows: Rows | None) -> Asked:
        """The same of some rows."""
        if rows is None:
            return self
        count = self.q.shape[0]

        def take(value: Any) -> Any:
            return value[rows] if isinstance(value, Tensor) and len(value) == count > 1 else value

        kwargs = {name: take(value) for name, value in self.kwargs.items()}
        args = tuple(map(take, self.args))
        return Asked(self.q[rows], self.k[rows], self.v[rows], args, kwargs)

    def flat(self, tensor: Tensor, part: slice = slice(None)) -> Tensor:
        """(B, L, H * D), of all tokens or some."""
        if self.by_head:
            return tensor[:, :, part].transpose(1, 2).flatten(2)
        return tensor[:, part].flatten(2)

    def turned(self, tensor: Tensor) -> Tensor:
        """Queries or keys at their positions, (B, L, H * D)."""
        rotation = self.rotation
        return self.flat(tensor if rotation is None else rotation.turn(tensor))


class JointHook:
    """The hooks of one seam. `remove` takes them away again, any number of times.

    Args:
        sites: those that record and inject, all of one seam.
    """

    def __init__(self, sites: Sequence[Site], state: PassState) -> None:
        seam = sites[0].seam
        assert seam is not None
        if seam.taken:
            raise replaced(sites[0].name)
        self.seam, self.state = seam, state
        self._sites = {each.call: each for each in sites}
        self._original = seam.functions()[-1]
        self._call = 0
        self._handle = seam.module.register_forward_pre_hook(self._begin)
        seam.put(self._attention)

    def remove(self) -> None:
        """Restores the block."""
        self._handle.remove()
        self.seam.restore()

    def _begin(self, module: nn.Module, args: tuple[Any, ...]) -> None:
        self._call = 0

    def _attention(self, q: Tensor, k: Tensor, v: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """In place of the block's own."""
        site, self._call = self._sites.get(self._call), self._call + 1
        state, asked = self.state, Asked(q, k, v, args, kwargs)
        if site is not None and state.recording is not None:
            self._record(site, asked)
        if site is None or state.injection is None:
            return self._plain(asked)
        return self._inject(site, asked, state.injection)

    def _plain(self, asked: Asked) -> Tensor:
        answer: Tensor = self._original(asked.q, asked.k, asked.v, *asked.args, **asked.kwargs)
        return answer

    def _layout(self) -> Layout:
        layout = self.state.layout
        assert layout is not None
        return layout

    def _record(self, site: Site, asked: Asked) -> None:
        recording, layout = self.state.recording, self._layout()
        assert recording is not None
        image = layout.image(asked.tokens)
        if asked.rotation is not None:
            where = places(layout, asked.k.device).expand(len(asked.k), -1, -1)
            recording.take(site.name, "places", None, where, layout.size)
        for which, tensor in (("keys", asked.k), ("values", asked.v)):
            recording.take(site.name, which, None, asked.flat(tensor, image), layout.size)

    def _inject(self, site: Site, asked: Asked, injection: Injection) -> Tensor:
        if injection.count != len(asked.q):
            raise replaced(site.name)
        if asked.masked:
            raise LafiError(
                "unsupported_model",
                "the model hides tokens from each other (an attention mask).",
                "Use prompts of one length, or switch LAFI off.",
            )
        answers = [self._see(site, asked.rows(each.rows), each) for each in injection.sights]
        if injection.others is None:
            return injection.merge(answers, answers[0])
        return injection.merge(answers, self._plain(asked.rows(injection.others)))

    def _see(self, site: Site, asked: Asked, sight: Sight) -> Tensor:
        """The attention's answer (b, L, H * D) for the rows of a sight."""
        state, layout = self.state, self._layout()
        image = layout.image(asked.tokens)
        q, k, v = asked.turned(asked.q), asked.turned(asked.k), asked.flat(asked.v)
        extras = [self._extra(site, each, asked, image) for each in sight.seen]
        groups = state.groups.of(
            [each.region for each in sight.seen], layout.tokens, layout.size, q.device
        )
        state.injected(site.name, [sight.seen[number] for number in acting(groups)])
        rest = [
            each
            for each in (slice(0, image.start), slice(image.stop, asked.tokens))
            if each.start < each.stop
        ]
        others = [Extra(k[:, each], v[:, each]) for each in rest]
        parts = [Part(each, others) for each in rest]
        for group in groups:
            chosen = [extras[each] for each in group.sources]
            weight = balance(chosen, layout.tokens)
            weighed = [replace(each, weight=weight) for each in others]
            queries = image if group.queries is None else group.queries + image.start
            parts.append(Part(queries if rest or len(groups) > 1 else None, [*weighed, *chosen]))
        return attend(Projected(q, k[:, image], v[:, image]), asked.heads, parts, state.upcast)

    def _extra(self, site: Site, seen: Seen, asked: Asked, image: slice) -> Extra:
        """A source's keys and values (1, M, H * D), at the positions where they are to stand."""
        entry = seen.tokens.get(site.name)
        if entry is None:
            # Called now, but not while the reference was recorded.
            raise replaced(site.name)
        entry.receive()
        muted = entry.background if seen.muted else 0
        keys, values = self._stand(entry, asked, image), entry.outputs["values"]
        return Extra(keys, values, seen.weight, muted)

    def _stand(self, entry: SiteTokens, asked: Asked, image: slice) -> Tensor:
        keys, rotation = entry.outputs["keys"], asked.rotation
        if rotation is None:
            return keys
        own = rotation.at(image)
        while own.cos.dim() > 2:  # rows and heads turn alike
            own = Rotation(own.cos[0], own.sin[0])
        standing = stand(entry.outputs["places"], self._layout(), own, self.state.position)
        if standing is None:
            return keys
        by_head = keys.view(*keys.shape[:2], asked.heads, -1).transpose(1, 2)
        return standing.turn(by_head).transpose(1, 2).flatten(2)


def balance(extras: Sequence[Extra], count: int) -> float | Tensor:
    """The weight of the keys that are not the picture's, so that their share of the attention is
    what it was before references' keys stood beside the picture's `count`.

    The same as ``1 / (1 + w)`` on the picture's own keys and ``w / (1 + w)`` on the reference's,
    but for a factor of all, which the softmax does not see. Of some of a reference's tokens, or of
    several references, each counts for as much as it has keys.
    """
    return 1 + sum(each.weight * (each.keys.shape[1] / count) for each in extras)
