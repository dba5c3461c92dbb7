"""The estimate of what a reference takes: right, and never the end of a picture."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from lafi.core.injection import Row
from lafi.core.plan import Plan
from lafi.core.sites import choose_sites, find_sites
from tests.host import harness


class Packed(nn.Module):
    """A quantised layer of Forge's: its widths are nowhere."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(8, dtype=torch.uint8), requires_grad=False)


def unet(sites: int = 3) -> nn.Module:
    """The decoder's end of a UNet: blocks of 64 channels at half the latent's size."""
    model = nn.Module()
    model.input_blocks = nn.ModuleList([nn.Sequential(nn.Conv2d(4, 32, 3))])
    model.middle_block = nn.Sequential()
    blocks = []
    for _ in range(sites):
        attention = nn.Module()
        for name in ("to_q", "to_k", "to_v"):
            attention.add_module(name, nn.Linear(64, 64))
        block, holder = nn.Module(), nn.Module()
        block.attn1, block.norm1 = attention, nn.LayerNorm(64)
        holder.transformer_blocks = nn.ModuleList([block])
        blocks.append(nn.Sequential(holder))
    model.output_blocks = nn.ModuleList(blocks)
    return model


def estimate(model: nn.Module) -> int:
    return Plan(choose_sites(find_sites(model), 100)).estimate(model, 15, 16)


EXPECTED = 3 * 2 * (8 * 8) * 64  # sites, keys and values, tokens, channels


@pytest.mark.parametrize(("dtype", "size"), [
    (torch.float32, 4), (torch.float16, 2), (torch.bfloat16, 2), (torch.float8_e4m3fn, 2),
])  # fmt: skip
def test_size_by_the_computing_type(dtype: torch.dtype, size: int) -> None:
    assert estimate(unet().to(dtype)) == EXPECTED * size


@pytest.mark.parametrize(("dtype", "size"), [(torch.float32, 4), (torch.bfloat16, 2)])
def test_a_host_may_say_what_it_computes_in(dtype: torch.dtype, size: int) -> None:
    model = unet().to(torch.float16)
    model.computation_dtype = dtype
    assert estimate(model) == EXPECTED * size


def test_quantised_layers() -> None:
    model = unet().half()
    for site in find_sites(model):
        site.module.to_q, site.module.to_k, site.module.to_v = Packed(), Packed(), Packed()
    assert estimate(model) == EXPECTED * 2


def test_nothing_known_is_no_error() -> None:
    model = unet()
    model.input_blocks = nn.ModuleList()
    for site in find_sites(model):
        site.module.to_k = Packed()
        del model.get_submodule(site.name.removesuffix(".attn1")).norm1
    assert estimate(model) == 0


def test_it_is_enough_for_a_recording() -> None:
    case = harness.case("sd1")
    sites = choose_sites(case.sites, 100)
    expected = Plan(sites).estimate(case.unet, harness.SIDE, harness.SIDE)
    with case.session(case.reference()) as session:
        session.begin(0, 1, 2.0, lambda rows, _: [Row(True)] * rows)
        case.plain(case.target())
        # The test UNet's deepest levels have as many channels, not twice as many.
        assert expected / 2 < session.report.reference_bytes <= expected


def test_blocks_that_are_wrapped_while_it_runs_count_as_before() -> None:
    model = unet()
    sites = choose_sites(find_sites(model), 100)
    model.output_blocks[-1] = nn.Sequential(nn.Identity(), model.output_blocks[-1])
    assert Plan(sites).estimate(model, 15, 16) == EXPECTED * 4
