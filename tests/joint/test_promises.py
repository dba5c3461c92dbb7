"""The design's promises 1 to 6 on transformers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lafi.core.joint.families import find_family
from lafi.core.mask import TokenMask
from lafi.core.schedule import Window
from lafi.core.sites import choose_sites
from lafi.core.source import Source
from lafi.errors import LafiError

from .harness import (
    HEIGHT,
    TOLERANCE,
    WIDTH,
    Case,
    Target,
    cond_rows_first,
    pictures,
    run,
    traced,
)

STRENGTHS = (0.5, 1, 4)


def own_attributes(network: nn.Module) -> set[str]:
    """What instances have beside their class's methods."""
    return {
        f"{name}.{attribute}"
        for name, module in network.named_modules()
        for attribute in vars(module)
    }


def hooks(network: nn.Module) -> int:
    """How many hooks are in a network."""
    return sum(
        len(module._forward_hooks) + len(module._forward_pre_hooks) for module in network.modules()
    )


# ---- 1 and 2 ------------------------------------------------------------------------------------


@pytest.mark.parametrize("plan", [{"window": Window(50, 100)}, {"strength": 0}])
def test_off_is_bit_equal(case: Case, plan: dict[str, Any]) -> None:
    target = case.target()
    with case.session(case.reference(), **plan) as session:
        session.begin(0, 4, target.sigma, cond_rows_first)
        inside = case.plain(target)
    assert torch.equal(inside, case.plain(target))


def test_nothing_is_left_afterwards(case: Case) -> None:
    target, before = case.target(), own_attributes(case.network)
    plain = case.plain(target)
    session = case.session(case.reference())
    with session:
        session.begin(0, 4, target.sigma, cond_rows_first)
        assert not torch.allclose(case.plain(target), plain, **TOLERANCE)
        assert hooks(case.network)
    assert own_attributes(case.network) == before
    assert hooks(case.network) == 0
    assert session._state.recording is session._state.injection is session._state.layout is None
    assert torch.equal(case.plain(target), plain)


def test_nothing_is_left_after_an_exception(case: Case) -> None:
    target, before = case.target(), own_attributes(case.network)
    plain = case.plain(target)
    last = choose_sites(case.sites, 100)[-1].module

    def fail(*_: Any) -> None:
        raise MemoryError

    handle = last.register_forward_hook(fail)
    with pytest.raises(MemoryError):
        case.injected(target, case.reference())
    handle.remove()
    assert own_attributes(case.network) == before
    assert hooks(case.network) == 0
    assert torch.equal(case.plain(target), plain)


def test_a_block_that_others_have_taken_is_refused_and_left_alone(case: Case) -> None:
    site = choose_sites(case.sites, 100)[-1]
    assert site.seam is not None
    before, module = own_attributes(case.network), site.seam.module
    theirs = module.forward
    module.forward = theirs
    with pytest.raises(LafiError) as caught:
        case.injected(case.target(), case.reference())
    assert caught.value.code == "attention_replaced"
    assert vars(module).pop("forward") is theirs
    assert own_attributes(case.network) == before
    assert hooks(case.network) == 0


def test_what_others_put_around_a_block_later_stays(case: Case) -> None:
    site, target = choose_sites(case.sites, 100)[-1], case.target()
    plain = case.plain(target)
    with case.session(case.reference()) as session:
        session.begin(0, 4, target.sigma, cond_rows_first)
        inner = site.module.forward
        site.module.forward = lambda *args, **kwargs: inner(*args, **kwargs)
        assert not torch.allclose(case.plain(target), plain, **TOLERANCE)
    assert "forward" in vars(site.module)
    assert torch.equal(case.plain(target), plain)
    del site.module.forward


# ---- 3 to 5 -------------------------------------------------------------------------------------


@pytest.mark.parametrize("strength", STRENGTHS)
@pytest.mark.parametrize("depth", [1, 50, 100, "all"])
def test_a_reference_equal_to_the_picture_changes_nothing(
    case: Case, depth: Any, strength: float
) -> None:
    target = case.target(1)
    layers, depth = ("all", 100) if depth == "all" else ("decoder", depth)
    made = case.injected(
        target, case.same_as(target), depth=depth, layers=layers, strength=strength
    )
    torch.testing.assert_close(made, case.plain(target), **TOLERANCE)


def test_blocks_before_the_first_that_injects_are_bit_identical(case: Case) -> None:
    target = case.target()
    sites = choose_sites(case.sites, 50)
    with traced(case.network) as outputs:
        case.plain(target)
        plain = dict(outputs)
        case.injected(target, case.reference(), sites=sites)
        injected = dict(outputs)
    first = sites[0].block
    for number, (name, parts) in enumerate(plain.items()):
        same = all(map(torch.equal, parts, injected[name]))
        assert same == (number < first), name


def test_text_rows_of_the_first_block_that_injects_see_no_reference(case: Case) -> None:
    target = case.target()
    [*_, site] = [each for each in case.sites if each.part == "encoder"]
    sites = [each for each in case.sites if each.module is site.module]
    with traced(case.network) as outputs:
        case.plain(target)
        plain = dict(outputs)
        case.injected(target, case.reference(), sites=tuple(sites))
        injected = dict(outputs)
    name = site.name.rpartition(".")[0]
    (text, picture), (plain_text, plain_picture) = (
        _streams(case, target, each[name]) for each in (injected, plain)
    )
    torch.testing.assert_close(text, plain_text, **TOLERANCE)
    assert not torch.allclose(picture, plain_picture, **TOLERANCE)


