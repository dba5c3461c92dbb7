"""The hooks of a site: they record the reference's tokens, or let the target see them.

The reference's keys and values are what the layer's own ``to_k`` and ``to_v`` answered for the
reference, LoRA, hypernetworks and all; they are appended to what the same modules answer for the
target. The attention between, whichever optimised one the host has chosen, needs no change: only
hooks are used, and nothing of the host's is replaced.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from .attention import ContextHook, Rows, append_tokens, weighted_attention
from .sites import Site, replaced
from .tokens import SiteTokens, Tokens


class Mode(enum.Enum):
    """What a site does with the tokens that pass through it."""

    OFF = enum.auto()
    RECORD = enum.auto()
    INJECT = enum.auto()
    FUSED = enum.auto()
    """Both at once: the batch's last row is the reference."""


class RecordingComplete(Exception):  # noqa: N818 (a signal, not an error)
    """Ends a reference pass once its last site is recorded: the rest of the UNet is not needed."""


class Select(Protocol):
    """Chooses some of a site's tokens: (1, N, C) to (1, M, C), as a token mask does.

    `size` is the layer's height and width where it is known.
    """

    def __call__(self, tokens: Tensor, size: tuple[int, int] | None = None) -> Tensor: ...


@dataclass
class PassState:
    """What all sites of a pass read. The session and its recorder set it from call to call; a
    site only hands over what it has recorded, and tells that it has injected.

    Attributes:
        strength: weight on the reference's keys; 1 is plain concatenation. A tensor (B, 1, 1) has
            one for each row of the batch.
        select: a token mask.
        context_hook: the host's own treatment of a context before the projections.
        upcast: compute weighted attention in float32.
        keep_inputs: record what a bank needs.
        dtype: the UNet's own type.
        tokens: the reference's tokens by site name.
        rows: which rows of the batch inject; None for all.
        last: name of the site after which a recording is complete; None to run to the end.
        touched: names of the sites that really injected in this evaluation.
    """

    strength: float | Tensor = 1.0
    select: Select | None = None
    context_hook: ContextHook | None = None
    upcast: bool = False
    keep_inputs: bool = False
    dtype: torch.dtype = torch.float32
    mode: Mode = Mode.OFF
    tokens: Tokens = field(default_factory=dict)
    rows: Rows | None = None
    last: str | None = None
    touched: set[str] = field(default_factory=set)

    @property
    def splits(self) -> bool:
        """Whether rows must be told apart, or keys weighed, around the whole attention module."""
        return self.rows is not None or isinstance(self.strength, Tensor) or self.strength != 1

    @contextmanager
    def during(self, mode: Mode) -> Iterator[None]:
        """Another mode for a while."""
        before, self.mode = self.mode, mode
        try:
            yield
        finally:
            self.mode = before


