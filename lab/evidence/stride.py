"""What it changes in the picture itself to record the reference once for several evaluations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from .methods import DEFAULT, PAPER, PLAIN, Method
from .run import Sampler
from .trials import Trial

EVERY = (2, 3, 4)
BASES = (PAPER, DEFAULT)


def stride(sampler: Sampler, trials: Sequence[Trial]) -> dict[str, dict[int, float]]:
    """How far *Refresh* n moves the pictures from *Refresh* 1, relative to how far LAFI moves them
    from a run without it: root mean squares over all pixels, by settings and n."""

    def pictures(method: Method) -> Tensor:
        return torch.cat([sampler.run(method, trial, range(1)) for trial in trials])

    plain = pictures(Method(PLAIN))
    changes = {}
    for base in BASES:
        exact = pictures(replace(base, refresh=1))
        whole = _distance(exact, plain)
        changes[base.name] = {
            every: _distance(pictures(replace(base, refresh=every)), exact) / whole
            for every in EVERY
        }
    return changes


def _distance(one: Tensor, other: Tensor) -> float:
    return (one - other).square().mean().sqrt().item()
