"""Runs on transformers: replay, refresh, several references, regions, a batch's first picture."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from lafi.core.kept import Kept
from lafi.core.mask import FigureMask
from lafi.core.own import Own
from lafi.core.replay.bank import Bank
from lafi.core.replay.key import Replay
from lafi.core.schedule import Window
from lafi.core.source import Source
from lafi.errors import LafiError
from lafi.regions import Region

from .harness import HEIGHT, LEVELS, TOLERANCE, WIDTH, Case, mask, pictures, run

# ---- 8 ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("projected", [None, False, True])
@pytest.mark.parametrize("stream", ["noise", "inversion"])
def test_a_replay_is_what_was_recorded(case: Case, stream: str, projected: bool | None) -> None:
    """A transformer's keys have one form only, whatever the bank would rather keep."""
    bank, reference = Bank(2**30, projected=projected), case.reference(mask=mask())
    first, made = run(case, reference, bank, stream=stream)
    again, found = run(case, reference, bank, stream=stream)
    assert (made.recorded, made.replayed) == (4, 0)
    assert (found.recorded, found.replayed) == (0, 4)
    for one, other in zip(first, again, strict=True):
        assert torch.equal(one, other)


def test_a_recording_serves_several_evaluations(case: Case) -> None:
    _, report = run(case, case.reference(), refresh=2)
    assert (report.recorded, report.reused, report.injected) == (2, 2, 4)


@pytest.mark.parametrize("change", ["guidance", "noise", "mask"])
def test_what_decides_a_recording_is_part_of_its_key(flux: Case, change: str) -> None:
    bank, reference = Bank(2**30), flux.reference()
    run(flux, reference, bank, guidance=3.5)
    other = {
        "guidance": reference,
        "noise": replace(reference, noise=-reference.noise),
        "mask": flux.reference(mask=mask()),
    }[change]
    guidance = 2.0 if change == "guidance" else 3.5
    assert run(flux, other, bank, guidance=guidance)[1].recorded == 4
    assert run(flux, reference, bank, guidance=3.5)[1].recorded == 0


def test_where_a_reference_stands_is_not(flux: Case) -> None:
    """Positions are put on afterwards."""
    bank, reference = Bank(2**30), flux.reference()
    own, _ = run(flux, reference, bank)
    for position in ("beside", "none", "soft"):
        made, report = run(flux, reference, bank, position=position)
        assert report.recorded == 0
        assert not torch.allclose(made[-1], own[-1], **TOLERANCE)


def test_the_references_own_pass_ends_at_its_last_site(case: Case) -> None:
    """And is told the same guidance as the picture."""
    seen: list[Any] = []
    last = case.sites[-1].module.register_forward_hook(lambda *_: seen.append("ended"))
    target = case.target()
    case.injected(target, case.reference())
    last.remove()
    assert seen == ["ended"]  # the target's own pass alone


def test_an_inversion_comes_from_the_picture_and_leads_to_noise(case: Case) -> None:
    """Each level's latent follows from the one below by the model's own velocity there."""
    reference = case.reference()
    with case.session(reference, stream="inversion", window=Window(0, 100)) as session:
        level = LEVELS[1]
        session.begin(1, 5, level / (1 - level), pictures)
        case.plain(case.target(1, level))
        runner = session._references.recorders[0].runner
        low, high = runner.path()[1:3]
        x, expected = runner.latent(low), runner.latent(high)
    text = reference.conditioning
    assert text.vector is not None
    shown = replace(case.target(1), latent=x, sigma=low, context=text.context, vector=text.vector)
    velocity = case.plain(shown)
    a, b = low / (1 + low), high / (1 + high)
    # Euler along the flow.
    made = x * (1 - a) + (b - a) * velocity
    torch.testing.assert_close(expected * (1 - b), made, rtol=1e-3, atol=1e-4)


# ---- 11 and 12 ----------------------------------------------------------------------------------


