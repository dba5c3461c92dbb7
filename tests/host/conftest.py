"""The UNets that every promise is tested on."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest
import torch

from lab.host.bundled import fused_attention

from . import harness

CASES = [
    "sd1",
    "sd1, fused attention",
    "sd1 checkpointing",
    "sd2, fused attention",
    "sdxl",
    "sdxl, fused attention",
]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """For tensors this small, threads cost more time than they save."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> Iterator[harness.Case]:
    """A UNet; behind its attention stands its own forward, or torch's as the WebUIs put it."""
    layout, _, fused = request.param.partition(", ")
    with fused_attention() if fused else contextlib.nullcontext():
        yield harness.case(layout)


@pytest.fixture
def sd1() -> harness.Case:
    """One UNet, where the layout does not matter."""
    return harness.case("sd1")
