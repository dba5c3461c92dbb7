"""Promise 8: a recording from the bank, a row of the same call and a separate pass agree."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from torch import Tensor

from lab.host.embedded import cond_rows_first
from lafi.core import batching as batching_module
from lafi.core.batching import Batching
from lafi.core.refresh import Refresh
from lafi.core.replay.bank import Bank
from lafi.core.sites import choose_sites

from .harness import LEVELS, SCHEDULE, TOLERANCE, Case, mask, run

PLANS = [{}, {"strength": 2}, {"fidelity": 1}, {"stream": "inversion"}, {"depth": 50}]


@pytest.mark.parametrize("masked", [False, True], ids=["whole", "masked"])
@pytest.mark.parametrize("plan", PLANS, ids=str)
def test_a_replay_agrees_with_a_recording(case: Case, plan: dict[str, Any], masked: bool) -> None:
    reference = case.reference(mask=mask() if masked else None)
    fresh, without_bank = run(case, reference, None, **plan)
    assert (without_bank.recorded, without_bank.replayed) == (3, 0)
    for projected in (False, True):  # tokens are kept, or their keys and values
        bank = Bank(projected=projected)
        first, recording = run(case, reference, bank, **plan)
        held = [each for kept in bank._recordings.values() for each in kept.tokens.values()]
        assert [bool(each.outputs) for each in held] == [projected] * len(held) != []
        assert [bool(each.inputs) for each in held] == [not projected] * len(held)
        again, replaying = run(case, reference, bank, **plan)
        for a, b, c in zip(fresh, first, again, strict=True):
            torch.testing.assert_close(b, a, **TOLERANCE)
            torch.testing.assert_close(c, a, **TOLERANCE)
        assert (recording.recorded, recording.replayed) == (3, 0)
        assert (replaying.recorded, replaying.replayed) == (0, 3)
        assert replaying.injected == 3


def test_the_denoise_stream_is_never_replayed(sd1: Case) -> None:
    bank = Bank()
    for _ in range(2):
        report = run(sd1, sd1.reference(), bank, stream="denoise")[1]
        assert (report.recorded, report.replayed) == (3, 0)
    assert len(bank) == 0


def test_a_small_bank_keeps_the_beginning_and_stays_within_its_budget(sd1: Case) -> None:
    whole = Bank(projected=False)
    expected = run(sd1, sd1.reference(), whole)[0]
    budget = int(whole.nbytes / len(LEVELS) * 1.5)
    small = Bank(budget)
    # A part of the run that can be replayed is worth more than one that the next run drops again.
    for recorded, replayed in ((3, 0), (2, 1), (2, 1)):
        answers, report = run(sd1, sd1.reference(), small)
        assert (report.recorded, report.replayed) == (recorded, replayed)
        for a, b in zip(answers, expected, strict=True):
            torch.testing.assert_close(a, b, **TOLERANCE)
    assert len(small) == 1
    assert 0 < small.nbytes <= budget


@pytest.mark.parametrize("stream", ["noise", "inversion", "denoise"])
@pytest.mark.parametrize(("depth", "refresh"), [(100, 1), (25, 1), (100, 2)])
def test_a_fused_row_agrees_with_a_separate_pass(
    case: Case, depth: float, refresh: int, stream: str
) -> None:
    plan = {"depth": depth, "stream": stream, "refresh": refresh}
    separate, _ = run(case, case.reference(), None, **plan)
    calls = 0

    def count(*_: object) -> None:
        nonlocal calls
        calls += 1

    handle = case.unet.input_blocks[0].register_forward_pre_hook(count)
    fused, report = run(case, case.reference(), None, fused=True, **plan)
    handle.remove()
    for a, b in zip(fused, separate, strict=True):
        torch.testing.assert_close(a, b, **TOLERANCE)
    assert report.recorded == report.fused == (3 if refresh == 1 else 2)
    # The path of an inversion is ten more calls; the reference itself is none.
    assert calls == 3 + (10 if stream == "inversion" else 0)


@pytest.mark.parametrize("stream", ["noise", "inversion", "denoise"])
@pytest.mark.parametrize("faster", [True, False], ids=["one batch", "separate"])
def test_trials_decide_and_leave_no_trace(
    monkeypatch, case: Case, faster: bool, stream: str
) -> None:
    monkeypatch.setattr(batching_module, "MEASURED", ("cpu",))
    # Low enough for the denoise stream to run by itself from the first evaluation on.
    plan = {"stream": stream, "levels": (2.0, 1.0, 0.5)}
    expected, _ = run(case, case.reference(), None, fused=faster, **plan)
    seconds = itertools.cycle([0, 2, 0, 1] if faster else [0, 1])
    chosen = Batching(lambda: next(seconds))
    sites = len(choose_sites(case.sites, 100, "decoder"))
    path = 10 if stream == "inversion" else 0
    # Both ways are tried twice; a separate trial is two calls of the UNet, and so is an evaluation.
    for trials in (6, 0):
        calls = 0

        def count(*_: object) -> None:
            nonlocal calls
            calls += 1

        with case.unet.input_blocks[0].register_forward_pre_hook(count):
            answers, report = run(case, case.reference(), None, fused=chosen, **plan)
        for a, b in zip(answers, expected, strict=True):
            assert torch.equal(a, b)
        assert (report.recorded, report.injected, len(report.sites)) == (3, 3, sites)
        assert report.fused == (3 if faster else 0)
        assert calls == path + trials + 3 * (1 if faster else 2)


def test_one_batch_that_fails_is_not_tried_again(monkeypatch, sd1: Case) -> None:
    monkeypatch.setattr(batching_module, "MEASURED", ("cpu",))
    seconds = itertools.cycle([0, 2, 0, 1])
    chosen = Batching(lambda: next(seconds))
    assert run(sd1, sd1.reference(), None, fused=chosen)[1].fused == 3

    def fail(module: object, args: tuple[Tensor, ...]) -> None:
        if args[0].shape[0] == 3:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    with sd1.unet.input_blocks[0].register_forward_pre_hook(fail):
        with pytest.raises(torch.cuda.OutOfMemoryError):
            run(sd1, sd1.reference(), None, fused=chosen)
        report = run(sd1, sd1.reference(), None, fused=chosen)[1]
    assert (report.recorded, report.fused) == (3, 0)


@pytest.mark.parametrize("projected", [False, True])
def test_one_batch_fills_the_bank_as_a_separate_pass_does(case: Case, projected: bool) -> None:
    separate, fused = Bank(projected=projected), Bank(projected=projected)
    expected, _ = run(case, case.reference(), separate)
    assert run(case, case.reference(), fused, fused=True)[1].fused == 3
    assert fused.nbytes == separate.nbytes > 0
    replayed, report = run(case, case.reference(), fused, fused=True)
    assert (report.replayed, report.fused) == (3, 0)
    for a, b in zip(replayed, expected, strict=True):
        torch.testing.assert_close(a, b, **TOLERANCE)


def test_one_batch_keeps_the_reference_row_alone(sd1: Case) -> None:
    with sd1.session(sd1.reference(), fused=True) as session:
        session.begin(0, 1, 2.0, cond_rows_first)
        sd1.plain(sd1.target(8))
        tokens = session._references.recorders[0].tokens.values()
        held = [t for each in tokens for t in each.outputs.values()]
    assert held
    for each in held:
        assert each.untyped_storage().nbytes() == each.numel() * each.element_size()


def test_refresh_records_every_so_many_evaluations(sd1: Case) -> None:
    bank = Bank()
    answers, report = run(sd1, sd1.reference(), bank, refresh=2)
    assert (report.recorded, report.reused, report.injected) == (2, 1, 3)
    # One recording for the first two, at the level between them.
    schedule = sd1.reference().schedule
    first, *_ = (schedule.timestep(level) for level in LEVELS)
    middle = schedule.sigma(first - first / 10 / 2)
    [one, other] = (key.level[0] for key in bank._recordings)
    assert one == pytest.approx(middle) != LEVELS[0]
    assert other < LEVELS[2]
    again, report = run(sd1, sd1.reference(), bank, refresh=2)
    assert (report.recorded, report.replayed, report.reused) == (0, 2, 1)
    for a, b in zip(again, answers, strict=True):
        torch.testing.assert_close(a, b, **TOLERANCE)


@pytest.mark.parametrize("stream", ["noise", "inversion"])
def test_a_recording_in_the_middle_is_nearer_to_what_it_stands_for(
    sd1: Case, monkeypatch: pytest.MonkeyPatch, stream: str
) -> None:
    times = [500.0, 450.0, 400.0, 350.0, 300.0, 250.0, 200.0, 150.0]
    plan = {"stream": stream, "levels": tuple(SCHEDULE.sigma(time) for time in times)}

    def change(**changed: int) -> float:
        answers, _ = run(sd1, sd1.reference(), None, **plan, **changed)
        return sum(float((a - b).square().mean()) for a, b in zip(answers, exact, strict=True))

    exact, _ = run(sd1, sd1.reference(), None, **plan)
    centred = change(refresh=3)
    monkeypatch.setattr(Refresh, "_pace", lambda refresh, total: 0)  # each at its first level
    assert 0 < centred < 0.7 * change(refresh=3)


def test_the_denoise_stream_is_recorded_where_it_is(sd1: Case) -> None:
    plan = {"stream": "denoise", "refresh": 2}
    with sd1.session(sd1.reference(), **plan) as session:
        for index, sigma in enumerate((2.0, 1.0, 0.5)):
            session.begin(index, 10, sigma, cond_rows_first)
            sd1.plain(sd1.target(2, sigma))
            assert session._references.recorders[0].refresh.level == sigma
