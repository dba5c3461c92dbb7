"""Finding self-attention by structure, and the depth slider."""

from __future__ import annotations

import itertools

import pytest
from torch import nn

from lafi.core.sites import (
    DECODER,
    ENCODER,
    MIDDLE,
    check_sites,
    choose_sites,
    describe_sites,
    find_sites,
)
from lafi.errors import LafiError


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.to_q, self.to_k, self.to_v = (nn.Linear(2, 2) for _ in range(3))


class Block(nn.Module):
    def __init__(self, disable_self_attn: bool = False) -> None:
        super().__init__()
        self.attn1, self.attn2 = Attention(), Attention()
        self.disable_self_attn = disable_self_attn


class Transformer(nn.Module):
    def __init__(self, depth: int, disabled: bool = False) -> None:
        super().__init__()
        self.transformer_blocks = nn.ModuleList(Block(disabled) for _ in range(depth))


def unet(encoder: list[int], middle: int, decoder: list[int], disabled: bool = False) -> nn.Module:
    """Blocks with transformers of the given depths; 0 for a block without one."""

    def blocks(depths: list[int]) -> nn.ModuleList:
        return nn.ModuleList(
            nn.Sequential(nn.Identity(), Transformer(depth, disabled) if depth else nn.Identity())
            for depth in depths
        )

    model = nn.Module()
    model.input_blocks, model.output_blocks = blocks(encoder), blocks(decoder)
    model.middle_block = nn.Sequential(nn.Identity(), Transformer(middle) if middle else nn.ReLU())
    return model


SD1 = unet([0, 1, 1, 0, 1, 1, 0, 1, 1, 0, 0, 0], 1, [0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1])
SDXL = unet([0, 0, 0, 0, 2, 2, 0, 10, 10], 10, [10, 10, 10, 2, 2, 2, 0, 0, 0])
PRUNED = unet([0, 2, 0, 4], 0, [4, 1, 2, 0])


@pytest.mark.parametrize(("model", "parts"), [
    (SD1, (6, 1, 9)), (SDXL, (24, 10, 36)), (PRUNED, (6, 0, 7)),
], ids=["sd1", "sdxl", "pruned"])  # fmt: skip
def test_sites_are_found_in_order(model: nn.Module, parts: tuple[int, ...]) -> None:
    sites = find_sites(model)
    found = tuple(sum(s.part == part for s in sites) for part in (ENCODER, MIDDLE, DECODER))
    assert found == parts
    assert all(model.get_submodule(site.name) is site.module for site in sites)
    assert [site.part for site in sites] == sorted(
        (site.part for site in sites), key=[ENCODER, MIDDLE, DECODER].index
    )


@pytest.mark.parametrize(("depth", "text"), [
    (0, "0 of 16 self-attention layers"),
    (1, "1 of 16 self-attention layers: output 11"),
    (25, "2 of 16 self-attention layers: output 10-11"),
    (50, "5 of 16 self-attention layers: output 7-11"),
    (100, "9 of 16 self-attention layers: output 3-11"),
])  # fmt: skip
def test_depth_counts_from_the_output(depth: float, text: str) -> None:
    sites = find_sites(SD1)
    assert describe_sites(sites, choose_sites(sites, depth)) == text


@pytest.mark.parametrize(
    ("depth", "count"), [(0, 0), (1, 2), (34, 4), (50, 6), (67, 16), (100, 36)]
)
def test_depth_goes_by_blocks_not_by_layers(depth: float, count: int) -> None:
    assert len(choose_sites(find_sites(SDXL), depth)) == count


def test_depth_grows_with_the_slider() -> None:
    sites = find_sites(SDXL)
    chosen = [set(choose_sites(sites, depth)) for depth in range(101)]
    assert all(a <= b for a, b in itertools.pairwise(chosen))
    assert all(chosen[1:])
    assert all(site.part == DECODER for site in chosen[-1])


def test_all_layers() -> None:
    sites = find_sites(SD1)
    assert choose_sites(sites, 0, "all") == sites
    assert describe_sites(sites, sites).endswith("input 1-2, 4-5, 7-8, middle 1, output 3-11")


@pytest.mark.parametrize("model", [
    nn.Linear(1, 1), unet([1], 1, [0, 0]), unet([1], 1, [1, 1], disabled=True),
], ids=["no decoder", "no attention", "cross-attention only"])  # fmt: skip
def test_an_unsupported_model_is_an_error(model: nn.Module) -> None:
    with pytest.raises(LafiError) as caught:
        find_sites(model)
    assert caught.value.code == "unsupported_model"
    assert caught.value.advice


class VanillaTemporalModule(nn.Module):
    """AnimateDiff's."""


def test_motion_modules_are_an_error() -> None:
    model = unet([1], 1, [1, 1])
    model.input_blocks[0].append(VanillaTemporalModule())
    with pytest.raises(LafiError, match=r"makes videos.*AnimateDiff") as caught:
        find_sites(model)
    assert caught.value.code == "unsupported_unet"


def test_something_else_in_place_of_attention_is_an_error() -> None:
    model = unet([1], 1, [1, 1])
    model.output_blocks[1][1].transformer_blocks[0].attn1 = nn.Linear(1, 1)
    with pytest.raises(LafiError, match=r"output_blocks\.1\.1.*attn1") as caught:
        find_sites(model)
    assert caught.value.code == "attention_replaced"


def test_attention_that_was_replaced_later_is_an_error() -> None:
    model = unet([1], 1, [1, 1])
    sites = find_sites(model)
    check_sites(model, sites)
    model.output_blocks[1][1].transformer_blocks[0].attn1 = Attention()
    with pytest.raises(LafiError, match=r"output_blocks\.1\.1") as caught:
        check_sites(model, sites)
    assert caught.value.code == "attention_replaced"
    # What leaves the layer its own attention; a figure's background is weighed in LAFI's.
    assert "strength 1 with fidelity 0 and nothing cut out" in str(caught.value)


class Wrapped(nn.Module):
    """A block within another one, as Kohya Hires.fix puts it there while a picture is sampled."""

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.block = block


def test_a_block_that_was_wrapped_later_keeps_its_sites() -> None:
    model = unet([1], 1, [1, 1])
    sites = find_sites(model)
    model.output_blocks[1] = Wrapped(model.output_blocks[1])
    check_sites(model, sites)


def test_a_block_that_was_taken_out_later_is_an_error() -> None:
    model = unet([1], 1, [1, 1])
    sites = find_sites(model)
    model.output_blocks[1] = nn.Identity()
    with pytest.raises(LafiError, match=r"output_blocks\.1\.1") as caught:
        check_sites(model, sites)
    assert caught.value.code == "attention_replaced"
