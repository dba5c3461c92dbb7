"""Which blocks of a transformer inject, and what is refused."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from lafi.core.plan import Plan
from lafi.core.sites import (
    check_position,
    check_sites,
    choose_sites,
    describe_sites,
    find_sites,
    input_channels,
)
from lafi.errors import LafiError

from .flux_shape import FluxShape
from .harness import Case
from .parts import CHANNELS
from .sd3_shape import Sd3Shape

FLUX = find_sites(FluxShape(19, 38))
SD3 = find_sites(Sd3Shape(24, 13))


@pytest.mark.parametrize(("depth", "flux", "sd3"), [
    (1, "1 of 57: 56", "1 of 37: 23"), (25, "10 of 57: 47-56", "3 of 37: 21-23"),
    (50, "19 of 57: 38-56", "6 of 37: 18-23"), (75, "29 of 57: 28-56", "9 of 37: 15-23"),
    (100, "38 of 57: 19-56", "13 of 37: 12-23"),
])  # fmt: skip
def test_depth_counts_blocks_from_the_output(depth: float, flux: str, sd3: str) -> None:
    for sites, text in ((FLUX, flux), (SD3, sd3)):
        described = describe_sites(sites, choose_sites(sites, depth))
        assert described == text.replace(":", " joint-attention layers: blocks")


def test_all_layers() -> None:
    assert choose_sites(SD3, 0, "all") == SD3
    assert len({site.name for site in SD3}) == 37


@pytest.mark.parametrize(("blocks", "text"), [
    ("3", "1 of 57 joint-attention layers: blocks 3"),
    ("0,7-10,18", "6 of 57 joint-attention layers: blocks 0, 7-10, 18"),
    ("flux-vital", "9 of 57 joint-attention layers: blocks 0-1, 17-18, 25, 28, 53-54, 56"),
])  # fmt: skip
def test_named_blocks_go_before_depth_and_layers(blocks: str, text: str) -> None:
    for depth, layers in ((0, "decoder"), (100, "all")):
        assert describe_sites(FLUX, choose_sites(FLUX, depth, layers, blocks)) == text


@pytest.mark.parametrize(("sites", "blocks", "says"), [
    (FLUX, "57", r"names block 57; this network has 0-56"),
    (SD3, "flux-vital", r"is a set for 57 blocks; this network has 24"),
], ids=["beyond the last", "of another network"])  # fmt: skip
def test_blocks_that_are_not_there_are_an_error(sites: tuple, blocks: str, says: str) -> None:
    with pytest.raises(LafiError, match=says) as caught:
        choose_sites(sites, 100, "decoder", blocks)
    assert [each["loc"] for each in caught.value.problems] == [["blocks"]]


def test_positions_are_chosen_where_there_are_any() -> None:
    check_position(FluxShape(), "beside")
    check_position(Sd3Shape(), "own")
    with pytest.raises(LafiError, match="Flux and Chroma") as caught:
        check_position(Sd3Shape(), "none")
    assert [each["loc"] for each in caught.value.problems] == [["position"]]


def test_the_latents_channels() -> None:
    assert input_channels(FluxShape()) == input_channels(Sd3Shape()) == CHANNELS


def test_how_much_a_recording_takes(case: Case) -> None:
    sites = choose_sites(case.sites, 100)
    with case.session(case.reference(), sites=sites) as session:
        target = case.target()
        session.begin(0, 4, target.sigma, lambda rows, kwargs: [])
        case.plain(target)
        places = 48 * 4 * 4 * len(sites) if case.rotary else 0
        held = session.report.reference_bytes - places
    assert Plan(sites).estimate(case.network, *target.latent.shape[-2:]) == held > 0


# ---- refused ------------------------------------------------------------------------------------


class Elsewhere(nn.Module):
    """A block that asks a kernel of its own, as quantised models do."""

    def forward(self, x: torch.Tensor, vec: torch.Tensor, pe: torch.Tensor) -> torch.Tensor:
        return x


def refused(network: nn.Module) -> str:
    """What is said of a network."""
    with pytest.raises(LafiError) as caught:
        find_sites(network)
    assert caught.value.code == "unsupported_model"
    return caught.value.message


def test_a_block_that_computes_its_attention_elsewhere_is_refused() -> None:
    network = FluxShape()
    network.single_blocks[1] = Elsewhere()
    assert "Elsewhere" in refused(network)


def test_a_compiled_block_is_refused() -> None:
    network = Sd3Shape()
    network.joint_blocks[2]._compiled_call_impl = lambda *args: None
    assert "is compiled" in refused(network)


def test_a_block_that_was_exchanged_later_is_an_error() -> None:
    network = FluxShape()
    sites = find_sites(network)
    check_sites(network, sites)
    network.single_blocks[1] = Elsewhere()
    with pytest.raises(LafiError) as caught:
        check_sites(network, sites)
    assert caught.value.code == "attention_replaced"
