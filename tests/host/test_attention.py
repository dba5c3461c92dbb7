"""What injection computes: promises 3 to 6, and the attention itself against a softmax by hand."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lab.host.bundled import BasicTransformerBlock
from lafi.core.injection import Row
from lafi.core.mask import TokenMask
from lafi.core.sites import Site, choose_sites

from .harness import SIDE, TOLERANCE, Case, Probe, traced

FIRST_BLOCK = {
    "sd1": {100: 3, 50: 7, 25: 10, 1: 11},
    "sdxl": {100: 0, 50: 3, 25: 4, 1: 5},
}


def by_hand(
    attention: nn.Module,
    x: Tensor,
    own: Tensor,
    reference: Tensor,
    weight: float = 1,
    replace: bool = False,
    hidden: Tensor | None = None,
) -> Tensor:
    """softmax(Q [K || K_ref]^T + [0 || ln w]) [V || V_ref], one head after the other.

    Args:
        x: (B, N, C) queries' tokens.
        own: (B, M, C) the target's own keys' tokens.
        reference: (1, R, C).
        replace: the reference's keys and values instead of the target's own.
        hidden: (R,) booleans, reference tokens whose logits are -inf.
    """
    reference = reference.expand(len(x), -1, -1)
    context = reference if replace else torch.cat([own, reference], 1)
    q, k, v = attention.to_q(x), attention.to_k(context), attention.to_v(context)
    bias = torch.zeros(context.shape[1])
    if not replace:
        bias[own.shape[1] :] = math.log(weight)
    if hidden is not None:
        bias[own.shape[1] :][hidden] = -torch.inf
    width = q.shape[-1] // attention.heads
    heads = []
    for head in range(attention.heads):
        part = slice(head * width, (head + 1) * width)
        logits = q[..., part] @ k[..., part].transpose(1, 2) / math.sqrt(width) + bias
        heads.append(torch.softmax(logits, -1) @ v[..., part])
    return attention.to_out(torch.cat(heads, -1))


def middle_of_decoder(case: Case) -> Site:
    """A decoder site that is neither the first nor the last."""
    sites = choose_sites(case.sites, 100)
    return sites[len(sites) // 2]


def answers(case: Case, **plan: Any) -> tuple[Tensor, Tensor, Tensor]:
    """(reference's tokens, target's tokens, target's answer) of one site that injects alone."""
    site = middle_of_decoder(case)
    last = choose_sites(case.sites, 100)[-1]
    probe = Probe(case.unet, site)
    mask = plan.pop("mask", None)
    case.injected(case.target(), case.reference(mask=mask), probe=probe, sites=(site, last), **plan)
    return probe.inputs[0], probe.inputs[1], probe.outputs[-1]


@pytest.mark.parametrize("weight", [1, 0.25, 2, 4])
def test_strength_adds_its_logarithm_to_the_logits(case: Case, weight: float) -> None:
    reference, x, answer = answers(case, strength=weight)
    attention = middle_of_decoder(case).module
    with torch.no_grad():
        expected = by_hand(attention, x, x, reference, weight)
        plain = attention(x)
    torch.testing.assert_close(answer, expected, **TOLERANCE)
    assert not torch.allclose(answer, plain, **TOLERANCE)


def test_strength_without_end_replaces_keys_and_values(case: Case) -> None:
    reference, x, answer = answers(case, strength=1e9)
    with torch.no_grad():
        expected = by_hand(middle_of_decoder(case).module, x, x, reference, replace=True)
    torch.testing.assert_close(answer, expected, **TOLERANCE)


def test_strength_two_is_the_reference_twice(case: Case) -> None:
    def twice(tokens: Tensor, size: object) -> Tensor:
        return torch.cat([tokens, tokens], 1)

    weighted = case.injected(case.target(), case.reference(), strength=2)
    doubled = case.injected(case.target(), case.reference(mask=twice))
    torch.testing.assert_close(weighted, doubled, **TOLERANCE)


def test_a_mask_hides_the_reference_tokens_it_leaves_out(case: Case) -> None:
    mask = torch.zeros(SIDE, SIDE, dtype=torch.bool)
    mask[3:9, 2:14] = True
    _, x, answer = answers(case, mask=TokenMask(mask))
    reference, same_x, _ = answers(case)
    kept = TokenMask(mask)(torch.arange(reference.shape[1])[None, :, None])
    hidden = torch.ones(reference.shape[1], dtype=torch.bool)
    hidden[kept.flatten()] = False
    with torch.no_grad():
        expected = by_hand(middle_of_decoder(case).module, x, x, reference, hidden=hidden)
    assert torch.equal(x, same_x)
    assert hidden.any()
    torch.testing.assert_close(answer, expected, **TOLERANCE)


@pytest.mark.parametrize("strength", [1, 2])
def test_shuffled_reference_tokens_change_nothing(case: Case, strength: float) -> None:
    def shuffled(tokens: Tensor, size: object) -> Tensor:
        order = torch.randperm(tokens.shape[1], generator=torch.Generator().manual_seed(0))
        return tokens[:, order]

    whole = case.injected(case.target(), case.reference(), strength=strength)
    mixed = case.injected(case.target(), case.reference(mask=shuffled), strength=strength)
    torch.testing.assert_close(mixed, whole, **TOLERANCE)


@pytest.mark.parametrize("plan", [
    *({"depth": depth} for depth in (1, 25, 50, 75, 100)),
    {"layers": "all"},
    {"fidelity": 1},
    {"strength": 2},
    {"stream": "denoise"},
    {"fused": True},
], ids=str)  # fmt: skip
def test_a_reference_equal_to_the_target_changes_nothing(case: Case, plan: dict[str, Any]) -> None:
    target = case.target().rows(0)
    both = case.target().rows(0, 0)
    reference = case.same_as(target)
    plain = case.plain(both)
    torch.testing.assert_close(case.injected(both, reference, **plan), plain, **TOLERANCE)
    # The same plan with another reference does change the output.
    other = case.injected(both, case.reference(), **plan)
    assert not torch.allclose(other[:1], plain[:1], **TOLERANCE)


@pytest.mark.parametrize("depth", [100, 50, 25, 1])
def test_the_first_block_that_differs_is_the_sliders(case: Case, depth: float) -> None:
    with traced(case.unet) as plain:
        case.plain(case.target())
    with traced(case.unet) as injected:
        case.injected(case.target(), case.reference(), depth=depth)
    differing = [name for name in plain if not torch.equal(plain[name], injected[name])]
    layout = FIRST_BLOCK["sdxl" if case.name == "sdxl" else "sd1"]
    assert next(iter(plain)) == "input_blocks.0"
    assert differing[0] == f"output_blocks.{layout[depth]}"
    assert not any(name.startswith(("input", "middle")) for name in differing)


def test_all_layers_change_the_encoder_too(case: Case) -> None:
    with traced(case.unet) as plain:
        case.plain(case.target())
    with traced(case.unet) as injected:
        case.injected(case.target(), case.reference(), layers="all")
    differing = [name for name in plain if not torch.equal(plain[name], injected[name])]
    assert differing[0] == ("input_blocks.4" if case.name == "sdxl" else "input_blocks.1")


# ---- rows -------------------------------------------------------------------------------------


@pytest.mark.parametrize("plan", [{}, {"strength": 2}, {"fused": True}], ids=str)
def test_a_row_in_a_batch_is_the_row_alone(case: Case, plan: dict[str, Any]) -> None:
    target = case.target(4)
    together = case.injected(target, case.reference(), **plan)
    for row in range(4):
        alone = case.injected(target.rows(row), case.reference(), **plan)
        torch.testing.assert_close(together[row : row + 1], alone, **TOLERANCE)


def test_the_order_of_rows_changes_nothing(case: Case) -> None:
    target, reversed_rows = case.target(4), (3, 2, 1, 0)
    together = case.injected(target, case.reference())
    turned = case.injected(target.rows(*reversed_rows), case.reference())
    torch.testing.assert_close(turned[list(reversed_rows)], together, **TOLERANCE)


@pytest.mark.parametrize("fidelity", [0, 0.5, 1])
def test_split_calls_equal_one_call(case: Case, fidelity: float) -> None:
    target = case.target(4)
    together = case.injected(target, case.reference(), fidelity=fidelity)
    seen = 0

    def kinds(rows: int, kwargs: dict[str, Any]) -> list[Row]:
        nonlocal seen
        first, seen = seen, seen + rows
        return [Row(row < 2) for row in range(first, seen)]

    with case.session(case.reference(), fidelity=fidelity) as session:
        session.begin(0, 1, target.sigma, kinds)
        parts = [
            case.plain(target.rows(0)),
            case.plain(target.rows(1, 2)),
            case.plain(target.rows(3)),
        ]
        report = session.report
    torch.testing.assert_close(torch.cat(parts), together, **TOLERANCE)
    assert (report.recorded, report.injected) == (1, 1)


def test_prompts_of_other_lengths_change_nothing_for_the_rest(case: Case) -> None:
    target = case.target(2)
    together = case.injected(target, case.reference())
    longer = target.rows(1)
    longer = type(longer)(
        longer.latent, longer.sigma, longer.context.repeat(1, 3, 1), longer.vector
    )
    with case.session(case.reference()) as session:
        session.begin(0, 1, target.sigma, lambda rows, kwargs: [Row(True)] * rows)
        first, second = case.plain(target.rows(0)), case.plain(longer)
    torch.testing.assert_close(first, together[:1], **TOLERANCE)
    # The same words three times: every key has two duplicates, which cancel in the softmax.
    torch.testing.assert_close(second, together[1:], **TOLERANCE)


@pytest.mark.parametrize("strength", [1, 2])
def test_positive_rows_inject_and_the_others_stay_plain(case: Case, strength: float) -> None:
    target = case.target(4)
    plain = case.plain(target)
    full = case.injected(target, case.reference(), strength=strength)
    positive = case.injected(target, case.reference(), strength=strength, fidelity=1)
    torch.testing.assert_close(positive[:2], full[:2], **TOLERANCE)
    assert torch.equal(positive[2:], plain[2:])
    assert not torch.allclose(positive[:2], plain[:2], **TOLERANCE)


# ---- hosts that change a block's tokens -------------------------------------------------------


@pytest.mark.parametrize("gives_context", [False, True])
@pytest.mark.parametrize("plan", [{}, {"strength": 2}, {"fidelity": 1}], ids=str)
def test_merged_tokens(
    sd1: Case, monkeypatch: pytest.MonkeyPatch, gives_context: bool, plan: dict[str, Any]
) -> None:
    """Token merging: fewer queries, and keys from them or from all tokens."""

    def forward(self: nn.Module, x: Tensor, context: Tensor | None = None) -> Tensor:
        normed = self.norm1(x)
        merged = normed.unflatten(1, (-1, 2)).mean(2)
        keys = {"context": normed} if gives_context else {}
        x = self.attn1(merged, **keys).repeat_interleave(2, 1) + x
        x = self.attn2(self.norm2(x), context=context) + x
        return self.ff(self.norm3(x)) + x

    monkeypatch.setattr(BasicTransformerBlock, "_forward", forward)
    reference, x, answer = answers(sd1, **plan)
    merged = x.unflatten(1, (-1, 2)).mean(2)
    tokens = reference if gives_context else reference.unflatten(1, (-1, 2)).mean(2)
    own = x if gives_context else merged
    attention = middle_of_decoder(sd1).module
    with torch.no_grad():
        expected = by_hand(attention, merged, own, tokens, plan.get("strength", 1))
        if "fidelity" in plan:
            expected[1:] = attention(merged[1:], **({"context": own[1:]} if gives_context else {}))
    torch.testing.assert_close(answer, expected, **TOLERANCE)
