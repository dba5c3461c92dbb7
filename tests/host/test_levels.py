"""Few recordings serve a run, an inversion is recorded on its way; fidelity between 0 and 1."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from lab.host.embedded import cond_rows_first
from lafi.core.injection import Row
from lafi.core.levels import clean_latent
from lafi.core.recorder import RECORDINGS
from lafi.core.replay.bank import Bank
from lafi.core.replay.key import Replay

from .harness import SCHEDULE, TOLERANCE, Case

TOTAL = 10
LEVELS = [SCHEDULE.sigma(999 * (1 - index / TOTAL)) for index in range(TOTAL)]


def run(case: Case, bank: Bank | None, calls: list[float] | None = None, **plan: Any):
    """The answers of a whole run, its report, and the timesteps of the reference's calls."""
    replay = None if bank is None else Replay(bank, lambda: "model")
    answers: list[Tensor] = []

    def forward(unet, x, timesteps, conditioning, kwargs):
        if calls is not None:
            calls.append(float(timesteps[0]))
        extra = {} if conditioning.vector is None else {"y": conditioning.vector.to(x)}
        return unet.forward(x, timesteps, context=conditioning.context.to(x), **extra)

    session = case.session(case.reference(), replay=replay, **plan)
    session._references._network._forward = forward
    with session:
        for index, sigma in enumerate(LEVELS):
            session.begin(index, TOTAL, sigma, cond_rows_first)
            answers.append(case.plain(case.target(2, sigma)))
    return answers, session.report


def same(one: list[Tensor], other: list[Tensor]) -> None:
    for a, b in zip(one, other, strict=True):
        torch.testing.assert_close(a, b, **TOLERANCE)


def test_an_inversion_costs_a_call_for_each_level_and_one_to_begin(case: Case) -> None:
    calls: list[float] = []
    _, report = run(case, Bank(), calls, stream="inversion", refresh=0)
    assert len(calls) == RECORDINGS + 1
    assert (report.recorded, report.injected, report.replayed) == (RECORDINGS, 8, 0)


def test_recorded_on_the_way_is_recorded_separately(case: Case) -> None:
    """Without a bank the path runs first and its levels are recorded one by one, as needed."""
    calls: list[float] = []
    on_the_way, _ = run(case, Bank(), stream="inversion", refresh=0)
    separately, _ = run(case, None, calls, stream="inversion", refresh=0)
    assert len(calls) == 2 * RECORDINGS
    same(on_the_way, separately)


def test_a_second_run_calls_the_unet_for_no_reference(case: Case) -> None:
    bank = Bank()
    first, _ = run(case, bank, stream="inversion", refresh=0)
    calls: list[float] = []
    second, report = run(case, bank, calls, stream="inversion", refresh=0)
    assert calls == []
    assert (report.recorded, report.replayed) == (0, RECORDINGS)
    same(first, second)


def test_a_bank_that_cannot_hold_them_changes_nothing(sd1: Case) -> None:
    wanted, _ = run(sd1, None, stream="inversion", refresh=0)
    made, _ = run(sd1, Bank(budget=1), stream="inversion", refresh=0)
    same(made, wanted)


def test_noise_is_recorded_as_often(sd1: Case) -> None:
    _, report = run(sd1, None, stream="noise", refresh=0)
    assert report.recorded == RECORDINGS
    _, report = run(sd1, None, stream="denoise", refresh=0)
    assert report.recorded == 8  # it must go along with the picture


def test_few_evaluations_each_have_their_own(sd1: Case) -> None:
    session = sd1.session(
        sd1.reference(), replay=Replay(Bank(), lambda: "m"), stream="inversion", refresh=0
    )
    with session:
        for index in range(4):
            level = SCHEDULE.sigma(999 * (1 - index / 4))
            session.begin(index, 4, level, cond_rows_first)
            if index < 3:
                [recorder] = session._references.recorders
                assert recorder.refresh.level == pytest.approx(level, rel=1e-6)


def test_the_path_is_the_models_own(sd1: Case) -> None:
    """Each level's latent follows from the one below by the model's own prediction there."""
    reference = sd1.reference()
    session = sd1.session(reference, stream="inversion", refresh=0)
    with session:
        session.begin(0, TOTAL, LEVELS[0], cond_rows_first)
        sd1.plain(sd1.target(2, LEVELS[0]))
        runner = session._references.recorders[0].runner
        low, high = runner.levels[1:3]
        x = runner.latent(low)
        timestep = torch.full((1,), SCHEDULE.timestep(low))
        with torch.no_grad():
            scaled = x / (1 + low**2) ** 0.5
            output = sd1.unet(scaled, timestep, context=reference.conditioning.context)
        # Hooks are in the UNet, so that the answer is an injected one: take them away first.
        session._remove()
        with torch.no_grad():
            output = sd1.unet(scaled, timestep, context=reference.conditioning.context)
        clean = clean_latent(x, low, output, sd1.prediction)
        torch.testing.assert_close(
            runner.latent(high), x + (high - low) * (x - clean) / low, rtol=1e-3, atol=1e-3
        )


# ---- fidelity -----------------------------------------------------------------------------------


@pytest.mark.parametrize("strength", [1, 2])
def test_fidelity_weakens_the_uncond_rows_alone(case: Case, strength: float) -> None:
    target, reference = case.target(2), case.reference()
    made = case.injected(target, reference, strength=strength, fidelity=0.25)
    cond = case.injected(target, reference, strength=strength)
    uncond = case.injected(target, reference, strength=0.75 * strength)
    torch.testing.assert_close(made[:1], cond[:1], **TOLERANCE)
    torch.testing.assert_close(made[1:], uncond[1:], **TOLERANCE)


def test_fidelity_runs_from_all_rows_to_cond_rows(sd1: Case) -> None:
    target, reference = sd1.target(2), sd1.reference()
    both = sd1.injected(target, reference)
    positive = sd1.injected(target, reference, fidelity=1)
    torch.testing.assert_close(sd1.injected(target, reference, fidelity=1e-6), both, **TOLERANCE)
    nearly = sd1.injected(target, reference, fidelity=1 - 1e-7)
    torch.testing.assert_close(nearly, positive, **TOLERANCE)


@pytest.mark.parametrize("fidelity", [0.5, 1])
def test_uncond_rows_in_a_call_of_their_own(sd1: Case, fidelity: float) -> None:
    target, reference = sd1.target(2), sd1.reference()
    wanted = sd1.injected(target, reference, fidelity=fidelity)
    made = sd1.injected(
        target.rows(1), reference, lambda rows, kwargs: [Row(False)] * rows, fidelity=fidelity
    )
    torch.testing.assert_close(made, wanted[1:], **TOLERANCE)
