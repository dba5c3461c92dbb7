"""One attention layer that can inject."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from ..errors import LafiError
from .joint.seam import Seam

ENCODER, MIDDLE, DECODER = "encoder", "middle", "decoder"


@dataclass(frozen=True)
class Site:
    """One attention layer.

    Attributes:
        name: path inside the network, such as ``output_blocks.3.1.transformer_blocks.0.attn1`` or
            ``double_blocks.3.attn``.
        part: encoder, middle or decoder.
        block: which attention block of its part, in the order of execution; in a transformer, which
            of all blocks.
        module: the attention module, with ``to_q``, ``to_k``, ``to_v`` and ``to_out``; in a
            transformer the block.
        holder: the SpatialTransformer it stands in, which is called with (B, C, h, w).
        seam: of a transformer, where the block calls its attention.
        call: which of the calls there it is.
    """

    name: str
    part: str
    block: int
    module: nn.Module
    holder: nn.Module | None = None
    seam: Seam | None = None
    call: int = 0


def replaced(name: str) -> LafiError:
    """The error for a site that is not the model's own attention any more."""
    return LafiError(
        "attention_replaced",
        f"another extension has replaced the attention of {name}.",
        "Use strength 1 with fidelity 0 and nothing cut out, or switch that extension off.",
    )
