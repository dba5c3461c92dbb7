"""References that act in a part of the picture: each query sees its own region's, and no other."""

from __future__ import annotations

import types
from dataclasses import replace
from typing import Any

import pytest
import torch
from ldm.modules.diffusionmodules import openaimodel
from torch import Tensor, nn
from torch.nn.functional import interpolate

from lab.host.bundled import BasicTransformerBlock
from lab.host.embedded import cond_rows_first
from lafi.core.reference import Reference
from lafi.core.replay.bank import Bank
from lafi.core.replay.key import Replay
from lafi.core.sites import Site, choose_sites
from lafi.core.source import Source
from lafi.errors import LafiError
from lafi.regions import Region

from .harness import TOLERANCE, Case, Probe, Target

LEFT, RIGHT = Region(0, 0.5), Region(0.5, 1)
# A part that stands nowhere near a boundary of tokens, and another that overlaps it.
PART, OTHER = Region(0.13, 0.62, 0.21, 0.9), Region(0.4, 0.97, 0.05, 0.55)


def _join(parts: list[Tensor], dim: int = 0) -> Tensor:
    """As A1111 joins a skip of an odd size to what was scaled up by two."""
    first, *rest = parts
    if rest and first.ndim == 4 and first.shape[-2:] != rest[0].shape[-2:]:
        first = interpolate(first, rest[0].shape[-2:], mode="nearest")
    return torch.cat([first, *rest], dim)


@pytest.fixture(autouse=True)
def any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    names = {name: getattr(torch, name) for name in dir(torch)}
    monkeypatch.setattr(openaimodel, "th", types.SimpleNamespace(**{**names, "cat": _join}))


def resized(case: Case, height: int, width: int) -> tuple[Target, list[Reference]]:
    """A target and two references of another size."""
    generator = torch.Generator().manual_seed(5)

    def random(rows: int) -> Tensor:
        return torch.randn(rows, 4, height, width, generator=generator)

    target = replace(case.target(), latent=random(2) * 2)
    return target, [replace(case.reference(seed), z0=random(1), noise=random(1)) for seed in (2, 3)]


def inside(region: Region | None, size: tuple[int, int]) -> Tensor:
    """(N,) the tokens of a layer that lie in a region."""
    if region is None:
        return torch.ones(size[0] * size[1], dtype=torch.bool)
    return torch.tensor(region.cells(*size)).flatten()


def answer(
    case: Case, site: Site, target: Target, sources: list[Source], **plan: Any
) -> tuple[Tensor, tuple[int, int]]:
    """What a site that injects alone gives the target, and the layer's size."""
    sizes: list[tuple[int, int]] = []
    probe = Probe(case.unet, site)
    assert site.holder is not None
    measure = site.holder.register_forward_pre_hook(
        lambda module, args: sizes.append(tuple(args[0].shape[-2:]))
    )
    last = choose_sites(case.sites, 100)[-1]
    with measure:
        case.injected(target, sources, probe=probe, sites=(site, last), **plan)
    return probe.outputs[-1], sizes[-1]