def _streams(case: Case, target: Target, parts: Sequence[Tensor]) -> Sequence[Tensor]:
    """Text and picture of a block's answer."""
    if len(parts) == 2:
        # Blocks of two streams answer the picture first (Flux) or the text first (SD3).
        return parts[::-1] if case.rotary else parts
    family = find_family(case.network)
    assert family is not None
    words = family.layout(case.network, target.latent, target.context).text
    return parts[0][:, :words], parts[0][:, words:]


def test_shuffled_reference_tokens_change_nothing(case: Case) -> None:
    """With rotary positions too: a recording keeps where its tokens stood."""

    def shuffled(tokens: Tensor, size: object) -> Tensor:
        order = torch.randperm(tokens.shape[1], generator=torch.Generator().manual_seed(3))
        return tokens[:, order]

    made = case.injected(case.target(), case.reference(mask=shuffled))
    wanted = case.injected(case.target(), case.reference())
    torch.testing.assert_close(made, wanted, **TOLERANCE)


def test_strength_without_end_leaves_the_same_reference_alone(case: Case) -> None:
    target = case.target(1)
    made = case.injected(target, case.same_as(target), strength=1e6)
    torch.testing.assert_close(made, case.plain(target), **TOLERANCE)


# ---- 6 ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fidelity", [0, 0.5, 1])
def test_each_row_is_as_if_alone(case: Case, fidelity: float) -> None:
    target, reference = case.target(4), case.reference()
    whole = case.injected(target, reference, fidelity=fidelity, strength=2)
    for row in range(4):
        kinds = cond_rows_first(4, {})[row : row + 1]
        alone = case.injected(
            target.rows(row), reference, lambda rows, kwargs, kinds=kinds: kinds,
            fidelity=fidelity, strength=2,
        )  # fmt: skip
        torch.testing.assert_close(whole[row : row + 1], alone, **TOLERANCE)


def test_full_fidelity_leaves_uncond_rows_alone(case: Case) -> None:
    target, reference = case.target(), case.reference()
    made, plain = case.injected(target, reference, fidelity=1), case.plain(target)
    both = case.injected(target, reference)
    torch.testing.assert_close(made[1:], plain[1:], **TOLERANCE)
    torch.testing.assert_close(made[:1], both[:1], **TOLERANCE)
    assert not torch.allclose(both[1:], plain[1:], **TOLERANCE)


def test_without_uncond_rows(case: Case) -> None:
    """CFG 1."""
    target, reference = case.target(2), case.reference()
    made = case.injected(target, reference, pictures, fidelity=1)
    both = case.injected(target, reference, cond_rows_first)
    torch.testing.assert_close(made, both, **TOLERANCE)


def test_the_text_may_have_another_length_in_each_call(case: Case) -> None:
    reference = case.reference()
    calls = [case.target(1, words=words) for words in (7, 3, 7)]
    with case.session(reference) as session:
        session.begin(0, 4, calls[0].sigma, pictures)
        made = [case.plain(each) for each in calls]
    for each, call in zip(made, calls, strict=True):
        wanted = case.injected(call, reference, pictures)
        torch.testing.assert_close(each, wanted, **TOLERANCE)
    assert session.report.recorded == 1


# ---- 7 and 9 ------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", ["noise", "inversion", "denoise"])
def test_a_run_repeats_itself_and_leaves_the_random_state(case: Case, stream: str) -> None:
    before = torch.get_rng_state()
    plan = {"stream": stream, "refresh": 0, "window": Window(0, 80)}
    first, report = run(case, case.reference(), **plan)
    again, _ = run(case, case.reference(), **plan)
    assert torch.equal(torch.get_rng_state(), before)
    assert all(map(torch.equal, first, again))
    assert (report.evaluations, report.injected, report.skipped) == (5, 3, 2)
    assert report.switched == 2


def test_the_first_evaluation_of_a_run_is_nothing_but_noise(case: Case) -> None:
    reference = case.reference()
    answers, _ = run(case, reference)
    torch.testing.assert_close(answers[0], case.plain(case.target(2, 0.999)), rtol=0, atol=0)
    assert not torch.allclose(answers[1], case.plain(case.target(2, 0.9)), **TOLERANCE)


def test_a_window_of_noise_alone_is_an_error(case: Case) -> None:
    with case.session(case.reference(), window=Window(0, 10)) as session:
        with pytest.raises(LafiError, match="but for those of nothing but noise") as caught:
            session.begin(0, 5, math.inf, cond_rows_first)
        assert caught.value.code == "empty_window"


# ---- 11, by masks that are halves ---------------------------------------------------------------


def half(right: bool) -> TokenMask:
    """Keeps one half of the columns."""
    kept = torch.zeros(HEIGHT, WIDTH)
    kept[:, WIDTH // 2 :] = 1
    return TokenMask(kept if right else 1 - kept)


@pytest.mark.parametrize("strength", STRENGTHS)
def test_two_views_that_hold_its_tokens_are_one_reference(case: Case, strength: float) -> None:
    target = case.target()
    views = [Source(case.reference(mask=half(right)), strength) for right in (False, True)]
    whole = [Source(case.reference(), strength)]
    torch.testing.assert_close(
        case.injected(target, views), case.injected(target, whole), **TOLERANCE
    )
