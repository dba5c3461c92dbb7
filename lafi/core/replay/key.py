"""What a recording is kept under: everything that decides what it holds."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

if TYPE_CHECKING:
    from .bank import Bank

# Asked in a UNet call: model, weights, patches, whatever decides what the UNet answers now beside
# its input. Equal only if the answers are; None where that cannot be known.
Identity = Callable[[], Hashable | None]


class Key(NamedTuple):
    """Under what a recording is found again.

    Attributes:
        series: model, reference and device; the same in all evaluations of a run.
        level: noise level and timestep.
    """

    series: Hashable
    level: Hashable


@dataclass(frozen=True)
class Replay:
    """Where a pass keeps its recordings, and what they depend on beside the reference itself."""

    bank: Bank
    identity: Identity


def digest(*tensors: Tensor | None) -> str:
    """A short hash of tensors' values, types and shapes."""
    sha = hashlib.sha256()
    for each in tensors:
        if each is not None:
            values = each.detach().to("cpu", torch.float32).contiguous()
            sha.update(f"{each.dtype}{tuple(each.shape)}".encode() + values.numpy().tobytes())
        sha.update(b"|")
    return sha.hexdigest()[:24]
