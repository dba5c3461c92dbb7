"""A figure's background: seen at first, then only its place."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from lab.host.embedded import cond_rows_first
from lafi.core.mask import FigureMask, TokenMask
from lafi.core.replay.bank import Bank

from .harness import TOLERANCE, Case, mask, run

STEPS = 10  # eight of them within the window


def figure() -> FigureMask:
    return FigureMask(mask().mask)


def answer(case: Case, select: TokenMask | None, index: int, total: int = STEPS) -> Tensor:
    """The UNet's answer in an evaluation of a run."""
    target = case.target()
    with case.session(case.reference(mask=select), strength=3) as session:
        for each in range(index + 1):
            session.begin(each, total, target.sigma, cond_rows_first)
        return case.plain(target)


@pytest.mark.parametrize("index", [0, 5])
def test_at_first_the_background_is_seen(case: Case, index: int) -> None:
    torch.testing.assert_close(
        answer(case, figure(), index), answer(case, None, index), **TOLERANCE
    )


@pytest.mark.parametrize(("index", "total"), [(6, STEPS), (7, STEPS), (2, 4), (1, 3), (0, 1)])
def test_then_nothing_of_it_comes_through(case: Case, index: int, total: int) -> None:
    """Few steps too have such an evaluation: the window's last."""
    made = answer(case, figure(), index, total)
    assert (made - answer(case, None, index, total)).abs().max() > 100 * TOLERANCE["atol"]
    assert (made - answer(case, mask(), index, total)).abs().max() > 100 * TOLERANCE["atol"]


def test_a_picture_that_is_all_figure_is_seen_to_the_end(case: Case) -> None:
    whole = FigureMask(torch.ones_like(mask().mask))
    torch.testing.assert_close(answer(case, whole, 7), answer(case, None, 7), **TOLERANCE)


def test_a_replay_knows_the_background_again(case: Case) -> None:
    bank, plan = Bank(), {"strength": 3, "levels": (6.0, 5.0, 4.0, 3.0, 2.0, 1.5, 1.0, 0.5)}
    first, recording = run(case, case.reference(mask=figure()), bank, **plan)
    again, replaying = run(case, case.reference(mask=figure()), bank, **plan)
    assert (recording.recorded, replaying.replayed) == (8, 8)
    for a, b in zip(first, again, strict=True):
        torch.testing.assert_close(b, a, **TOLERANCE)


def test_the_same_cells_as_a_mask_are_kept_apart(sd1: Case) -> None:
    bank = Bank()
    for select in (figure(), mask()):
        assert run(sd1, sd1.reference(mask=select), bank)[1].recorded == 3
