"""The attention of one block, against a softmax by hand; and where a reference can stand."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lafi.core.injection import Injection, Seen, Sight
from lafi.core.joint.hook import JointHook
from lafi.core.joint.layout import Layout
from lafi.core.joint.seam import Seam
from lafi.core.recording import Recording
from lafi.core.site import DECODER, Site
from lafi.core.state import PassState
from lafi.core.tokens import SiteTokens
from lafi.errors import LafiError
from lafi.regions import Region

from .flux_shape import attention, rotations

HEADS, SIZE, TEXT, TAIL = 2, 16, 3, 2
LAYOUT = Layout(TEXT, 4, 6)
TOLERANCE = {"rtol": 1e-4, "atol": 1e-5}


class Block(nn.Module):
    """Asks its attention with whatever it is given."""

    def forward(self, q: Tensor, k: Tensor, v: Tensor, pe: Tensor, **more: Any) -> Tensor:
        return attention(q, k, v, pe=pe, **more)


def grid(layout: Layout, right: int = 0) -> Tensor:
    """(N, 2) rows and columns."""
    rows, columns = torch.arange(layout.height), torch.arange(layout.width) + right
    return torch.cartesian_prod(rows, columns)


def speeds() -> Tensor:
    """(D / 2,) by how much pairs turn from a token to its neighbour."""
    one = rotations(torch.ones(1, 2)).flatten(0, 3)
    return torch.atan2(one[:, 1, 0], one[:, 0, 0])


PE = rotations(torch.cat([torch.zeros(TEXT, 2), grid(LAYOUT), torch.full((TAIL, 2), 9)]))


def given(seed: int, rows: int = 2, tokens: int = TEXT + 24 + TAIL) -> list[Tensor]:
    """Queries, keys and values (B, H, L, D)."""
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(rows, HEADS, tokens, SIZE, generator=generator) for _ in range(3)]


class Bench:
    """A block with its hook."""

    def __init__(self, position: str = "own") -> None:
        self.block, self.state = Block(), PassState(position=position)
        self.state.layout = LAYOUT
        self.site = Site("block.attn", DECODER, 0, self.block, None, Seam(self.block))
        self.hook = JointHook([self.site], self.state)

    def ask(self, qkv: list[Tensor], pe: Tensor = PE, **more: Any) -> Tensor:
        """(B, L, H, D)."""
        answer: Tensor = self.block(*qkv, pe=pe, **more)
        return answer.unflatten(2, (HEADS, SIZE))

    def record(self, qkv: list[Tensor], layout: Layout = LAYOUT, pe: Tensor = PE) -> Any:
        """What a reference leaves."""
        recording = Recording([None] * len(qkv[0]))
        self.state.layout = layout
        with self.state.during(recording):
            self.ask(qkv, pe)
        self.state.layout = LAYOUT
        return recording.tokens

    def inject(self, qkv: list[Tensor], *seen: Seen, **more: Any) -> Tensor:
        """(B, L, H, D)."""
        injection = Injection(len(qkv[0]), (Sight(None, seen),))
        with self.state.during(None, injection):
            return self.ask(qkv, **more)


def turned(x: Tensor, places: Tensor) -> Tensor:
    """Keys at places, by the stand-in's own rotation."""
    return (rotations(places) @ x.unflatten(-1, (-1, 2))[..., None]).flatten(-3)


def by_hand(
    qkv: list[Tensor], keys: Tensor, values: Tensor, weights: Tensor, queries: slice
) -> Tensor:
    """(B, n, H, D): softmax over own keys and given ones, with the balanced logits.

    Args:
        keys: (1, H, M, D) at their positions.
        weights: (M,) on them.
    """
    whole = torch.cat([torch.zeros(TEXT, 2), grid(LAYOUT), torch.full((TAIL, 2), 9)])
    q, k, v = turned(qkv[0], whole)[:, :, queries], turned(qkv[1], whole), qkv[2]
    total = float(weights.sum()) / LAYOUT.tokens
    own = torch.zeros(k.shape[2])
    own[TEXT : TEXT + 24] = math.log(1 / (1 + total))
    bias = torch.cat([own, (weights / (1 + total)).log()])
    rows = len(q)
    k = torch.cat([k, keys.expand(rows, -1, -1, -1)], 2)
    v = torch.cat([v, values.expand(rows, -1, -1, -1)], 2)
    logits = q @ k.transpose(2, 3) / SIZE**0.5 + bias
    return (torch.softmax(logits, -1) @ v).transpose(1, 2)


