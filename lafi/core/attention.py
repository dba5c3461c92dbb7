"""The attention itself, as pure functions of tensors: a layer that sees the reference's tokens too.

``K = [K_tgt || K_ref]``, ``V = [V_tgt || V_ref]`` (paper, section 3.2, step 2).
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
class Rows:
    """Which rows of a batch inject, some of them and not all.

    Slices where rows of a kind stand side by side (a view, no copy), else index tensors on the
    batch's own device: a mask of booleans would make a GPU wait for the CPU each time it is used.

    Attributes:
        count: rows of the batch.
        inject, others: where they are.
    """

    count: int
    inject: slice | Tensor
    others: slice | Tensor

    @classmethod
    def of(cls, kinds: Sequence[bool], device: torch.device) -> Rows:
        """The rows whose kind is True inject."""
        found = [[row for row, kind in enumerate(kinds) if kind is each] for each in (True, False)]
        return cls(len(kinds), *(_index(rows, device) for rows in found))

    def merge(self, inject: Tensor, others: Tensor) -> Tensor:
        """Both kinds of rows (b, N, D) in the batch's order (B, N, D)."""
        result = others.new_empty((self.count, *others.shape[1:]))
        result[self.others] = others
        result[self.inject] = inject.to(result.dtype)
        return result


def _index(rows: list[int], device: torch.device) -> slice | Tensor:
    if rows == list(range(rows[0], rows[-1] + 1)):
        return slice(rows[0], rows[-1] + 1)
    return torch.tensor(rows, device=device)


def _without_autocast(device: torch.device) -> AbstractContextManager[object]:
    """Autocast would round again what has been made float32."""
    if device.type not in AUTOCAST:
        return nullcontext()
    return torch.autocast(device.type, enabled=False)


def append_tokens(own: Tensor, reference: Tensor) -> Tensor:
    """(B, N, D) and (1, M, D) to (B, N + M, D).

    The reference is expanded to the batch: SDP attention would fold a batch of another size into
    wrong rows without an error.
    """
    return torch.cat([own, reference.to(own).expand(own.shape[0], -1, -1)], 1)


def weighted_attention(
    module: Any,
    x: Tensor,
    context: Tensor | None = None,
    value: Tensor | None = None,
    *,
    strength: float | Tensor,
    context_hook: ContextHook | None = None,
    upcast: bool = False,
) -> Tensor:
    """Attention with a weight w on the reference's keys: ``ln w`` added to their logits.

    Exact, and without an attention mask (which would cost the fast kernels): queries and keys get
    one more column, 1 in every query, ``ln w / scale`` in the reference's keys.

    Args:
        module: an attention module with to_q, to_k, to_v, to_out and heads; its projections append
            the reference.
        x: (B, N, C) the queries' tokens.
        context: (B, M, C) the tokens of the target's own keys, if they differ from `x`.
        value: (B, M, C) those of its own values, if they differ from the keys'.
        strength: w, or (B, 1, 1) one for each row.
        context_hook: the host's own treatment of the context.
        upcast: compute in float32, also where the host autocasts.
    """
    context = x if context is None else context
    own = context.shape[1]
    for_keys, for_values = context_hook(context) if context_hook else (context, context)
    for_values = for_values if value is None else value
    q, k, v = module.to_q(x), module.to_k(for_keys), module.to_v(for_values)
    dtype = q.dtype
    if upcast:
        q, k, v = q.float(), k.float(), v.float()
    q, k, v = (each.unflatten(2, (module.heads, -1)).transpose(1, 2) for each in (q, k, v))
    width = q.shape[-1]
    scale = width**-0.5
    # Eight columns, not one: the fast kernels want a head size that eight divides.
    q, k, v = (F.pad(each, (0, 8)) for each in (q, k, v))
    q[..., width] = 1
    logs = strength.log() if isinstance(strength, Tensor) else math.log(strength)
    k[:, :, own:, width] = logs / scale
    with _without_autocast(x.device) if upcast else nullcontext():
        out = F.scaled_dot_product_attention(q, k, v, scale=scale)[..., :width]
    result: Tensor = module.to_out(out.transpose(1, 2).flatten(2).to(dtype))
    return result