def test_one_reference_given_twice_is_one_of_twice_the_strength(case: Case) -> None:
    target, one = case.target(), case.reference()
    made = case.injected(target, [Source(one, 0.5), Source(one, 1.5)])
    torch.testing.assert_close(made, case.injected(target, one, strength=2), **TOLERANCE)


def test_two_halves_that_see_the_same_are_the_whole(case: Case) -> None:
    target, one = case.target(), Source(case.reference(), 2)
    halves = [replace(one, region=each) for each in (Region(0, 0.5), Region(0.5, 1))]
    torch.testing.assert_close(
        case.injected(target, halves), case.injected(target, [one]), **TOLERANCE
    )
    left = case.injected(target, halves[:1])
    assert not torch.allclose(left, case.injected(target, [one]), **TOLERANCE)


def test_a_figures_background_is_muted_at_the_end_of_the_window(case: Case) -> None:
    figure = case.reference(mask=FigureMask(mask().mask))
    made, report = run(case, figure)
    whole, _ = run(case, case.reference())
    torch.testing.assert_close(made[1], whole[1], **TOLERANCE)
    assert not torch.allclose(made[-1], whole[-1], **TOLERANCE)
    assert report.injected == 4


@pytest.mark.parametrize("layers", ["decoder", "all"])
def test_with_a_batch_anchor_the_first_picture_is_bit_identical(case: Case, layers: str) -> None:
    target = case.target(3)
    plain = case.plain(target)
    own = [Source(Own(case.schedule))]
    made = case.injected(target, own, pictures, layers=layers)
    assert torch.equal(made[:1], plain[:1])
    for row in (1, 2):
        assert not torch.allclose(made[row], plain[row], **TOLERANCE)
        pair = case.injected(target.rows(0, row), own, pictures, layers=layers)
        torch.testing.assert_close(made[row : row + 1], pair[1:], **TOLERANCE)


def test_later_batches_see_the_first_picture_of_all(case: Case) -> None:
    first, kept = case.target(2), Kept()
    with case.session([Source(Own(case.schedule, kept=kept))], refresh=1) as session:
        session.begin(0, 1, first.sigma, pictures)
        case.plain(first)
    later = case.target(1, seed=9)
    seen = case.injected(later, [Source(Own(case.schedule, False, kept))], pictures, refresh=1)
    both = replace(
        first,
        latent=torch.cat([first.latent[:1], later.latent]),
        context=torch.cat([first.context[:1], later.context]),
        vector=torch.cat([first.vector[:1], later.vector]),
    )
    wanted = case.injected(both, [Source(Own(case.schedule))], pictures)
    torch.testing.assert_close(seen, wanted[1:], **TOLERANCE)


def test_a_call_whose_text_cannot_be_found_is_refused(sd3: Case) -> None:
    target = sd3.target()
    with sd3.session(sd3.reference()) as session:
        session.begin(0, 4, target.sigma, pictures)
        with pytest.raises(LafiError, match="without a text by name") as caught:
            sd3.network(target.latent, torch.ones(2), target.vector, target.context)
    assert caught.value.code == "unsupported_model"


# ---- what others do meanwhile -------------------------------------------------------------------


def test_nobody_keeps_what_nobody_can_know(case: Case) -> None:
    bank = Bank(2**30)
    with case.session(case.reference(), replay=Replay(bank, lambda: None)) as session:
        session.begin(0, 4, 1.0, pictures)
        case.plain(case.target(1, 0.5))
    assert len(bank) == 0


def test_rows_as_tiles_of_the_picture(case: Case) -> None:
    """A reference larger than a tile is used at about a tile's area."""
    big = case.reference()
    z0, noise = (torch.cat([each] * 2, 2) for each in (big.z0, big.noise))
    target = case.target()
    made = case.injected(target, replace(big, z0=z0, noise=noise))
    assert z0.shape[-2:] == (2 * HEIGHT, WIDTH)
    assert not torch.allclose(made, case.plain(target), **TOLERANCE)
