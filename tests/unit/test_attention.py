"""What queries get of tokens that are muted."""

from __future__ import annotations

import pytest
import torch

from lafi.core.attention import Extra, Part, Projected, attend

HEADS = 2


def random(rows: int, count: int, seed: int) -> torch.Tensor:
    return torch.randn(rows, count, 16, generator=torch.Generator().manual_seed(seed))


OWN = Projected(random(3, 10, 1), random(3, 10, 2), random(3, 10, 3))
KEYS, VALUES = random(1, 6, 4), random(1, 6, 5)


def seen(weight: float | torch.Tensor, muted: int) -> torch.Tensor:
    return attend(OWN, HEADS, [Part(None, [Extra(KEYS, VALUES, weight, muted)])])


def by_hand(weight: torch.Tensor, muted: int) -> torch.Tensor:
    """Softmax over all keys; what goes to the muted ones goes to the picture's own instead."""
    heads = [each.unflatten(2, (HEADS, -1)).transpose(1, 2) for each in (OWN.q, OWN.k, OWN.v)]
    extra = [each.unflatten(2, (HEADS, -1)).transpose(1, 2) for each in (KEYS, VALUES)]
    q, k, v = heads
    scale = q.shape[-1] ** -0.5
    own = (q @ k.transpose(2, 3) * scale).exp()
    others = (q @ extra[0].transpose(2, 3) * scale).exp() * weight.view(-1, 1, 1, 1)
    total = own.sum(3, keepdim=True) + others.sum(3, keepdim=True)
    kept = others.shape[3] - muted
    lost = others[..., kept:].sum(3, keepdim=True) / total
    alone = own @ v / own.sum(3, keepdim=True)
    out = (own @ v + others[..., :kept] @ extra[1][:, :, :kept]) / total + lost * alone
    return out.transpose(1, 2).flatten(2)


@pytest.mark.parametrize("muted", [0, 2, 6])
@pytest.mark.parametrize("weight", [1.0, 3.0, torch.tensor([3.0, 1.0, 0.5])], ids=str)
def test_attention_to_muted_tokens_becomes_attention_to_the_picture(
    weight: float | torch.Tensor, muted: int
) -> None:
    each = torch.as_tensor(weight).expand(3)
    given = weight.view(3, 1, 1) if isinstance(weight, torch.Tensor) else weight
    assert torch.allclose(seen(given, muted), by_hand(each, muted), atol=1e-6)


def test_where_all_is_muted_the_picture_is_alone() -> None:
    plain = attend(OWN, HEADS, [Part(None, [])])
    assert torch.allclose(seen(3.0, 6), plain, atol=1e-6)
    assert not torch.allclose(seen(3.0, 5), plain, atol=1e-3)


def test_a_muted_tokens_values_do_not_matter() -> None:
    other = torch.cat([VALUES[:, :4], 100 * VALUES[:, 4:]], 1)
    changed = attend(OWN, HEADS, [Part(None, [Extra(KEYS, other, 3.0, 2)])])
    assert torch.equal(changed, seen(3.0, 2))
