"""The UNets that every promise is tested on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from demo.bundled import CrossAttention, sdp_attention

from . import harness

CASES = {
    "sd1": None,
    "sd1, fused attention": sdp_attention,
    "sd1 checkpointing": None,
    "sd2": sdp_attention,
    "sdxl": sdp_attention,
}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """For tensors this small, threads cost more time than they save."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> harness.Case:
    """A UNet; behind its attention stands ldm's own forward, or torch's as the WebUIs put it."""
    attention = CASES[request.param]
    if attention is not None:
        monkeypatch.setattr(CrossAttention, "forward", attention)
    return harness.case(request.param.partition(",")[0])


@pytest.fixture
def sd1() -> harness.Case:
    """One UNet, where the layout does not matter."""
    return harness.case("sd1")
