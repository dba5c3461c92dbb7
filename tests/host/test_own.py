"""A picture that is recorded while it is sampled, and later ones that see what it has left."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from lab.host.embedded import cond_rows_first
from lafi.core.kept import ADAPTIVE, NO_MEMORY, Kept
from lafi.core.mask import FigureMask, TokenMask
from lafi.core.own import Own
from lafi.core.replay.bank import Bank
from lafi.core.report import PassReport
from lafi.core.schedule import Window
from lafi.core.source import Source

from .harness import SCHEDULE, SIDE, TOLERANCE, Case, Probe
from .test_anchor import LEVELS, PICTURES, anchor, batch, run
from .test_attention import by_hand, middle_of_decoder


def recorded(kept: Kept, **own: Any) -> Source:
    """The picture that is made, for later ones alone."""
    return Source(Own(SCHEDULE, kept=kept, alone=True, **own), name="own")


def of(kept: Kept, strength: float = 2, **own: Any) -> Source:
    """An earlier picture."""
    return Source(Own(SCHEDULE, False, kept, **own), strength, name="earlier")


@pytest.mark.parametrize("plan", [{}, {"fidelity": 1}, {"depth": 50}], ids=str)
def test_all_pictures_of_its_batch_stay_as_they_are(case: Case, plan: dict[str, Any]) -> None:
    kept = Kept()
    made, report = run(case, [recorded(kept)], 0, 1, 2, refresh=1, **plan)
    for sigma, each in zip(LEVELS, made, strict=True):
        assert torch.equal(each, case.plain(batch(case, sigma)))
    assert (report.injected, report.anchored, report.recorded) == (0, 4, 4)
    together, _ = run(case, anchor(2), 0, 1, 2, refresh=1, **plan)
    for picture in (1, 2):
        later, report = run(case, [of(kept)], picture, refresh=1, **plan)
        assert (report.injected, report.replayed, report.recorded) == (4, 4, 0)
        for a, b in zip(later, together, strict=True):
            torch.testing.assert_close(a, b[[picture, PICTURES + picture]], **TOLERANCE)


def test_only_what_is_kept_is_recorded(sd1: Case) -> None:
    kept = Kept()
    _, report = run(sd1, [recorded(kept)], 0, refresh=2)
    assert (report.anchored, report.recorded, report.skipped) == (2, 2, 0)


def test_a_picture_with_other_steps_sees_the_nearest_levels(sd1: Case) -> None:
    kept = Kept()
    run(sd1, [recorded(kept)], 0, refresh=1)

    def answer(index: int, sigma: float) -> Tensor:
        with sd1.session([of(kept)], refresh=1) as session:
            session.begin(index, 40, sigma, cond_rows_first)
            return sd1.plain(batch(sd1, 3.0).rows(1, 4))

    wanted = [answer(index, sigma) for index, sigma in enumerate(LEVELS)]
    for index, sigma in ((30, 6.2), (0, 0.51)):
        nearest = min(range(4), key=lambda each, sigma=sigma: abs(LEVELS[each] - sigma))
        assert torch.equal(answer(index, sigma), wanted[nearest])
    assert not torch.equal(wanted[0], wanted[3])


def test_a_mask_chooses_from_what_is_kept(sd1: Case) -> None:
    site = middle_of_decoder(sd1)
    mask = torch.zeros(SIDE, SIDE)
    mask[:, : SIDE // 2] = 1
    kept, select = Kept(), TokenMask(mask)
    probe = Probe(sd1.unet, site)
    sd1.injected(batch(sd1), [recorded(kept)], sites=(site,), refresh=1, probe=probe)
    [first] = probe.inputs
    probe = Probe(sd1.unet, site)
    later = batch(sd1).rows(1, 4)
    sd1.injected(later, [of(kept, mask=select)], sites=(site,), refresh=1, probe=probe)
    [x], [answer] = probe.inputs, probe.outputs
    for row, own in ((0, 0), (1, PICTURES)):
        with torch.no_grad():
            expected = by_hand(
                site.module, x[row : row + 1], x[row : row + 1], select(first[own : own + 1]), 2
            )
        torch.testing.assert_close(answer[row : row + 1], expected, **TOLERANCE)


def test_the_background_of_a_figure_is_muted_at_the_end(sd1: Case) -> None:
    """As that of any reference (`FigureMask`)."""
    cells = torch.zeros(SIDE, SIDE)
    cells[4:12, 4:12] = 1
    kept = Kept()
    run(sd1, [recorded(kept)], 0, refresh=1)
    window = {"window": Window(0, 40), "refresh": 1}  # of 10 evaluations the first four
    figure, _ = run(sd1, [of(kept, mask=FigureMask(cells))], 1, **window)
    whole, _ = run(sd1, [of(kept)], 1, **window)
    strict, _ = run(sd1, [of(kept, mask=TokenMask(cells))], 1, **window)
    for a, b in zip(figure[:3], whole[:3], strict=True):
        torch.testing.assert_close(a, b, **TOLERANCE)
    assert not torch.allclose(figure[3], whole[3], **TOLERANCE)
    assert not torch.allclose(figure[3], strict[3], **TOLERANCE)


def test_uncond_rows_are_kept_for_those_who_want_them(sd1: Case) -> None:
    both, cond = Kept(), Kept()
    run(sd1, [recorded(both, both=True)], 0, refresh=1, fidelity=1)
    run(sd1, [recorded(cond)], 0, refresh=1, fidelity=1)
    assert both.nbytes == 2 * cond.nbytes
    _, report = run(sd1, [of(both)], 1, refresh=1, fidelity=0.5)
    assert report.injected == 4


def test_without_room_the_picture_is_made_and_nothing_is_kept(sd1: Case) -> None:
    kept = Kept(Bank(2**17, projected=False))
    made, report = run(sd1, [recorded(kept)], 0, refresh=1)
    assert torch.equal(made[0], sd1.plain(batch(sd1, LEVELS[0]).rows(0, 3)))
    assert kept.lacks == NO_MEMORY
    assert kept.nbytes == 0
    assert 1 <= report.anchored < 4


def test_an_adaptive_sampler_leaves_nothing_and_fails_nothing(sd1: Case) -> None:
    kept, report = Kept(), PassReport("first")
    with sd1.session([recorded(kept)]) as session:
        session.begin(0, 4, 2.0, cond_rows_first, adaptive=True)
        assert torch.equal(sd1.plain(batch(sd1)), sd1.plain(batch(sd1)))
        report = session.report
    assert kept.lacks == ADAPTIVE
    assert (report.anchored, report.skipped) == (0, 1)


def test_each_picture_may_see_the_one_before(sd1: Case) -> None:
    first, second = Kept(), Kept()
    run(sd1, [recorded(first)], 0, refresh=1)
    alone, _ = run(sd1, [of(first)], 1, refresh=1)
    made, report = run(sd1, [of(first), recorded(second)], 1, refresh=1)
    for a, b in zip(made, alone, strict=True):
        torch.testing.assert_close(a, b, **TOLERANCE)
    assert (report.injected, report.anchored) == (4, 4)
    assert second.nbytes == first.nbytes
    third, _ = run(sd1, [of(second)], 2, refresh=1)
    other, _ = run(sd1, [of(first)], 2, refresh=1)
    assert not torch.allclose(third[0], other[0], **TOLERANCE)


def test_beside_a_reference_what_is_seen_stays(sd1: Case) -> None:
    kept, reference = Kept(), Source(sd1.reference(), 2)
    for fidelity in (0, 1):
        plan = {"refresh": 2, "fidelity": fidelity}
        alone, _ = run(sd1, [reference], 0, **plan)
        made, _ = run(sd1, [reference, recorded(kept)], 0, **plan)
        for a, b in zip(made, alone, strict=True):
            torch.testing.assert_close(a, b, **TOLERANCE)
