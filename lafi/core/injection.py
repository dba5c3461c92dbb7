"""The attention itself: a self-attention layer that also sees the reference's tokens.

``K = [K_tgt || K_ref]``, ``V = [V_tgt || V_ref]`` (paper, section 3.2, step 2). The reference's
keys and values are what the layer's own ``to_k`` and ``to_v`` answered for the reference, LoRA,
hypernetworks and all; they are appended to what the same modules answer for the target. The
attention between, whichever optimised one the host has chosen, needs no change: only hooks are
used, and nothing of the host's is replaced.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import LafiError
from .sites import Site


class Mode(enum.Enum):
    """What a site does with the tokens that pass through it."""

    OFF = enum.auto()
    RECORD = enum.auto()
    INJECT = enum.auto()
    FUSED = enum.auto()
    """Both at once: the batch's last row is the reference."""


class RecordingComplete(Exception):  # noqa: N818 (a signal, not an error)
    """Ends a reference pass once its last site is recorded: the rest of the UNet is not needed."""


@dataclass
class SiteTokens:
    """The reference in one site, under ``to_k`` and ``to_v``.

    Attributes:
        inputs: (1, M, C) what the projection was given; kept for a bank, and under a token mask.
        outputs: (1, M, D) what it answered; projected from `inputs` when absent.
        arrival: to be called before they are used, where they are still being copied.
    """

    inputs: dict[str, Tensor] = field(default_factory=dict)
    outputs: dict[str, Tensor] = field(default_factory=dict)
    arrival: Callable[[], None] | None = None

    def tensors(self) -> Iterator[Tensor]:
        """Each one once: keys and values usually share their input."""
        return iter({id(t): t for t in (*self.inputs.values(), *self.outputs.values())}.values())

    def nbytes(self) -> int:
        """Memory held."""
        return sum(each.numel() * each.element_size() for each in self.tensors())

    def mapped(self, change: Callable[[Tensor], Tensor]) -> SiteTokens:
        """The same with every tensor changed, once."""
        changed = {id(t): change(t) for t in self.tensors()}
        return SiteTokens(
            {which: changed[id(t)] for which, t in self.inputs.items()},
            {which: changed[id(t)] for which, t in self.outputs.items()},
        )

    def receive(self) -> None:
        """Waits until they have arrived."""
        if self.arrival is not None:
            self.arrival()
            self.arrival = None


# The reference in each site, by the site's name.
Tokens = dict[str, SiteTokens]

# context (B, N, C) -> what the host feeds to to_k and to_v (hypernetworks change it)
ContextHook = Callable[[Tensor], tuple[Tensor, Tensor]]


@dataclass
class Injection:
    """What all sites of a pass share; `mode`, `tokens` and `rows` change from call to call.

    Attributes:
        strength: weight on the reference's keys; 1 is plain concatenation.
        select: from a site's tokens (1, N, C), the ones to keep (1, M, C); a token mask.
        context_hook: the host's own treatment of a context before the projections.
        upcast: compute weighted attention in float32.
        keep_inputs: record what a bank needs.
        dtype: the UNet's own type.
        tokens: the reference's tokens by site name.
        rows: which rows of the batch inject, (B,) booleans; None for all.
        last: name of the site after which a recording is complete; None to run to the end.
        touched: names of the sites that really injected in this evaluation.
    """

    strength: float = 1.0
    select: Callable[[Tensor], Tensor] | None = None
    context_hook: ContextHook | None = None
    upcast: bool = False
    keep_inputs: bool = False
    dtype: torch.dtype = torch.float32
    mode: Mode = Mode.OFF
    tokens: Tokens = field(default_factory=dict)
    rows: Tensor | None = None
    last: str | None = None
    touched: set[str] = field(default_factory=set)

    @property
    def splits(self) -> bool:
        """Whether rows must be told apart, or keys weighed, around the whole attention module."""
        return self.rows is not None or self.strength != 1


