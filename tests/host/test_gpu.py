"""What only a GPU can show: recordings that travel, and ways through the model that are timed."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from lab.host.embedded import cond_rows_first
from lafi.core.batching import Batching
from lafi.core.replay.bank import Bank
from lafi.core.replay.key import Replay
from lafi.core.report import PassReport

from .harness import Case
from .harness import case as harness_case

DEVICE = "cuda"
LEVELS = (6.0, 2.0, 0.5)
# Two ways to multiply matrices on a GPU, each in its own order.
TOLERANCE = {"rtol": 5e-3, "atol": 5e-3}

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")


@pytest.fixture(scope="module", params=["sd1", "sdxl"])
def gpu(request: pytest.FixtureRequest) -> Case:
    return harness_case(request.param).to(DEVICE)


def run(
    case: Case, bank: Bank | None = None, fused: bool | Batching = False
) -> tuple[list[Tensor], PassReport]:
    """A run of a few evaluations: its answers, and what happened."""
    replay = None if bank is None else Replay(bank, lambda: "model")
    answers = []
    with case.session(case.reference(), replay=replay, fused=fused) as session:
        for index, sigma in enumerate(LEVELS):
            session.begin(index, 10, sigma, cond_rows_first)
            answers.append(case.plain(case.target(2, sigma)))
    return answers, session.report


@pytest.mark.parametrize("projected", [False, True], ids=["tokens", "keys and values"])
@pytest.mark.parametrize("place", ["gpu", "cpu"])
def test_recordings_come_back_from_either_memory(gpu: Case, place: str, projected: bool) -> None:
    bank = Bank(2**30, place, projected)
    fresh, recording = run(gpu, bank)
    assert (recording.recorded, bank.nbytes > 0) == (3, True)
    for _ in range(3):
        again, replaying = run(gpu, bank)
        assert (replaying.replayed, replaying.recorded) == (3, 0)
        for a, b in zip(again, fresh, strict=True):
            torch.testing.assert_close(a, b, **TOLERANCE)


def test_the_faster_way_is_chosen_and_agrees(gpu: Case) -> None:
    separate, _ = run(gpu)
    chosen = Batching()
    for _ in range(2):
        answers, report = run(gpu, fused=chosen)
        assert (report.recorded, report.fused in (0, 3)) == (3, True)
        for a, b in zip(answers, separate, strict=True):
            torch.testing.assert_close(a, b, **TOLERANCE)