IMAGE = slice(TEXT, TEXT + 24)
OTHERS = torch.tensor([*range(TEXT), *range(TEXT + 24, TEXT + 24 + TAIL)])


@pytest.mark.parametrize("weight", [0.25, 1, 3])
@pytest.mark.parametrize("position", ["own", "beside", "none"])
def test_picture_rows_see_the_reference_where_it_stands(position: str, weight: float) -> None:
    bench, target, other = Bench(position), given(1), given(2, 1)
    answer = bench.inject(target, Seen(bench.record(other)[0], weight))
    keys, values = other[1][:, :, IMAGE], other[2][:, :, IMAGE]
    places = {"own": grid(LAYOUT), "beside": grid(LAYOUT, LAYOUT.width)}
    standing = turned(keys, places[position]) if position in places else keys
    wanted = by_hand(target, standing, values, torch.full((24,), float(weight)), IMAGE)
    torch.testing.assert_close(answer[:, IMAGE], wanted, **TOLERANCE)


def test_a_soft_position_damps_the_fast_pairs() -> None:
    bench, target, other = Bench("soft"), given(1), given(2, 1)
    answer = bench.inject(target, Seen(bench.record(other)[0]))
    damping = (0.1 / speeds().clamp(min=0.1)).repeat_interleave(2)
    assert 0 < damping.min() < 0.2
    assert damping.max() == 1
    keys = turned(other[1][:, :, IMAGE], grid(LAYOUT)) * damping
    wanted = by_hand(target, keys, other[2][:, :, IMAGE], torch.ones(24), IMAGE)
    torch.testing.assert_close(answer[:, IMAGE], wanted, **TOLERANCE)


def test_text_and_what_the_host_appends_see_no_reference() -> None:
    bench, target, other = Bench(), given(1), given(2, 1)
    plain = bench.ask(target)
    answer = bench.inject(target, Seen(bench.record(other)[0], 4))
    torch.testing.assert_close(answer[:, OTHERS], plain[:, OTHERS], **TOLERANCE)
    assert not torch.allclose(answer[:, IMAGE], plain[:, IMAGE], **TOLERANCE)


def test_several_references_each_with_a_weight() -> None:
    bench, target = Bench(), given(1)
    others = given(2, 1), given(3, 1)
    tokens = [bench.record(each)[0] for each in others]
    answer = bench.inject(target, Seen(tokens[0], 0.5), Seen(tokens[1], 2))
    keys = turned(
        torch.cat([each[1][:, :, IMAGE] for each in others], 2), grid(LAYOUT).repeat(2, 1)
    )
    values = torch.cat([each[2][:, :, IMAGE] for each in others], 2)
    weights = torch.tensor([0.5] * 24 + [2] * 24)
    wanted = by_hand(target, keys, values, weights, IMAGE)
    torch.testing.assert_close(answer[:, IMAGE], wanted, **TOLERANCE)


def test_each_region_sees_its_own_references() -> None:
    """Promise 11: two regions are the two single runs, query by query; outside is plain."""
    bench, target = Bench(), given(1)
    seen = [Seen(bench.record(given(seed, 1))[0], 2) for seed in (2, 3)]
    left, right = Region(0, 0.5), Region(0.5, 1, 0, 0.5)
    together = bench.inject(
        target,
        Seen(seen[0].tokens, 2, left),
        Seen(seen[1].tokens, 2, right),
    )
    alone = [bench.inject(target, each) for each in seen]
    plain = bench.ask(target)
    for row in range(4):
        for column in range(6):
            token = TEXT + row * 6 + column
            wanted = alone[0] if column < 3 else alone[1] if row < 2 else plain
            torch.testing.assert_close(together[:, token], wanted[:, token], **TOLERANCE)
    whole = bench.inject(target, Seen(seen[0].tokens, 2, Region(0, 1)))
    torch.testing.assert_close(whole, alone[0], **TOLERANCE)


def test_rows_may_have_weights_of_their_own() -> None:
    bench, target, tokens = Bench(), given(1), Bench().record(given(2, 1))[0]
    made = bench.inject(target, Seen(tokens, torch.tensor([2.0, 0.0]).view(2, 1, 1)))
    torch.testing.assert_close(made[:1], bench.inject(target, Seen(tokens, 2))[:1], **TOLERANCE)
    torch.testing.assert_close(made[1:], bench.ask(target)[1:], **TOLERANCE)


