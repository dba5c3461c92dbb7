"""Several references: their tokens stand side by side, each counted, kept and weighed by itself."""

from __future__ import annotations

import dataclasses
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from lab.host.embedded import cond_rows_first
from lafi.core.mask import TokenMask
from lafi.core.replay.bank import Bank
from lafi.core.replay.key import Replay
from lafi.core.report import PassReport
from lafi.core.source import Source

from .harness import SCHEDULE, SIDE, TOLERANCE, Case, Probe
from .test_attention import by_hand, middle_of_decoder

LEVELS = (6.0, 2.0, 0.5)
PLANS: list[dict[str, Any]] = [{}, {"fidelity": 1}, {"fidelity": 0.25}, {"stream": "inversion"}]


def run(
    case: Case, sources: list[Source], bank: Bank | None = None, **plan: Any
) -> tuple[list[Tensor], PassReport, list[int]]:
    """The answers of a run of a few evaluations, its report, and the rows of each UNet call."""
    replay = None if bank is None else Replay(bank, lambda: "model")
    answers, rows = [], []

    def count(module: torch.nn.Module, args: tuple[Tensor, ...]) -> None:
        rows.append(args[0].shape[0])

    with (
        case.session(sources, replay=replay, **plan) as session,
        case.unet.input_blocks[0].register_forward_pre_hook(count),
    ):
        for index, sigma in enumerate(LEVELS):
            session.begin(index, 10, sigma, cond_rows_first)
            answers.append(case.plain(case.target(2, sigma)))
    return answers, session.report, rows


def same(one: list[Tensor], other: list[Tensor]) -> None:
    for a, b in zip(one, other, strict=True):
        torch.testing.assert_close(a, b, **TOLERANCE)


