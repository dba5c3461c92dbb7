"""Which rows of a UNet call are cond rows, as each host makes them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from modules import scripts
from torch import Tensor, nn

from lafi.core.injection import Row
from lafi.hosts import find_host

from .host import WebUI


@pytest.mark.parametrize(("order", "pictures", "tiles"), [
    ([1, 0], 1, 4), ([1, 0], 2, 3), ([0], 2, 2), ([1, 0, 0], 1, 2), ([0, 1], 1, 1),
])  # fmt: skip
def test_forges_rows_tile_by_tile(
    forge: WebUI, order: list[int], pictures: int, tiles: int
) -> None:
    options = {"cond_or_uncond": order, "sigmas": torch.zeros(pictures)}
    rows = tiles * len(order) * pictures
    found = find_host().row_kinds(None)(rows, {"transformer_options": options})
    assert found == [
        Row(chunk == 0, picture, (tile, order[:number].count(chunk)))
        for tile in range(tiles)
        for number, chunk in enumerate(order)
        for picture in range(pictures)
    ]


class Tiled(nn.Module):
    """A1111's denoiser under Tiled Diffusion: each call is made in tiles."""

    def __init__(self, tiles: list[int]) -> None:
        super().__init__()
        self.tiles = tiles
        self.kinds: Any = None
        self.seen: list[list[Row]] = []

    def forward(self, x: Tensor) -> Tensor:
        self.seen += [self.kinds(tiles * len(x), {}) for tiles in self.tiles]
        return x


@pytest.mark.parametrize("tiles", [[1], [4, 4], [4, 1], [1, 1, 1]], ids=str)
@pytest.mark.parametrize("calls", [[4], [2, 2], [3, 1], [1, 1, 1, 1], [2]], ids=str)
def test_a1111s_rows_in_every_call_and_tile(
    a1111: WebUI, tiles: list[int], calls: list[int]
) -> None:
    denoiser = Tiled(tiles)
    params = SimpleNamespace(
        x=torch.zeros(4, 4, 8, 8),
        text_cond=torch.zeros(2, 7, 32),
        denoiser=SimpleNamespace(inner_model=denoiser),
    )
    everything = [Row(True, 0), Row(True, 1), Row(False, 0), Row(False, 1)]
    for _ in range(2):  # evaluations
        denoiser.kinds, denoiser.seen = find_host().row_kinds(params), []
        assert len(denoiser._forward_pre_hooks) == 1
        expected, begun = [], 0
        for rows in calls:
            part = everything[begun : begun + rows]
            made = 0
            for count in tiles:
                expected.append([
                    row._replace(part=(made + tile, 0)) for tile in range(count) for row in part
                ])  # fmt: skip
                made += count
            denoiser(torch.zeros(rows, 1))
            begun += rows
        assert denoiser.seen == expected
    denoiser.kinds = None
    assert not denoiser._forward_pre_hooks


def test_a_call_in_parts_is_counted_on(a1111: WebUI) -> None:
    params = SimpleNamespace(
        x=torch.zeros(4, 4, 8, 8),
        text_cond=torch.zeros(2, 7, 32),
        denoiser=SimpleNamespace(inner_model=None),
    )
    kinds = find_host().row_kinds(params)
    seen = [[row[:2] for row in kinds(rows, {})] for rows in (1, 2, 1)]
    assert seen == [[(True, 0)], [(True, 1), (False, 0)], [(False, 1)]]


@pytest.mark.parametrize(("prompts", "known"), [([2, 1], True), ([2, 2], False), ([1, 3], True)])
def test_a1111s_rows_of_prompts_with_and(a1111: WebUI, prompts: list[int], known: bool) -> None:
    cond = SimpleNamespace(batch=[[None] * count for count in prompts])
    sampler = SimpleNamespace(sampler_extra_args={"cond": cond} if known else None)
    params = SimpleNamespace(
        x=torch.zeros(sum(prompts) + 2, 4, 8, 8),
        text_cond=torch.zeros(sum(prompts), 7, 32),
        denoiser=SimpleNamespace(inner_model=None, sampler=sampler),
    )
    rows = find_host().row_kinds(params)(sum(prompts) + 2, {})
    assert rows == [
        *(Row(True, picture, (0, part)) for picture in (0, 1) for part in range(prompts[picture])),
        *(Row(False, picture, (0, 0)) for picture in (0, 1)),
    ]


def test_after_a_picture_no_hook_is_left_on_the_denoiser(a1111: WebUI) -> None:
    seen: list[nn.Module] = []

    class Look(scripts.Script):
        def postprocess(self, p: Any, processed: Any, *args: Any) -> None:
            seen.append(p.sampler.model_wrap_cfg.inner_model)

    a1111.add(Look())
    a1111.injected()
    assert [len(each._forward_pre_hooks) for each in seen] == [0]