@pytest.mark.parametrize("plan", [{}, {"fidelity": 1}, {"fidelity": 0.5}], ids=str)
@pytest.mark.parametrize("strength", [1, 2])
@pytest.mark.parametrize("size", [(16, 16), (20, 12), (13, 11)], ids=str)
def test_two_regions_are_the_two_single_runs_query_by_query(
    case: Case, size: tuple[int, int], strength: float, plan: dict[str, Any]
) -> None:
    if case.name == "sdxl" and size[0] % 4:
        size = (size[0] // 4 * 4, size[1] // 4 * 4)
    target, (one, other) = resized(case, *size)
    pairs = [Source(one, strength, PART), Source(other, strength, Region(0.62, 1))]
    seen = set()
    for site in choose_sites(case.sites, 100)[:-1]:
        both, layer = answer(case, site, target, pairs, **plan)
        seen.add(layer)
        elsewhere = torch.ones(both.shape[1], dtype=torch.bool)
        for source in pairs:
            alone, _ = answer(case, site, target, [replace(source, region=None)], **plan)
            where = inside(source.region, layer)
            torch.testing.assert_close(both[:, where], alone[:, where], **TOLERANCE)
            elsewhere &= ~where
        nobody = [Source(one, strength, Region(0, 1e-9))]
        plain, _ = answer(case, site, target, nobody, **plan)
        torch.testing.assert_close(both[:, elsewhere], plain[:, elsewhere], **TOLERANCE)
        if inside(PART, layer).any():
            assert not torch.allclose(both, plain, **TOLERANCE)
    assert len(seen) > 1  # several resolutions


@pytest.mark.parametrize("strength", [1, 2])
def test_where_no_region_is_the_layer_answers_by_itself(case: Case, strength: float) -> None:
    site = choose_sites(case.sites, 100)[0]
    answer_, layer = answer(case, site, case.target(), [Source(case.reference(), strength, LEFT)])
    probe = Probe(case.unet, site)
    with probe:
        case.plain(case.target())
    outside = ~inside(LEFT, layer)
    torch.testing.assert_close(answer_[:, outside], probe.outputs[0][:, outside], **TOLERANCE)


def test_where_regions_overlap_both_are_seen(case: Case) -> None:
    one, other = case.reference(2), case.reference(3)
    site = choose_sites(case.sites, 100)[-2]
    target = case.target()
    both, layer = answer(case, site, target, [Source(one, 2, PART), Source(other, 1, OTHER)])
    wanted, _ = answer(case, site, target, [Source(one, 2), Source(other, 1)])
    where = inside(PART, layer) & inside(OTHER, layer)
    assert where.any()
    torch.testing.assert_close(both[:, where], wanted[:, where], **TOLERANCE)


@pytest.mark.parametrize("plan", [
    {}, {"fidelity": 1}, {"fidelity": 0.5}, {"stream": "inversion"}, {"fused": True},
], ids=str)  # fmt: skip
@pytest.mark.parametrize("strength", [1, 2])
def test_a_region_over_the_whole_picture_is_no_region(
    case: Case, strength: float, plan: dict[str, Any]
) -> None:
    target, reference = case.target(), case.reference()
    without = case.injected(target, reference, strength=strength, **plan)
    whole = case.injected(target, [Source(reference, strength, Region())], **plan)
    assert torch.equal(whole, without)
    nearly = case.injected(target, [Source(reference, strength, Region(0, 0.999999))], **plan)
    torch.testing.assert_close(nearly, without, **TOLERANCE)


def test_halves_of_the_same_reference_are_the_reference(case: Case) -> None:
    target, reference = case.target(), case.reference()
    halves = [Source(reference, 2, LEFT), Source(reference, 2, RIGHT)]
    torch.testing.assert_close(
        case.injected(target, halves), case.injected(target, reference, strength=2), **TOLERANCE
    )


@pytest.mark.parametrize("stream", ["noise", "inversion"])
def test_regions_are_replayed(case: Case, stream: str) -> None:
    """A recording does not know where it is seen: another region finds it, too."""
    bank = Bank()

    def run(*regions: Region | None) -> tuple[Tensor, int]:
        sources = [Source(case.reference(2 + n), 2, each) for n, each in enumerate(regions)]
        replay = Replay(bank, lambda: "model")
        with case.session(sources, replay=replay, stream=stream) as session:
            session.begin(0, 4, 2.0, cond_rows_first)
            return case.plain(case.target()), session.report.recorded

    first, recorded = run(LEFT, RIGHT)
    assert recorded == 2
    again, recorded = run(LEFT, RIGHT)
    assert recorded == 0
    torch.testing.assert_close(again, first, **TOLERANCE)
    moved, recorded = run(RIGHT, LEFT)
    assert recorded == 0
    assert not torch.allclose(moved, first, **TOLERANCE)


def refused(case: Case, target: Target, sources: list[Source]) -> LafiError:
    with case.session(sources) as session:
        session.begin(0, 1, 2.0, cond_rows_first)
        with pytest.raises(LafiError) as caught:
            case.plain(target)
    return caught.value


def test_tiles_are_refused(sd1: Case) -> None:
    _, [large, _] = resized(sd1, 32, 32)
    error = refused(sd1, sd1.target(), [Source(large, region=LEFT)])
    assert (error.code, "Tiled Diffusion" in str(error)) == ("region_in_tiles", True)
    plain = sd1.plain(sd1.target())
    assert torch.equal(sd1.plain(sd1.target()), plain)


def test_merged_tokens_are_refused(sd1: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    def forward(self: nn.Module, x: Tensor, context: Tensor | None = None) -> Tensor:
        merged = self.norm1(x).unflatten(1, (-1, 2)).mean(2)
        x = self.attn1(merged).repeat_interleave(2, 1) + x
        x = self.attn2(self.norm2(x), context=context) + x
        return self.ff(self.norm3(x)) + x

    monkeypatch.setattr(BasicTransformerBlock, "_forward", forward)
    error = refused(sd1, sd1.target(), [Source(sd1.reference(), region=LEFT)])
    assert (error.code, "Token merging" in str(error)) == ("region_does_not_fit", True)
