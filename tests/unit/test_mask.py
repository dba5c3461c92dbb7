"""The token mask at the UNet's resolutions."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lafi.core.mask import FigureMask, TokenMask
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


@pytest.mark.parametrize("size", [(24, 17), (33, 23), (7, 5), (49, 35)])
def test_a_layer_of_any_size_keeps_what_lies_in_its_place(size: tuple[int, int]) -> None:
    mask = torch.zeros(49, 35, dtype=torch.bool)  # Kohya HRFix makes 24 x 17 of it, not 25 x 18
    mask[20:30, 10:20] = True
    kept = TokenMask(mask)(numbered(size[0] * size[1]), size).flatten()
    rows, columns = kept // size[1], kept % size[1]
    for found, (begin, end), length, whole in (
        (rows, (20, 30), size[0], 49),
        (columns, (10, 20), size[1], 35),
    ):
        assert abs(int(found.min()) - begin * length / whole) <= 1
        assert abs(int(found.max()) + 1 - end * length / whole) <= 1


def test_a_halving_stays_what_it_was() -> None:
    mask = torch.rand(49, 35, generator=torch.Generator().manual_seed(1)) > 0.8
    for size in ((49, 35), (25, 18), (13, 9)):
        count = size[0] * size[1]
        assert torch.equal(TokenMask(mask)(numbered(count), size), TokenMask(mask)(numbered(count)))


def test_another_number_of_tokens_than_the_layers_is_an_error() -> None:
    with pytest.raises(LafiError, match="Token merging"):
        TokenMask(torch.ones(8, 8))(numbered(32), (8, 8))


@pytest.mark.parametrize("count", [63, 32, 15])
def test_a_count_of_no_resolution_is_an_error(count: int) -> None:
    with pytest.raises(LafiError, match=f"layer of {count} tokens") as caught:
        TokenMask(torch.ones(8, 8))(numbered(count))
    assert caught.value.code == "mask_does_not_fit"


def test_a_figure_stands_first_and_its_background_last() -> None:
    mask = FigureMask(torch.tensor([[1, 0, 1], [0, 1, 0]]))
    assert mask(numbered(6)).flatten().tolist() == [0, 2, 4, 1, 3, 5]
    assert mask.background(6) == 3
    assert mask.background(2) == 0  # one level coarser, every token holds a part of it


def test_a_figure_stays_one_at_another_size() -> None:
    mask = FigureMask(torch.eye(8)).resized(4, 4)
    assert isinstance(mask, FigureMask)
    assert mask.background(16) == 12