class SiteHook:
    """The hooks of one site. `remove` takes them away again, in any order, any number of times."""

    def __init__(self, site: Site, state: PassState) -> None:
        self.site, self.state = site, state
        # Rows that inject, kept from the module's own forward: (x, its keyword arguments).
        self._pending: tuple[Tensor, dict[str, Any]] | None = None
        self._attending = False
        self._given: Tensor | None = None
        self._size: tuple[int, int] | None = None
        module: Any = site.module
        self._handles = [
            module.register_forward_pre_hook(self._before, with_kwargs=True),
            module.register_forward_hook(self._after),
            module.to_k.register_forward_hook(self._projection_hook("keys")),
            module.to_v.register_forward_hook(self._projection_hook("values")),
        ]
        if state.select is not None and site.holder is not None:
            self._handles.append(site.holder.register_forward_pre_hook(self._measure))

    def remove(self) -> None:
        """Restores the module."""
        self._pending = None
        for handle in self._handles:
            handle.remove()

    # ---- recording ----------------------------------------------------------------------------

    def _measure(self, module: nn.Module, args: tuple[Any, ...]) -> None:
        """Height and width of the layer, before they are flattened to tokens."""
        self._size = tuple(args[0].shape[-2:]) if args else None

    def _record(self, which: str, given: Tensor, output: Tensor) -> None:
        state = self.state
        entry = state.tokens.setdefault(self.site.name, SiteTokens())
        entry.outputs[which] = self._kept(output)
        if state.keep_inputs:
            # One tensor for both unless a hypernetwork has made them differ.
            shared = which == "values" and given is self._given
            self._given = given if which == "keys" else None
            entry.inputs[which] = entry.inputs["keys"] if shared else self._rounded(given)
        if self.site.name == state.last and 2 in (len(entry.inputs), len(entry.outputs)):
            raise RecordingComplete

    def _row(self, tokens: Tensor) -> Tensor:
        """The reference's row: of its own pass the only one, of one batch the last."""
        if self.state.mode is Mode.RECORD:
            return tokens.detach()
        return tokens[-1:].detach().clone()  # a view would keep all rows

    def _kept(self, tokens: Tensor) -> Tensor:
        """The reference's row, and of it what a mask keeps: projections treat each token alone."""
        row = self._row(tokens)
        return row if self.state.select is None else self.state.select(row, self._size)

    def _rounded(self, given: Tensor) -> Tensor:
        # Where the host autocasts, the projection itself rounds its input to the UNet's type.
        kept = self._kept(given)
        return kept.to(self.state.dtype) if torch.is_autocast_enabled() else kept

    # ---- keys and values ----------------------------------------------------------------------

    def _projection_hook(self, which: str) -> Callable[..., Tensor | None]:
        def after_projection(
            module: nn.Module, args: tuple[Any, ...], output: Tensor
        ) -> Tensor | None:
            mode = self.state.mode
            if mode is Mode.RECORD:
                self._record(which, args[0], output)
            elif mode is Mode.FUSED:
                # The reference's own row sees its keys twice, which changes nothing: duplicates
                # cancel in the softmax.
                self._record(which, args[0], output)
                return self._append(which, module, args[0], output)
            elif mode is Mode.INJECT and self._appends():
                return self._append(which, module, args[0], output)
            return None

        return after_projection

    def _appends(self) -> bool:
        if not self.state.splits or self._attending:
            return True
        if self._pending is None:
            # Another extension calls the projections by itself, around the attention module.
            raise replaced(self.site.name)
        return False

    def _append(self, which: str, module: nn.Module, given: Tensor, output: Tensor) -> Tensor:
        entry = self.state.tokens.get(self.site.name)
        if entry is None:
            # Called now, but not while the reference was recorded.
            raise replaced(self.site.name)
        entry.receive()
        if which not in entry.outputs:
            with self.state.during(Mode.OFF):
                entry.outputs[which] = module(entry.inputs[which].to(given))
        self.state.touched.add(self.site.name)
        return append_tokens(output, entry.outputs[which])

    # ---- rows and strength --------------------------------------------------------------------

    def _before(
        self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
        self._pending = None
        state = self.state
        if state.mode is not Mode.INJECT or not state.splits:
            return None
        x, rest = args[0], args[1:]
        if rest:  # a context given by position
            kwargs, rest = {**kwargs, "context": rest[0]}, rest[1:]
        if (
            self.site.name not in state.tokens
            or (
                # Another extension calls the attention module with a part of the batch.
                state.rows is not None and state.rows.count != x.shape[0]
            )
            or (isinstance(state.strength, Tensor) and len(state.strength) != x.shape[0])
        ):
            raise replaced(self.site.name)
        self._pending = (x, kwargs)
        if state.rows is None:
            # A hook cannot skip the forward, so it gets the least there is: one row, one token.
            return (x[:1, :1], *rest), _without_context(kwargs)
        others = state.rows.others
        return (x[others], *rest), _take_rows(kwargs, others, x.shape[0])

    def _after(self, module: Any, args: tuple[Any, ...], output: Tensor) -> Tensor | None:
        if self._pending is None:
            return None
        (x, kwargs), self._pending = self._pending, None
        rows = self.state.rows
        if rows is None:
            return self._attend(module, x, kwargs)
        inject = rows.inject
        injected = self._attend(module, x[inject], _take_rows(kwargs, inject, x.shape[0]))
        return rows.merge(injected, output)

    def _attend(self, module: Any, x: Tensor, kwargs: dict[str, Any]) -> Tensor:
        state = self.state
        self._attending = True
        try:
            if not isinstance(state.strength, Tensor) and state.strength == 1:
                # .forward, not the call: this module's hooks have already run for this batch.
                result: Tensor = module.forward(x, **kwargs)
                return result
            return weighted_attention(
                module,
                x,
                kwargs.get("context"),
                kwargs.get("value"),
                strength=state.strength,
                context_hook=state.context_hook,
                upcast=state.upcast,
            )
        finally:
            self._attending = False


def _without_context(kwargs: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in kwargs.items() if name not in ("context", "value")}


def _take_rows(kwargs: dict[str, Any], rows: slice | Tensor, batch: int) -> dict[str, Any]:
    return {
        name: value[rows] if isinstance(value, Tensor) and value.shape[:1] == (batch,) else value
        for name, value in kwargs.items()
    }
