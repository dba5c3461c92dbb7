"""The UNets that every promise is tested on."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

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
# The longest tests run on these two alone, one of each library, unless LAFI_ALL_LAYOUTS is set.
FEW = ("sd1, fused attention", "sdxl")
LONG = ("test_anchor", "test_figure", "test_own", "test_references", "test_regions")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keeps the whole within the minutes that continuous integration has."""
    if os.environ.get("LAFI_ALL_LAYOUTS"):
        return
    here = [item for item in items if item.path.parent == Path(__file__).parent]
    left_out = [item for item in here if item.path.stem in LONG and not _of_few(item)]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


def _of_few(item: pytest.Item) -> bool:
    call = getattr(item, "callspec", None)
    return call is None or call.params.get("case", FEW[0]) in FEW


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
