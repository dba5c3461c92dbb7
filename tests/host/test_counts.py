"""What reports say of each reference: nothing is counted that did not happen."""

from __future__ import annotations

from typing import Any

import pytest

from lab.host.embedded import cond_rows_first
from lafi.core.own import Own
from lafi.core.replay.bank import Bank
from lafi.core.replay.key import Replay
from lafi.core.source import Source
from lafi.regions import Region

from .harness import SCHEDULE, SIDE, Case
from .test_references import run

# Holds the centre of one latent cell, and of no cell of a layer at half of that size.
FINE = Region(0, 0.9 / SIDE, 0, 0.9 / SIDE)
NOWHERE = Region(0, 1e-9)


def told(case: Case, sources: list[Source], **plan: Any) -> tuple[list[int], Any]:
    _, report, _ = run(case, sources, **plan)
    return [each.injected for each in report.references], report


@pytest.mark.parametrize("plan", [{}, {"fidelity": 1}, {"refresh": 2}], ids=str)
@pytest.mark.parametrize("strength", [1, 2])
def test_a_reference_that_no_query_sees_did_not_inject(
    sd1: Case, strength: float, plan: dict[str, Any]
) -> None:
    here, there = sd1.reference(2), sd1.reference(3)
    sources = [Source(here, strength), Source(there, strength, NOWHERE)]
    assert told(sd1, sources, **plan)[0] == [3, 0]
    counts, report = told(sd1, sources[1:], **plan)
    assert (counts, report.injected, report.sites) == ([0], 0, [])


def test_a_region_below_a_coarse_layers_cell_is_counted_at_the_fine_ones(sd1: Case) -> None:
    counts, report = told(sd1, [Source(sd1.reference(), 2, FINE)])
    assert counts == [3]
    whole = told(sd1, [Source(sd1.reference(), 2)])[1].sites
    assert 0 < len(report.sites) < len(whole)
    assert report.sites == whole[-len(report.sites) :]


@pytest.mark.parametrize("fused", [False, True])
def test_a_plain_reference_is_counted_once_an_evaluation(sd1: Case, fused: bool) -> None:
    assert told(sd1, [Source(sd1.reference())], fused=fused)[0] == [3]


def test_the_first_picture_is_counted_where_others_see_it(sd1: Case) -> None:
    from .test_anchor import batch

    own = [Source(Own(SCHEDULE), 2, name="own")]
    for target, seen in ((batch(sd1), 1), (sd1.target(1), 0)):
        with sd1.session(own) as session:
            session.begin(0, 1, target.sigma, cond_rows_first)
            sd1.plain(target)
        [each] = session.report.references
        assert (each.injected, each.recorded) == (seen, 1)


def test_what_the_bank_has_no_room_for_is_recorded_and_counted_once(sd1: Case) -> None:
    plan = {"stream": "inversion", "refresh": 0}
    sources = [Source(sd1.reference())]
    whole = Bank(projected=False)
    _, roomy, _ = run(sd1, sources, whole, **plan)
    _, without, _ = run(sd1, sources, **plan)
    for room in (0.1, 1.5):
        small = Bank(int(whole.nbytes / roomy.recorded * room))
        _, report, _ = run(sd1, sources, small, **plan)
        assert len(small) == int(room)
        assert report.recorded == without.recorded


@pytest.mark.parametrize("projected", [False, True])
def test_inputs_are_let_go_of_once_nothing_is_projected_from_them(
    sd1: Case, projected: bool
) -> None:
    replay = Replay(Bank(projected=projected), lambda: "model")
    for _ in range(2):  # recorded, then replayed
        with sd1.session(sd1.reference(), replay=replay) as session:
            session.begin(0, 10, 2.0, cond_rows_first)
            sd1.plain(sd1.target(2, 2.0))
            held = list(session._references.recorders[0].tokens.values())
        assert [len(each.outputs) for each in held] == [2] * len(held) != []
        assert not any(each.inputs for each in held)
