"""Promise 12 and beside it: a batch whose first picture is the reference of the others."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from lab.host.embedded import cond_rows_first
from lafi.core.injection import Row
from lafi.core.kept import Kept
from lafi.core.own import Own
from lafi.core.report import PassReport
from lafi.core.source import Source
from lafi.errors import LafiError

from .harness import SCHEDULE, TOLERANCE, Case, Probe, Target
from .test_attention import by_hand, middle_of_decoder

PICTURES = 3
FIRST, OTHERS = [0, PICTURES], [1, 2, 4, 5]
LEVELS = (6.0, 2.0, 1.0, 0.5)
PLANS: list[dict[str, Any]] = [{}, {"fidelity": 0.5}, {"fidelity": 1}, {"depth": 50}]


def anchor(strength: float = 1.0, first: bool = True, kept: Kept | None = None) -> list[Source]:
    """The batch's first picture as the only source."""
    return [Source(Own(SCHEDULE, first, kept), strength, name="own")]


def batch(case: Case, sigma: float = 2.0) -> Target:
    """A cond row of each picture, then an uncond row of each."""
    return case.target(2 * PICTURES, sigma)


@pytest.mark.parametrize("plan", PLANS, ids=str)
@pytest.mark.parametrize("strength", [1, 2])
def test_the_first_picture_is_bit_identical_to_the_plain_one(
    case: Case, strength: float, plan: dict[str, Any]
) -> None:
    plain = case.plain(batch(case))
    made = case.injected(batch(case), anchor(strength), **plan)
    assert torch.equal(made[FIRST], plain[FIRST])
    changed = OTHERS[:2] if plan.get("fidelity") == 1 else OTHERS
    for row in OTHERS:
        if row in changed:
            assert not torch.allclose(made[row], plain[row], **TOLERANCE)
        else:
            assert torch.equal(made[row], plain[row])


@pytest.mark.parametrize("fidelity", [0, 0.5, 1])
@pytest.mark.parametrize("strength", [1, 2])
def test_the_others_see_its_row_of_their_kind(case: Case, strength: float, fidelity: float) -> None:
    site = middle_of_decoder(case)
    probe, plan = Probe(case.unet, site), {"fidelity": fidelity, "sites": (site,)}
    case.injected(batch(case), anchor(strength), probe=probe, **plan)
    [x], [answer] = probe.inputs, probe.outputs
    for row in range(2 * PICTURES):
        first = row // PICTURES * PICTURES
        weight = strength * (1 if first == 0 else 1 - fidelity)
        own = x[row : row + 1]
        with torch.no_grad():
            if row == first or weight == 0:
                expected = site.module(own)
            else:
                expected = by_hand(site.module, own, own, x[first : first + 1], weight)
        torch.testing.assert_close(answer[row : row + 1], expected, **TOLERANCE)


@pytest.mark.parametrize("plan", PLANS, ids=str)
def test_pictures_that_are_alike_change_nothing(case: Case, plan: dict[str, Any]) -> None:
    target = batch(case).rows(0, 0, 0, 3, 3, 3)
    made = case.injected(target, anchor(2), **plan)
    torch.testing.assert_close(made, case.plain(target), **TOLERANCE)


@pytest.mark.parametrize("plan", [{}, {"fidelity": 0.5}, {"fidelity": 1}], ids=str)
def test_rows_in_calls_of_their_own(sd1: Case, plan: dict[str, Any]) -> None:
    together = sd1.injected(batch(sd1), anchor(2), **plan)
    with sd1.session(anchor(2), **plan) as session:
        calls = [[0, 1, 2], [3, 4, 5]]
        session.begin(0, 1, 2.0, lambda rows, _: kinds.pop(0))
        kinds = [[Row(cond, picture) for picture in range(3)] for cond in (True, False)]
        apart = [sd1.plain(batch(sd1).rows(*rows)) for rows in calls]
    torch.testing.assert_close(torch.cat(apart), together, **TOLERANCE)
    assert session.report.anchored == session.report.injected == 1


