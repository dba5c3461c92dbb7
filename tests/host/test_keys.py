"""What a recording is found again under: all that decides what it holds, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from lab.host.embedded import cond_rows_first
from lafi.core.levels import NoiseSchedule
from lafi.core.replay.bank import Bank
from lafi.core.replay.key import Replay

from .harness import LEVELS, SCHEDULE, Case, mask, run
from .harness import case as harness_case

CHANGES = [
    "reference", "noise", "prompt", "vector", "mask", "model", "inversion", "deeper",
    "weights", "level", "size",
]  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_what_decides_a_recording_is_part_of_its_key(change: str) -> None:
    case = harness_case("sdxl")
    bank, reference, identity, plan = Bank(), case.reference(), "model", {"depth": 50}
    run(case, reference, bank, **plan)
    assert run(case, reference, bank, **plan)[1].replayed == 3  # nothing has changed
    levels = LEVELS
    if change == "reference":
        reference = replace(reference, z0=reference.z0 + 1e-3)
    elif change == "noise":
        reference = replace(reference, noise=-reference.noise)
    elif change in ("prompt", "vector"):
        name = "context" if change == "prompt" else "vector"
        text = reference.conditioning
        reference = replace(
            reference, conditioning=replace(text, **{name: getattr(text, name) + 1e-3})
        )
    elif change == "mask":
        reference = case.reference(mask=mask())
    elif change == "model":
        identity = "another"
    elif change == "inversion":
        plan["stream"] = "inversion"
    elif change == "deeper":
        plan["depth"] = 100
    elif change == "weights":
        weight = case.unet.middle_block[1].transformer_blocks[0].attn1.to_q.weight
        with torch.no_grad():
            weight.add_(0)  # written in place, as a merge or a LoRA does
    elif change == "level":
        levels = tuple(level * 1.001 for level in LEVELS)
    else:  # the reference's size
        reference = replace(reference, z0=reference.z0[..., :8], noise=reference.noise[..., :8])
    report = run(case, reference, bank, identity, levels=levels, **plan)[1]
    assert (report.recorded, report.replayed) == (3, 0)


INVERSION_CHANGES = {
    "noise": lambda reference: replace(reference, noise=-reference.noise),
    "prediction": lambda reference: replace(reference, prediction="v"),
    "schedule": lambda reference: replace(
        reference, schedule=NoiseSchedule((torch.tensor(SCHEDULE.log_sigmas) * 1.01).exp())
    ),
}


@pytest.mark.parametrize("levels", [0, 1], ids=["a few levels", "each evaluation's"])
@pytest.mark.parametrize("change", INVERSION_CHANGES)
def test_an_inversion_is_of_its_path_and_not_of_the_noise(
    sd1: Case, change: str, levels: int
) -> None:
    bank, plan = Bank(), {"stream": "inversion", "refresh": levels}
    reference = sd1.reference()
    recorded = run(sd1, reference, bank, **plan)[1].recorded
    other = INVERSION_CHANGES[change](reference)
    again = run(sd1, other, bank, **plan)[1]
    if change == "noise":
        assert again.recorded == 0
        assert again.replayed > 0
    else:
        assert again.recorded == recorded > 0


def test_the_type_of_the_input_is_part_of_the_key(sd1: Case) -> None:
    bank = Bank()

    def recorded(dtype: torch.dtype) -> int:
        target = sd1.target(2, 2.0)
        with sd1.session(sd1.reference(), replay=Replay(bank, lambda: "model")) as session:
            session.begin(0, 10, 2.0, cond_rows_first)
            with torch.autocast("cpu", torch.bfloat16):
                sd1.plain(replace(target, latent=target.latent.to(dtype)))
        return session.report.recorded

    assert recorded(torch.float32) == 1
    assert recorded(torch.bfloat16) == 1
    assert recorded(torch.float32) == recorded(torch.bfloat16) == 0


def recordings(case: Case, bank: Bank, identity: Any, **begin: Any) -> tuple[int, int]:
    """(recorded, replayed) of one evaluation."""
    with case.session(case.reference(), replay=Replay(bank, identity)) as session:
        session.begin(0, 4, 2.0, cond_rows_first, **begin)
        case.plain(case.target())
        return session.report.recorded, session.report.replayed


def test_the_identity_is_asked_in_the_call(sd1: Case) -> None:
    bank, now = Bank(), ["before"]
    with sd1.session(sd1.reference(), replay=Replay(bank, lambda: now[0])) as session:
        session.begin(0, 4, 2.0, cond_rows_first)
        now[0] = "a script that ran later has patched the UNet"
        sd1.plain(sd1.target())
    assert recordings(sd1, bank, lambda: "before") == (1, 0)
    assert recordings(sd1, bank, lambda: now[0]) == (0, 1)


def test_what_cannot_be_known_is_never_kept(sd1: Case) -> None:
    bank = Bank()
    assert [recordings(sd1, bank, lambda: None) for _ in range(2)] == [(1, 0), (1, 0)]
    assert len(bank) == 0


def test_an_adaptive_sampler_keeps_nothing(sd1: Case) -> None:
    bank = Bank()
    assert [recordings(sd1, bank, lambda: "", adaptive=True) for _ in range(2)] == [(1, 0)] * 2
    assert len(bank) == 0


def test_the_rounded_timestep_is_part_of_the_key(sd1: Case) -> None:
    bank, exact = Bank(), SCHEDULE.timestep(2.0)
    assert exact != round(exact)

    def recorded(timestep: float) -> tuple[int, int]:
        target = sd1.target()
        with (
            sd1.session(sd1.reference(), replay=Replay(bank, lambda: "")) as session,
            torch.no_grad(),
        ):
            session.begin(0, 4, 2.0, cond_rows_first)
            levels = torch.full((2,), timestep)
            sd1.unet(target.latent, levels, context=target.context)
            return session.report.recorded, session.report.replayed

    assert [recorded(exact), recorded(exact)] == [(1, 0), (0, 1)]
    assert [recorded(round(exact)), recorded(round(exact))] == [(1, 0), (0, 1)]