def test_a_reference_of_another_size_is_laid_over_the_picture() -> None:
    bench, target, small = Bench(), given(1), Layout(TEXT, 2, 3)
    other = given(2, 1, TEXT + 6)
    pe = rotations(torch.cat([torch.zeros(TEXT, 2), grid(small)]))
    tokens = bench.record(other, small, pe)[0]
    keys, values = other[1][:, :, TEXT:], other[2][:, :, TEXT:]
    wanted = by_hand(target, turned(keys, grid(small) * 2 + 1), values, torch.ones(6), IMAGE)
    torch.testing.assert_close(bench.inject(target, Seen(tokens))[:, IMAGE], wanted, **TOLERANCE)


def test_a_muted_background_becomes_attention_to_the_picture_itself() -> None:
    bench, target = Bench(), given(1)
    [tokens] = bench.record(given(2, 1))
    entry = tokens[bench.site.name]
    muted = SiteTokens(outputs=dict(entry.outputs), background=24)
    made = bench.inject(target, Seen({bench.site.name: muted}, muted=True))
    blank = SiteTokens(outputs={**entry.outputs, "values": torch.zeros(1, 24, HEADS * SIZE)})
    without = bench.inject(target, Seen({bench.site.name: blank}))
    whole = torch.cat([torch.zeros(TEXT, 2), grid(LAYOUT), torch.full((TAIL, 2), 9)])
    q, k = (turned(each, whole)[:, :, IMAGE] for each in target[:2])
    alone = torch.softmax(q @ k.transpose(2, 3) / SIZE**0.5, -1) @ target[2][:, :, IMAGE]
    share = (made - without)[:, IMAGE] / alone.transpose(1, 2)
    # Of each query and head one share, below 1, went to the picture itself.
    torch.testing.assert_close(share, share[..., :1].expand_as(share), rtol=1e-2, atol=1e-2)
    assert 0 < float(share.median()) < 1


def test_the_second_call_of_a_block_may_be_of_the_picture_alone() -> None:
    bench = Bench()
    target, other = given(1, 2, 24), given(2, 1, 24)
    pe = rotations(grid(LAYOUT))
    tokens = bench.record(other, LAYOUT, pe)[0]
    keys, values = turned(other[1], grid(LAYOUT)), other[2]
    q, k = (turned(each, grid(LAYOUT)) for each in target[:2])
    k = torch.cat([k, keys.expand(2, -1, -1, -1)], 2)
    v = torch.cat([target[2], values.expand(2, -1, -1, -1)], 2)
    logits = q @ k.transpose(2, 3) / SIZE**0.5
    logits[..., 24:] += math.log(3)
    wanted = (torch.softmax(logits, -1) @ v).transpose(1, 2)
    torch.testing.assert_close(bench.inject(target, Seen(tokens, 3), pe=pe), wanted, **TOLERANCE)


# ---- what is refused ----------------------------------------------------------------------------


def test_an_attention_mask_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    bench, tokens = Bench(), Bench().record(given(2, 1))[0]
    with pytest.raises(LafiError, match="hides tokens") as caught:
        bench.inject(given(1), Seen(tokens), mask=torch.zeros(1))
    assert caught.value.code == "unsupported_model"


def test_too_few_tokens_are_refused() -> None:
    bench, tokens = Bench(), Bench().record(given(2, 1))[0]
    with pytest.raises(LafiError, match="a layer has 20 tokens") as caught:
        bench.inject(given(1, 2, 20), Seen(tokens), pe=PE[:, :, :20])
    assert caught.value.code == "unsupported_model"


def test_a_site_that_the_reference_did_not_pass_is_an_error() -> None:
    with pytest.raises(LafiError) as caught:
        Bench().inject(given(1), Seen({"elsewhere": SiteTokens()}))
    assert caught.value.code == "attention_replaced"


def test_a_part_of_the_batch_is_an_error() -> None:
    bench, tokens = Bench(), Bench().record(given(2, 1))[0]
    injection = Injection(2, (Sight(None, (Seen(tokens),)),))
    with bench.state.during(None, injection), pytest.raises(LafiError) as caught:
        bench.ask(given(1, 1))
    assert caught.value.code == "attention_replaced"