def test_a_call_without_the_first_picture_sees_the_call_before(sd1: Case) -> None:
    together = sd1.injected(batch(sd1), anchor(2))
    order = [[0, 3], [1, 2, 4, 5]]
    with sd1.session(anchor(2)) as session:
        kinds = [[Row(row < 3, row % 3) for row in rows] for rows in order]
        session.begin(0, 1, 2.0, lambda rows, _: kinds.pop(0))
        apart = [sd1.plain(batch(sd1).rows(*rows)) for rows in order]
    torch.testing.assert_close(apart[1], together[order[1]], **TOLERANCE)


def test_rows_whose_first_picture_nobody_knows_are_refused(sd1: Case) -> None:
    plain = sd1.plain(batch(sd1))
    with sd1.session(anchor()) as session:
        session.begin(0, 1, 2.0, lambda rows, _: [Row(True, 1)] * rows)
        with pytest.raises(LafiError, match="without the first picture") as caught:
            sd1.plain(batch(sd1))
    assert caught.value.code == "anchor_missing"
    assert torch.equal(sd1.plain(batch(sd1)), plain)


def test_parts_of_prompts_and_tiles_see_their_own_part(sd1: Case) -> None:
    """Rows: two tiles of two pictures."""
    target = batch(sd1).rows(0, 1, 2, 4)
    rows = [Row(True, picture, tile) for tile in (0, 1) for picture in (0, 1)]
    made = sd1.injected(target, anchor(2), lambda *_: rows)
    for pair in ([0, 1], [2, 3]):
        alone = [Row(True, picture) for picture in (0, 1)]
        wanted = sd1.injected(target.rows(*pair), anchor(2), lambda *_, alone=alone: alone)
        torch.testing.assert_close(made[pair], wanted, **TOLERANCE)
    # A part that the first picture's prompt has not: the first part.
    rows = [Row(True, 0, 0), Row(True, 1, 0), Row(True, 1, 1)]
    made = sd1.injected(target.rows(0, 1, 1), anchor(2), lambda *_: rows)
    torch.testing.assert_close(made[2], made[1], **TOLERANCE)


# ---- batches one after the other --------------------------------------------------------------


def run(
    case: Case, sources: list[Source], *pictures: int, **plan: Any
) -> tuple[list[Tensor], PassReport]:
    """The answers of a run of some of the batch's pictures."""
    rows = [*pictures, *(PICTURES + each for each in pictures)]
    answers = []
    with case.session(sources, **plan) as session:
        for index, sigma in enumerate(LEVELS):
            session.begin(index, 10, sigma, cond_rows_first)
            answers.append(case.plain(batch(case, sigma).rows(*rows)))
    return answers, session.report


@pytest.mark.parametrize("plan", [
    {}, {"fidelity": 0.5}, {"fidelity": 1}, {"depth": 50},
], ids=str)  # fmt: skip
def test_later_batches_see_the_first_picture_of_all(case: Case, plan: dict[str, Any]) -> None:
    plan["refresh"] = 1
    together, _ = run(case, anchor(2), 0, 1, 2, **plan)
    kept = Kept()
    first, report = run(case, anchor(2, kept=kept), 0, **plan)
    assert (report.anchored, report.injected, report.recorded) == (4, 0, 4)
    assert kept.nbytes > 0
    plain = [case.plain(batch(case, sigma).rows(0, 3)) for sigma in LEVELS]
    for a, b in zip(first, plain, strict=True):
        assert torch.equal(a, b)
    for picture in (1, 2):
        later, report = run(case, anchor(2, False, kept), picture, **plan)
        assert (report.anchored, report.injected, report.replayed) == (0, 4, 4)
        for a, b in zip(later, together, strict=True):
            torch.testing.assert_close(a, b[[picture, PICTURES + picture]], **TOLERANCE)


def test_a_few_evaluations_are_kept_for_all(sd1: Case) -> None:
    few, every = Kept(), Kept()
    run(sd1, anchor(kept=few), 0, refresh=2)
    run(sd1, anchor(kept=every), 0, refresh=1)
    assert few.nbytes * 2 == every.nbytes
    _, report = run(sd1, anchor(1, False, few), 1, refresh=2)
    assert (report.replayed, report.reused, report.injected) == (2, 2, 4)
    kept = Kept()
    run(sd1, anchor(kept=kept), 0, refresh=0)
    _, report = run(sd1, anchor(1, False, kept), 1, refresh=0)
    assert report.injected == 4


