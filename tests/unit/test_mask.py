"""The token mask at the UNet's resolutions."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lafi.core.mask import TokenMask
from lafi.errors import LafiError


def numbered(count: int) -> torch.Tensor:
    """Tokens (1, N, 1) that say where they stand."""
    return torch.arange(count)[None, :, None]


@given(st.integers(1, 24), st.integers(1, 24), st.data())
def test_one_pixel_is_kept_at_every_resolution(
    height: int, width: int, data: st.DataObject
) -> None:
    y, x = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
    mask = torch.zeros(height, width, dtype=torch.bool)
    mask[y, x] = True
    keep = TokenMask(mask)
    while True:
        assert keep(numbered(height * width)).flatten().tolist() == [y * width + x]
        if height * width == 1:
            break
        # As a strided convolution halves: odd sizes round up.
        height, width, y, x = -(-height // 2), -(-width // 2), y // 2, x // 2


def test_all_and_nothing() -> None:
    tokens = torch.randn(1, 64, 5)
    assert torch.equal(TokenMask(torch.ones(8, 8))(tokens), tokens)
    assert TokenMask(torch.zeros(8, 8))(tokens).shape == (1, 0, 5)


def test_order_and_values_stay() -> None:
    mask = torch.tensor([[1, 0, 1], [0, 1, 0]])
    assert TokenMask(mask)(numbered(6)).flatten().tolist() == [0, 2, 4]


@pytest.mark.parametrize("count", [63, 32, 15])
def test_a_count_of_no_resolution_is_an_error(count: int) -> None:
    with pytest.raises(LafiError, match=f"layer of {count} tokens") as caught:
        TokenMask(torch.ones(8, 8))(numbered(count))
    assert caught.value.code == "mask_does_not_fit"
