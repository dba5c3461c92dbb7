"""The self-test on the loaded checkpoint, through the host's own UNet calls."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import torch

from ..core.reference import Reference
from ..core.selftest import SelfTest
from ..hosts import find_host


def run(batch: int, stream: str, size: int) -> dict[str, Any]:
    """All checks, as the API tells them.

    Raises:
        LafiError: when host or checkpoint are not supported.
    """
    host = find_host()
    unet = host.unet()  # first, so that a missing or unsupported checkpoint has its own error
    generator = torch.Generator().manual_seed(1)
    z0 = host.encode(torch.rand((1, 3, size, size), generator=generator))
    noise = torch.randn(z0.shape, generator=generator).to(z0.device)
    conditioning = host.conditioning("", size, size, z0)
    reference = Reference(z0, noise, conditioning, host.schedule(), host.prediction())
    test = SelfTest(unet, reference, host.evaluate, host.forward(), stream, batch)
    checks = [asdict(check) | {"passed": check.passed} for check in test.run()]
    return {
        "host": host.name,
        "family": host.family(),
        "batch": batch,
        "stream": stream,
        "passed": all(check["passed"] for check in checks),
        "checks": checks,
    }