def test_a_run_that_turns_out_longer_keeps_enough(sd1: Case) -> None:
    """Its total grows with every evaluation, so that the middle of a group never comes."""
    kept = Kept()

    def run(first: bool, picture: int) -> PassReport:
        with sd1.session(anchor(1, first, kept), refresh=0) as session:
            for index in range(8):
                session.begin(index, 20 + 8 * index, 2.0, cond_rows_first)
                sd1.plain(batch(sd1).rows(picture, PICTURES + picture))
        return session.report

    run(True, 0)
    assert kept.nbytes > 0
    assert run(False, 1).injected == 8


def test_uncond_rows_that_the_host_left_out_are_found_in_another_evaluation(sd1: Case) -> None:
    """As with NGMS, which makes every second evaluation without them."""
    kept = Kept()

    def run(first: bool, picture: int, without: int) -> PassReport:
        with sd1.session(anchor(2, first, kept), fidelity=0.5, refresh=1) as session:
            for index in range(4):
                conds = [Row(True)] if first else [Row(True, 1)]
                rows = conds if index % 2 == without else [*conds, conds[0]._replace(cond=False)]
                session.begin(index, 10, 2.0, lambda *_, rows=rows: rows)
                numbers = [picture, PICTURES + picture][: len(rows)]
                sd1.plain(batch(sd1).rows(*numbers))
        return session.report

    run(True, 0, without=1)
    assert run(False, 1, without=0).injected == 4


def test_where_nothing_was_kept_later_batches_are_refused(sd1: Case) -> None:
    with pytest.raises(LafiError, match="of all has left is kept for this batch") as caught:
        run(sd1, anchor(1, False, Kept()), 1)
    assert caught.value.code == "anchor_missing"
    assert "of one length" not in caught.value.advice


def test_adaptive_samplers_are_refused_across_batches(sd1: Case) -> None:
    with sd1.session(anchor(kept=Kept())) as session:
        with pytest.raises(LafiError) as caught:
            session.begin(0, 4, 2.0, cond_rows_first, adaptive=True)
        assert caught.value.code == "anchor_adaptive"
    with sd1.session(anchor()) as session:
        session.begin(0, 4, 2.0, cond_rows_first, adaptive=True)


# ---- beside other references ------------------------------------------------------------------


@pytest.mark.parametrize("fidelity", [0, 1])
def test_beside_a_reference_the_first_picture_sees_that_alone(case: Case, fidelity: float) -> None:
    reference = Source(case.reference(), 2)
    both = case.injected(batch(case), [reference, *anchor(2)], fidelity=fidelity)
    alone = case.injected(batch(case), [reference], fidelity=fidelity)
    torch.testing.assert_close(both[FIRST], alone[FIRST], **TOLERANCE)
    assert not torch.allclose(both[1], alone[1], **TOLERANCE)


def test_one_picture_alone_is_plain(case: Case) -> None:
    target = batch(case).rows(0, 3)
    with case.session(anchor()) as session:
        session.begin(0, 1, 2.0, cond_rows_first)
        assert torch.equal(case.plain(target), case.plain(target))
        report = session.report
    assert (report.injected, report.anchored, report.sites) == (0, 1, [])


def test_an_error_leaves_nothing_behind(sd1: Case) -> None:
    plain = sd1.plain(batch(sd1))

    def fail(*_: object) -> None:
        raise RuntimeError("stop")

    with sd1.session(anchor()) as session:
        session.begin(0, 1, 2.0, cond_rows_first)
        with sd1.unet.out.register_forward_pre_hook(fail), pytest.raises(RuntimeError):
            sd1.plain(batch(sd1))
        assert session.report.anchored == 0
    assert all(not module._forward_hooks for module in sd1.unet.modules())
    assert torch.equal(sd1.plain(batch(sd1)), plain)
