"""The attention itself, as pure functions of tensors: queries that see references' tokens too.

``K = [K_tgt || K_ref]``, ``V = [V_tgt || V_ref]`` (paper, section 3.2, step 2), for any number of
references, each with a weight of its own, each seen by all queries or by some.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

# context (B, N, C) -> what the host feeds to to_k and to_v (hypernetworks change it)
ContextHook = Callable[[Tensor], tuple[Tensor, Tensor]]

# Where hosts autocast.
AUTOCAST = ("cpu", "cuda", "xpu")


@dataclass(frozen=True)
class Projected:
    """A layer's queries, keys and values, each (B, N, D)."""

    q: Tensor
    k: Tensor
    v: Tensor


@dataclass(frozen=True)
class Extra:
    """Keys and values that queries see beside their own.

    Attributes:
        keys, values: (1, M, D) the same for all rows, or (B, M, D).
        weight: w on the keys, or (B, 1, 1) one for each row; 1 is plain concatenation.
        muted: how many of the M, the last ones, are seen without their values: a query's attention
            to them becomes attention to its own picture.
    """

    keys: Tensor
    values: Tensor
    weight: float | Tensor = 1.0
    muted: int = 0


@dataclass(frozen=True)
class Part:
    """Some of a layer's queries, and what they see.

    Attributes:
        queries: (n,) their positions, or a slice where they stand side by side; None for all.
    """

    queries: Tensor | slice | None
    extras: Sequence[Extra]


def append_tokens(own: Tensor, *references: Tensor) -> Tensor:
    """(B, N, D) and some (1, M, D) or (B, M, D) to (B, N + M + ..., D).

    References are expanded to the batch: SDP attention would fold a batch of another size into
    wrong rows without an error.
    """
    rows = own.shape[0]
    return torch.cat([own, *(each.to(own).expand(rows, -1, -1) for each in references)], 1)


def project(
    module: Any,
    x: Tensor,
    context: Tensor | None = None,
    value: Tensor | None = None,
    context_hook: ContextHook | None = None,
) -> Projected:
    """What an attention module's projections make of tokens.

    Args:
        module: with to_q, to_k and to_v.
        x: (B, N, C) the queries' tokens.
        context: (B, M, C) those of the keys, if they differ from `x`.
        value: (B, M, C) those of the values, if they differ from the keys'.
        context_hook: the host's own treatment of the context.
    """
    context = x if context is None else context
    for_keys, for_values = context_hook(context) if context_hook else (context, context)
    for_values = for_values if value is None else value
    return Projected(module.to_q(x), module.to_k(for_keys), module.to_v(for_values))


def attend(own: Projected, heads: int, parts: Sequence[Part], upcast: bool = False) -> Tensor:
    """Attention in which each part of the queries sees its own extras: (B, N, D), before to_out.

    The parts hold every query once. Each is an attention by itself, without a mask: queries that
    see less cost less.

    Args:
        upcast: compute in float32, also where the host autocasts.
    """
    if len(parts) == 1 and parts[0].queries is None:
        return _attend(own, heads, parts[0].extras, upcast)
    out = own.q.new_empty(*own.q.shape[:2], own.v.shape[-1])
    for each in parts:
        assert each.queries is not None
        chosen = Projected(own.q[:, each.queries], own.k, own.v)
        out[:, each.queries] = _attend(chosen, heads, each.extras, upcast)
    return out


def _attend(own: Projected, heads: int, extras: Sequence[Extra], upcast: bool) -> Tensor:
    """With weights w on extra keys: ``ln w`` added to their logits.

    Exact, and without an attention mask (which would cost the fast kernels): queries and keys get
    one more column, 1 in every query, ``ln w / scale`` in the extra keys. The same column of the
    values says how much of a query's attention goes to what is muted.
    """
    q, dtype = own.q, own.q.dtype
    k = append_tokens(own.k, *(each.keys for each in extras))
    v = append_tokens(own.v, *(each.values for each in extras))
    if upcast:
        q, k, v = q.float(), k.float(), v.float()
    q, k, v = (_by_head(each, heads) for each in (q, k, v))
    width, begin = q.shape[-1], own.k.shape[1]
    scale = width**-0.5
    muted = any(each.muted for each in extras)
    alone = q, k[:, :, :begin], v[:, :, :begin]
    if muted or any(_weighs(each.weight) for each in extras):
        # Eight columns, not one: the fast kernels want a head size that eight divides.
        q, k, v = (F.pad(each, (0, 8)) for each in (q, k, v))
        q[..., width] = 1
        for each in extras:
            end = begin + each.keys.shape[1]
            k[:, :, begin:end, width] = _logarithm(each.weight) / scale
            v[:, :, end - each.muted : end] = 0
            v[:, :, end - each.muted : end, width] = 1
            begin = end
    with _without_autocast(q.device) if upcast else nullcontext():
        out = F.scaled_dot_product_attention(q, k, v, scale=scale)
        share, out = out[..., width:][..., :1], out[..., :width]
        if muted:
            out = out + share * F.scaled_dot_product_attention(*alone, scale=scale)
    return out.transpose(1, 2).flatten(2).to(dtype)


def _by_head(tokens: Tensor, heads: int) -> Tensor:
    """(B, N, D) to (B, heads, N, D / heads)."""
    return tokens.view(*tokens.shape[:2], heads, -1).transpose(1, 2)


def _weighs(weight: float | Tensor) -> bool:
    return isinstance(weight, Tensor) or weight != 1


def _logarithm(weight: float | Tensor) -> float | Tensor:
    return weight.log() if isinstance(weight, Tensor) else math.log(weight)


def _without_autocast(device: torch.device) -> AbstractContextManager[object]:
    """Autocast would round again what has been made float32."""
    if device.type not in AUTOCAST:
        return nullcontext()
    return torch.autocast(device.type, enabled=False)
