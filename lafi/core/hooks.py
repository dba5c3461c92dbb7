"""The hooks of a site: they hand over the reference's tokens, or let the target see them.

The reference's keys and values are what the layer's own ``to_k`` and ``to_v`` answered for the
reference, LoRA, hypernetworks and all; they are appended to what the same modules answer for the
target. The attention between, whichever optimised one the host has chosen, needs no change: only
hooks are used, and nothing of the host's is replaced.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from .attention import Extra, Part, append_tokens, attend, project
from .grouping import acting
from .injection import Seen, Sight, take_rows
from .joint.hook import JointHook
from .sites import Site, replaced
from .state import PassState


def attach(
    sites: Sequence[Site], state: PassState, measures: bool
) -> Iterator[SiteHook | JointHook]:
    """Puts the hooks of some sites in place, one after the other: whoever collects them has all
    that are there, also where one fails.

    Args:
        measures: whether sites must know their layer's height and width.
    """
    seams: dict[int, list[Site]] = {}
    for site in sites:
        if site.seam is None:
            yield SiteHook(site, state, measures)
        else:
            seams.setdefault(id(site.seam), []).append(site)
    for each in seams.values():
        yield JointHook(each, state)


class SiteHook:
    """The hooks of one site. `remove` takes them away again, in any order, any number of times."""

    def __init__(self, site: Site, state: PassState, measures: bool) -> None:
        self.site, self.state = site, state
        # Rows that inject, kept from the module's own forward: (x, its keyword arguments).
        self._pending: tuple[Tensor, dict[str, Any]] | None = None
        # What this hook itself asks the projections: to append what is seen, or to be left alone.
        self._appended: Sequence[Seen] = ()
        self._asking = False
        self._size: tuple[int, int] | None = None
        module: Any = site.module
        self._handles = [
            module.register_forward_pre_hook(self._before, with_kwargs=True),
            module.register_forward_hook(self._after),
            module.to_k.register_forward_hook(self._projection_hook("keys")),
            module.to_v.register_forward_hook(self._projection_hook("values")),
        ]
        if measures and site.holder is not None:
            self._handles.append(site.holder.register_forward_pre_hook(self._measure))

    def remove(self) -> None:
        """Restores the module."""
        self._pending = None
        for handle in self._handles:
            handle.remove()

    def _measure(self, module: nn.Module, args: tuple[Any, ...]) -> None:
        """Height and width of the layer, before they are flattened to tokens."""
        self._size = tuple(args[0].shape[-2:]) if args else None

    # ---- keys and values ----------------------------------------------------------------------

    def _projection_hook(self, which: str) -> Callable[..., Tensor | None]:
        def after_projection(
            module: nn.Module, args: tuple[Any, ...], output: Tensor
        ) -> Tensor | None:
            if self._asking:
                if not self._appended:
                    return None
                return self._append(which, self._appended, module, args[0], output)
            state = self.state
            if state.recording is not None:
                state.recording.take(self.site.name, which, args[0], output, self._size)
            if state.injection is None:
                return None
            whole = state.injection.whole
            if whole is not None:
                return self._append(which, whole.seen, module, args[0], output)
            if self._pending is None:
                # Another extension calls the projections by itself, around the attention module.
                raise replaced(self.site.name)
            return None

        return after_projection

    def _append(
        self, which: str, seen: Sequence[Seen], module: nn.Module, given: Tensor, output: Tensor
    ) -> Tensor:
        self.state.injected(self.site.name, seen)
        return append_tokens(output, *(self._tokens(which, each, module, given) for each in seen))

    def _tokens(self, which: str, seen: Seen, module: nn.Module, like: Tensor) -> Tensor:
        """A source's keys or values (1, M, D) in this site."""
        entry = seen.tokens.get(self.site.name)
        if entry is None:
            # Called now, but not while the reference was recorded.
            raise replaced(self.site.name)
        with self._asks():
            return entry.projected(which, module, like)

    @contextmanager
    def _asks(self, appended: Sequence[Seen] = ()) -> Iterator[None]:
        """Around calls of the projections that this hook makes itself."""
        before = self._asking, self._appended
        self._asking, self._appended = True, appended
        try:
            yield
        finally:
            self._asking, self._appended = before

    # ---- rows and strength --------------------------------------------------------------------

    def _before(
        self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
        self._pending = None
        injection = self.state.injection
        if injection is None or injection.whole is not None:
            return None
        x, rest = args[0], args[1:]
        if rest:  # a context given by position
            kwargs, rest = {**kwargs, "context": rest[0]}, rest[1:]
        if injection.count != x.shape[0]:
            # Another extension calls the attention module with a part of the batch.
            raise replaced(self.site.name)
        self._pending = (x, kwargs)
        if injection.others is None:
            # A hook cannot skip the forward, so it gets the least there is: one row, one token.
            return (x[:1, :1], *rest), _without_context(kwargs)
        return (x[injection.others], *rest), take_rows(kwargs, injection.others, x.shape[0])

    def _after(self, module: Any, args: tuple[Any, ...], output: Tensor) -> Tensor | None:
        if self._pending is None:
            return None
        (x, kwargs), self._pending = self._pending, None
        injection = self.state.injection
        assert injection is not None
        return injection.merge(
            [self._see(module, x, kwargs, each) for each in injection.sights], output
        )

    def _see(self, module: Any, x: Tensor, kwargs: dict[str, Any], sight: Sight) -> Tensor:
        """The layer's answer (b, N, C) for the rows of a sight."""
        if sight.rows is not None:
            kwargs, x = take_rows(kwargs, sight.rows, x.shape[0]), x[sight.rows]
        if sight.plain:
            with self._asks(sight.seen):
                # .forward, not the call: this module's hooks have already run for this batch.
                result: Tensor = module.forward(x, **kwargs)
                return result
        state = self.state
        with self._asks():
            context, value = kwargs.get("context"), kwargs.get("value")
            own = project(module, x, context, value, state.context_hook)
        extras = [
            Extra(
                self._tokens("keys", each, module.to_k, x),
                self._tokens("values", each, module.to_v, x),
                each.weight,
                each.tokens[self.site.name].background if each.muted else 0,
            )
            for each in sight.seen
        ]
        regions = [each.region for each in sight.seen]
        groups = state.groups.of(regions, x.shape[1], self._size, x.device)
        state.injected(self.site.name, [sight.seen[number] for number in acting(groups)])
        parts = [Part(each.queries, [extras[i] for i in each.sources]) for each in groups]
        out = attend(own, module.heads, parts, state.upcast)
        answer: Tensor = module.to_out(out)
        return answer


def _without_context(kwargs: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in kwargs.items() if name not in ("context", "value")}