def half(left: bool) -> TokenMask:
    """The left half of the reference, or the right."""
    mask = torch.zeros(SIDE, SIDE, dtype=torch.bool)
    mask[:, : SIDE // 2] = left
    mask[:, SIDE // 2 :] = not left
    return TokenMask(mask)


@pytest.mark.parametrize("plan", PLANS, ids=str)
def test_given_twice_it_is_once_with_the_strengths_added(case: Case, plan: dict[str, Any]) -> None:
    target, reference = case.target(), case.reference()
    twice = [Source(reference, 0.75), Source(reference, 1.5)]
    once = [Source(reference, 2.25)]
    torch.testing.assert_close(
        case.injected(target, twice, **plan), case.injected(target, once, **plan), **TOLERANCE
    )


@pytest.mark.parametrize("strength", [1, 2])
@pytest.mark.parametrize("plan", PLANS, ids=str)
def test_two_views_that_hold_its_tokens_are_the_reference(
    case: Case, plan: dict[str, Any], strength: float
) -> None:
    target = case.target()
    views = [Source(case.reference(mask=half(left)), strength) for left in (True, False)]
    whole = [Source(case.reference(), strength)]
    torch.testing.assert_close(
        case.injected(target, views, **plan), case.injected(target, whole, **plan), **TOLERANCE
    )


def test_each_reference_has_its_own_weight(case: Case) -> None:
    """Against a softmax by hand: the first reference w times, the second v times."""
    site = middle_of_decoder(case)
    references = [case.reference(2), case.reference(3)]
    probe = Probe(case.unet, site)
    sources = [Source(references[0], 2), Source(references[1], 3)]
    case.injected(case.target(), sources, probe=probe, sites=(site, case.sites[-1]))
    both, x = probe.inputs
    assert both.shape[0] == 2  # the references went through the UNet as one batch
    tokens = torch.cat([*[both[:1]] * 2, *[both[1:]] * 3], 1)
    with torch.no_grad():
        expected = by_hand(site.module, x, x, tokens)
    torch.testing.assert_close(probe.outputs[-1], expected, **TOLERANCE)


@pytest.mark.parametrize("stream", ["noise", "inversion", "denoise"])
@pytest.mark.parametrize("refresh", [0, 1])
def test_references_of_one_size_are_rows_of_one_call(case: Case, stream: str, refresh: int) -> None:
    """As many calls as for one; the same answers as one after the other."""
    plan = {"stream": stream, "refresh": refresh}
    sources = [Source(case.reference(seed), strength) for seed, strength in ((2, 1), (3, 2))]
    together, report, rows = run(case, sources, **plan)
    *_, alone = run(case, sources[:1], **plan)
    # Two rows are the target's: count calls, not rows.
    assert len(rows) == len(alone)
    assert [each.recorded for each in report.references] == [report.recorded // 2] * 2
    # Text of another length: the same size no more, so that each goes by itself.
    text = sources[1].reference.conditioning
    longer = replace(text, context=torch.cat([text.context, text.context], 1))
    other = replace(sources[1].reference, conditioning=longer)
    apart, _, rows = run(case, [sources[0], replace(sources[1], reference=other)], **plan)
    assert len(rows) > len(alone)
    same(together, apart)


def test_another_size_goes_by_itself(sd1: Case) -> None:
    small = sd1.reference(3)
    small = replace(small, z0=small.z0[..., :8], noise=small.noise[..., :8])
    sources = [Source(sd1.reference()), Source(small)]
    answers, report, rows = run(sd1, sources)
    assert rows == [1, 1, 2] * 3
    assert [each.recorded for each in report.references] == [3, 3]
    same(answers, run(sd1, sources[::-1])[0])


@pytest.mark.parametrize("stream", ["noise", "inversion"])
@pytest.mark.parametrize("refresh", [0, 1])
def test_a_new_reference_leaves_the_others_replay(case: Case, stream: str, refresh: int) -> None:
    plan, bank = {"stream": stream, "refresh": refresh}, Bank()
    old, new = Source(case.reference(2), 2, name="old"), Source(case.reference(3), name="new")
    run(case, [old], bank, **plan)
    answers, report, _ = run(case, [new, old], bank, **plan)
    of = {each.name: each for each in report.references}
    assert (of["old"].recorded, of["new"].replayed) == (0, 0)
    # Each evaluation has the old one from the bank, and one has recorded the new one for all.
    assert of["old"].replayed + of["old"].reused == 3
    assert of["new"].recorded + of["new"].reused >= 3
    assert report.recorded == of["new"].recorded > 0
    again, report, rows = run(case, [old, new], bank, **plan)
    assert (report.recorded, rows) == (0, [2, 2, 2])
    same(answers, again)
    same(answers, run(case, [old, new], None, **plan)[0])


def test_reports_tell_each_reference(sd1: Case) -> None:
    sources = [Source(sd1.reference(2), name="a"), Source(sd1.reference(3, half(True)), name="b")]
    _, report, _ = run(sd1, sources, refresh=2)
    told = dataclasses.asdict(report)
    assert [each["name"] for each in told["references"]] == ["a", "b"]
    for what in ("recorded", "fused", "replayed", "reused"):
        assert told[what] == sum(each[what] for each in told["references"])
    assert (told["recorded"], told["reused"], told["injected"]) == (4, 2, 3)
    a, b = (each["bytes"] for each in told["references"])
    assert 0 < b < a
    assert told["reference_bytes"] == a + b <= told["peak_bytes"]


def test_strength_zero_leaves_a_reference_out(sd1: Case) -> None:
    kept, out = Source(sd1.reference(2), 2), Source(sd1.reference(3), 0)
    answers, report, _ = run(sd1, [kept, out])
    assert len(report.references) == 1
    for a, b in zip(answers, run(sd1, [kept])[0], strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("plan", [*PLANS, {"depth": 50}, {"layers": "all"}], ids=str)
def test_a_reference_equal_to_the_target_changes_nothing(case: Case, plan: dict[str, Any]) -> None:
    target, both = case.target().rows(0), case.target().rows(0, 0)
    reference = case.same_as(target)
    plan = {**plan, "stream": "noise"}
    sources = [Source(reference), Source(reference, 3)]
    torch.testing.assert_close(case.injected(both, sources, **plan), case.plain(both), **TOLERANCE)


def test_one_row_more_is_for_one_reference(sd1: Case) -> None:
    sources = [Source(sd1.reference(2)), Source(sd1.reference(3))]
    separate, _, _ = run(sd1, sources)
    answers, report, _ = run(sd1, sources, fused=True)
    assert report.fused == 0
    for a, b in zip(answers, separate, strict=True):
        assert torch.equal(a, b)


def test_levels_are_the_schedules(sd1: Case) -> None:
    """Two paths made together are each its own, row by row."""
    sources = [Source(sd1.reference(2)), Source(sd1.reference(3))]

    def latents(chosen: list[Source]) -> list[Tensor]:
        with sd1.session(chosen, stream="inversion", refresh=0) as session:
            session.begin(0, 10, SCHEDULE.sigma(999), cond_rows_first)
            sd1.plain(sd1.target(2, SCHEDULE.sigma(999)))
            return [session.reference_latent(source) for source in range(len(chosen))]

    both = latents(sources)
    for source, latent in zip(sources, both, strict=True):
        torch.testing.assert_close(latents([source])[0], latent, **TOLERANCE)