class SiteHook:
    """The hooks of one site. `remove` takes them away again, in any order, any number of times."""

    def __init__(self, site: Site, injection: Injection) -> None:
        self.site, self.injection = site, injection
        # Rows that inject, kept from the module's own forward: (x, its keyword arguments).
        self._pending: tuple[Tensor, dict[str, Any]] | None = None
        self._attending = False
        self._given: Tensor | None = None
        module: Any = site.module
        self._handles = [
            module.register_forward_pre_hook(self._before, with_kwargs=True),
            module.register_forward_hook(self._after),
            module.to_k.register_forward_hook(self._projection_hook("keys")),
            module.to_v.register_forward_hook(self._projection_hook("values")),
        ]

    def remove(self) -> None:
        """Restores the module."""
        self._pending = None
        for handle in self._handles:
            handle.remove()

    # ---- keys and values ----------------------------------------------------------------------

    def _projection_hook(self, which: str) -> Callable[..., Tensor | None]:
        def after_projection(
            module: nn.Module, args: tuple[Any, ...], output: Tensor
        ) -> Tensor | None:
            mode = self.injection.mode
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
        if not self.injection.splits or self._attending:
            return True
        if self._pending is None:
            # Another extension calls the projections by itself, around the attention module.
            raise self._replaced()
        return False

    def _check_rows(self, batch: int) -> None:
        rows = self.injection.rows
        if rows is not None and rows.shape[0] != batch:
            # Another extension calls the attention module with a part of the batch.
            raise self._replaced()

    def _replaced(self) -> LafiError:
        return LafiError(
            "attention_replaced",
            f"another extension has replaced the attention of {self.site.name}.",
            "Use strength 1 with rows both, or switch that extension off.",
        )

    def _record(self, which: str, given: Tensor, output: Tensor) -> None:
        injection = self.injection
        entry = injection.tokens.setdefault(self.site.name, SiteTokens())
        if injection.select is None:
            entry.outputs[which] = self._row(output)
        if injection.keep_inputs or injection.select is not None:
            # One tensor for both unless a hypernetwork has made them differ.
            shared = which == "values" and given is self._given
            self._given = given if which == "keys" else None
            entry.inputs[which] = entry.inputs["keys"] if shared else self._kept(given)
        if self.site.name == injection.last and 2 in (len(entry.inputs), len(entry.outputs)):
            raise RecordingComplete

    def _row(self, tokens: Tensor) -> Tensor:
        """The reference's row: of its own pass the only one, of one batch the last."""
        if self.injection.mode is Mode.RECORD:
            return tokens.detach()
        return tokens[-1:].detach().clone()  # a view would keep all rows

    def _kept(self, given: Tensor) -> Tensor:
        # Where the host autocasts, the projection itself rounds its input to the UNet's type.
        row = self._row(given)
        kept = row if self.injection.select is None else self.injection.select(row)
        return kept.to(self.injection.dtype) if torch.is_autocast_enabled() else kept

    def _append(
        self, which: str, module: nn.Module, given: Tensor, output: Tensor
    ) -> Tensor | None:
        entry = self.injection.tokens.get(self.site.name)
        if entry is None:
            return None
        entry.receive()
        if which not in entry.outputs:
            with self._off():
                entry.outputs[which] = module(entry.inputs[which].to(given))
        self.injection.touched.add(self.site.name)
        return append_tokens(output, entry.outputs[which])

    @contextmanager
    def _off(self) -> Iterator[None]:
        mode, self.injection.mode = self.injection.mode, Mode.OFF
        try:
            yield
        finally:
            self.injection.mode = mode

    # ---- rows and strength --------------------------------------------------------------------

    def _before(
        self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
        self._pending = None
        if self.injection.mode is not Mode.INJECT or not self.injection.splits:
            return None
        if self.site.name not in self.injection.tokens:
            return None
        x, rest = args[0], args[1:]
        if rest:  # a context given by position
            kwargs, rest = {**kwargs, "context": rest[0]}, rest[1:]
        self._check_rows(x.shape[0])
        self._pending = (x, kwargs)
        x, kwargs = self._others(x, kwargs)
        return (x, *rest), kwargs

    def _others(self, x: Tensor, kwargs: dict[str, Any]) -> tuple[Tensor, dict[str, Any]]:
        """What the module's own forward gets while `_after` has the injecting rows to itself."""
        rows = self.injection.rows
        if rows is None or bool(rows.all()):
            # A hook cannot skip the forward, so it gets the least there is: one row, one token.
            return x[:1, :1], _without_context(kwargs)
        return x[~rows], _take_rows(kwargs, ~rows, x.shape[0])

    def _after(self, module: Any, args: tuple[Any, ...], output: Tensor) -> Tensor | None:
        if self._pending is None:
            return None
        (x, kwargs), self._pending = self._pending, None
        rows = self.injection.rows
        if rows is None:
            return self._attend(module, x, kwargs)
        result = output.new_empty((x.shape[0], x.shape[1], output.shape[-1]))
        if not bool(rows.all()):
            result[~rows] = output
        if bool(rows.any()):
            injected = self._attend(module, x[rows], _take_rows(kwargs, rows, x.shape[0]))
            result[rows] = injected.to(result.dtype)
        return result

    def _attend(self, module: Any, x: Tensor, kwargs: dict[str, Any]) -> Tensor:
        self._attending = True
        try:
            if self.injection.strength == 1:
                # .forward, not the call: this module's hooks have already run for this batch.
                result: Tensor = module.forward(x, **kwargs)
                return result
            return weighted_attention(module, x, kwargs.get("context"), self.injection)
        finally:
            self._attending = False


def append_tokens(own: Tensor, reference: Tensor) -> Tensor:
    """(B, N, D) and (1, M, D) to (B, N + M, D).

    The reference is expanded to the batch: SDP attention would fold a batch of another size into
    wrong rows without an error.
    """
    return torch.cat([own, reference.to(own).expand(own.shape[0], -1, -1)], 1)


def weighted_attention(
    module: Any, x: Tensor, context: Tensor | None, injection: Injection
) -> Tensor:
    """Attention with a weight w on the reference's keys: ``ln w`` added to their logits.

    Exact, and without an attention mask (which would cost the fast kernels): queries and keys get
    one more column, 1 in every query, ``ln w / scale`` in the reference's keys.

    Args:
        module: an attention module with to_q, to_k, to_v, to_out and heads; its projections append
            the reference.
        x: (B, N, C) the queries' tokens.
        context: (B, M, C) the tokens of the target's own keys, if they differ from `x`.
    """
    context = x if context is None else context
    own = context.shape[1]
    hook = injection.context_hook
    for_keys, for_values = hook(context) if hook else (context, context)
    q, k, v = module.to_q(x), module.to_k(for_keys), module.to_v(for_values)
    dtype = q.dtype
    if injection.upcast:
        q, k, v = q.float(), k.float(), v.float()
    q, k, v = (each.unflatten(2, (module.heads, -1)).transpose(1, 2) for each in (q, k, v))
    width = q.shape[-1]
    scale = width**-0.5
    # Eight columns, not one: the fast kernels want a head size that eight divides.
    q, k, v = (F.pad(each, (0, 8)) for each in (q, k, v))
    q[..., width] = 1
    k[:, :, own:, width] = math.log(injection.strength) / scale
    out = F.scaled_dot_product_attention(q, k, v, scale=scale)[..., :width]
    result: Tensor = module.to_out(out.transpose(1, 2).flatten(2).to(dtype))
    return result


def _without_context(kwargs: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in kwargs.items() if name not in ("context", "value")}


def _take_rows(kwargs: dict[str, Any], rows: Tensor, batch: int) -> dict[str, Any]:
    return {
        name: value[rows] if isinstance(value, Tensor) and value.shape[:1] == (batch,) else value
        for name, value in kwargs.items()
    }
