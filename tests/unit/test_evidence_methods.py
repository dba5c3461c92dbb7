"""What the rows of the evidence do beyond LAFI's own settings."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from lab.evidence.altered import Altered, _between
from lab.evidence.methods import DEFAULT, PLAIN, Method, default, everywhere
from lab.evidence.metrics import Ratio, bootstrap
from lab.evidence.page import _explored, _goal
from lab.evidence.rows import METHODS, PEERS
from lab.evidence.run import Sampler, _noise
from lab.evidence.table import differences
from lab.evidence.tokens import DistinctTokens, MergedTokens, RandomTokens
from lab.evidence.trials import SHAPE, Count, Trial, draw_trials, figure_of, mask_of, shown
from lab.training import export
from lab.training.load import load_model
from lab.world import render
from lafi.core.mask import TokenMask
from lafi.core.sites import find_sites

from . import untrained

SEED = 3


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return load_model(untrained.write(tmp_path_factory.mktemp("model")) / export.CHECKPOINT)


@pytest.fixture(scope="module")
def sampler(model):
    return Sampler(model, steps=3)


@pytest.fixture(scope="module")
def made(sampler, trial):
    """By how often it is recorded, the default's picture."""
    return {
        every: sampler.run(replace(DEFAULT, refresh=every), trial, [0])
        for every in {each.refresh for each in BEYOND}
    }


@pytest.fixture(scope="module")
def trial():
    return draw_trials(1, 1, SEED)[0]


BEYOND = [
    each
    for each in METHODS
    if each.alters or each.views or each.again or each.stream == "own" or each.mask == "grown"
    or (each.sites and each.rate < 1 and each not in PEERS)
]  # fmt: skip


@pytest.mark.parametrize("method", BEYOND, ids=lambda method: method.name)
def test_each_row_differs_from_the_default_and_leaves_no_hook(sampler, trial, made, method):
    assert not torch.equal(sampler.run(method, trial, [0]), made[method.refresh])
    hooked = [m for m in sampler.model.unet.modules() if m._forward_hooks or m._forward_pre_hooks]
    assert hooked == []


def test_nothing_of_other_rows_is_left_in_the_default(sampler, trial, made):
    for every, before in made.items():
        again = sampler.run(replace(DEFAULT, refresh=every), trial, [0])
        torch.testing.assert_close(again, before)


def test_recordings_are_made_once_for_all_methods(model, trial):
    sampler, calls = Sampler(model, steps=3), []
    handle = model.unet.input_blocks[0].register_forward_hook(
        lambda module, args, output: calls.append(len(output))
    )
    first = sampler.run(DEFAULT, trial, [0])
    recorded = calls.count(1)
    assert recorded >= 3
    again = sampler.run(default("another name"), trial, [0])
    assert calls.count(1) == recorded
    torch.testing.assert_close(again, first)
    sampler.run(default("", thin="merged", rate=0.25), trial, [0])
    assert calls.count(1) > recorded
    handle.remove()


@pytest.mark.parametrize("change", [{"over": (2.0, 2.0)}, {"by_depth": (2.0, 2.0)}])
def test_an_even_factor_is_the_strength(sampler, trial, change):
    wanted = sampler.run(default("", strength=2 * DEFAULT.strength), trial, [0])
    torch.testing.assert_close(sampler.run(default("", **change), trial, [0]), wanted)


def test_factors_run_from_one_end_to_the_other(sampler, trial, monkeypatch):
    method = default("", over=(2, 0.5), by_depth=(8, 1))
    seen = []
    original = Altered._extra

    def noted(self, own, extra):
        changed = original(self, own, extra)
        seen.append((self.share, self._position, changed.weight / extra.weight))
        return changed

    monkeypatch.setattr(Altered, "_extra", noted)
    sampler.run(method, trial, [0])
    count = len([s for s in find_sites(sampler.model.unet) if s.part == "decoder"])
    assert {position for _, position, _ in seen} == set(range(count))
    assert sorted({share for share, *_ in seen}) == pytest.approx([0, 1])
    for share, position, factor in seen:
        expected = _between((2, 0.5), share) * _between((8, 1), position / (count - 1))
        assert factor == pytest.approx(expected)
    assert _between((2, 0.5), 0) == pytest.approx(2)
    assert _between((2, 0.5), 0.5) == pytest.approx(1)
    assert _between((2, 0.5), 1) == pytest.approx(0.5)


def test_a_row_that_alters_nothing_says_so(sampler, trial):
    with pytest.raises(RuntimeError, match="nothing went through"):
        sampler.run(Method("plain weights", everywhere, sharpen=2), trial, [0])


def test_merged_tokens_are_the_means_of_neighbours():
    tokens = torch.arange(256.0).view(1, 256, 1).expand(1, 256, 3)
    merged = MergedTokens(0.25)(tokens)
    assert merged.shape == (1, 64, 3)
    assert merged[0, 0, 0] == pytest.approx((0 + 1 + 16 + 17) / 4)
    mask = torch.zeros(16, 16, dtype=torch.bool)
    mask[0, 1] = mask[1, 1] = True
    merged = MergedTokens(0.25, TokenMask(mask))(tokens)
    assert merged.shape == (1, 1, 3)
    assert merged[0, 0, 0] == pytest.approx((1 + 17) / 2)
    assert MergedTokens(0.25, TokenMask(mask))(tokens[:, :64]).shape == (1, 1, 3)


def test_the_most_different_tokens_are_kept():
    tokens = torch.zeros(1, 64, 2)
    tokens[0, 7], tokens[0, 30], tokens[0, 50] = torch.tensor([[9.0, 0], [0, 9], [-9, 0]])
    kept = DistinctTokens(4 / 64)(tokens)[0]
    assert {tuple(each) for each in kept.tolist()} == {(9, 0), (0, 9), (-9, 0), (0, 0)}
    assert RandomTokens(0.5)(tokens).shape == (1, 32, 2)


def test_the_grown_cut_out_has_one_cell_more_on_every_side():
    picture = draw_trials(1, 1, SEED)[0].reference
    figure = figure_of(render(picture))
    grown = mask_of(Method("", mask="grown"), picture).mask
    wanted = figure.clone()
    for dy in (-1, 0, 1):
        for dx in (-1, 0, 1):
            moved = torch.roll(figure, (dy, dx), (0, 1))
            if dy:
                moved[0 if dy == 1 else -1] = False
            if dx:
                moved[:, 0 if dx == 1 else -1] = False
            wanted |= moved
    assert torch.equal(grown, wanted)


def test_own_tokens_are_those_of_the_picture_itself(sampler, trial):
    own = sampler._first_panel(trial)
    sites = [s.name for s in DEFAULT.plan(sampler.model.unet).sites]
    key = type("Key", (), {"level": (sampler.schedule.sigma(999.0), 999.0)})
    found = own.find(key, sites, torch.device("cpu"))
    assert set(found) == set(sites)
    finest = found[sites[-1]].inputs["keys"]
    mask = own.mask
    own.mask = None
    every = own.find(key, sites, torch.device("cpu"))[sites[-1]].inputs["keys"]
    assert every.shape == (1, math.prod(SHAPE), 64)
    torch.testing.assert_close(finest, every if mask is None else mask(every))


def test_a_part_of_the_pictures_is_found_among_all(model):
    whole, part = Count(4, 3, 2), Count(2, 2, 1)
    assert part.within(whole).tolist() == [0, 2, 6, 8]
    assert part.clusters.tolist() == [0, 0, 1, 1]
    assert Count(20, 4, 1).at_most(whole) == Count(4, 3, 1)
    trials = draw_trials(4, 3, SEED)
    assert [len(each.wanted) for each in part.of(trials)] == [2, 2]
    assert part.of(trials)[1] == Trial(trials[1].reference, trials[1].wanted[:2])
    values = {"identity": np.arange(24.0)}
    half = {"identity": np.arange(24.0)[part.within(whole)] + 0.5}
    gap = differences(half, values, part.clusters, "identity", part.within(whole))
    assert gap == pytest.approx((0.5, 0.5, 0.5))


def test_a_columns_interval_is_the_bootstraps():
    rng = np.random.default_rng(1)
    clusters = np.repeat(np.arange(7), 5)
    values = rng.normal(size=35)
    values[3] = np.nan
    mean = Ratio.mean(values)
    low, high = np.percentile(mean.resampled(clusters), [2.5, 97.5])
    assert (low, high) == pytest.approx(bootstrap(lambda at: np.nanmean(values[at]), clusters))
    assert mean.value() == pytest.approx(np.nanmean(values))


def test_names_are_one_each_and_claims_rest_on_whole_rows():
    names = [each.name for each in METHODS]
    assert len(names) == len(set(names))
    by_name = {each.name: each for each in METHODS}
    for name in (PLAIN, DEFAULT.name, *(each.name for each in PEERS)):
        assert by_name[name].whole
    assert not default("", strength=3).whole
    assert sum(each.whole for each in METHODS) < 16


def test_the_goal_says_by_how_much_it_is_missed():
    same = {"identity": 0.7, "leak slope": 0.1, "wall": 0.9, "usable": 0.6, "action": 1,
            "facing": 1, "defects": 0.1, "same character": 1}  # fmt: skip
    row = {name: (value, value - 0.05, value + 0.05) for name, value in same.items()}
    peer = row | {"usable": (0.2, 0.1, 0.3)}
    report = {
        "plain": "plain", "oracle": "oracle", "default": "default", "peers": ["peer"],
        "rows": {"plain": row, "oracle": row, "default": row, "peer": peer},
        "counts": {"other": [2, 2, 1]},
        "differences": {"default": {"other": {"identity": (0.1, 0, 0.2), "usable": (0, 0, 0)}}},
    }  # fmt: skip
    text = _goal(report)
    assert "identity at least 90 % of the text oracle's | 0.70 | 0.63 | met" in text
    assert "wall kept in at least 0.95 | 0.90 | 0.95 | missed by 0.05" in text
    assert "(most: peer, 0.20); intervals apart | 0.60 | 0.40 | met" in text
    assert "| other | 4 |" in _explored(report, {"other": row})
    assert "+0.10 [+0.00, +0.20]" in _explored(report, {"other": row})


def test_noise_of_a_seed_is_the_same_for_every_prompt():
    assert torch.equal(_noise(1), _noise(1))
    assert not torch.equal(_noise(1), _noise(2))


def test_views_are_sources_that_share_the_strength(sampler, trial):
    method = default("", views=("front", "back"))
    assert len(shown(method, trial)) == 3
    sources = sampler._sources(
        method, trial, [type("Row", (), {"z0": torch.zeros(1), "noise": torch.zeros(1)})] * 3
    )
    assert [each.strength for each in sources] == pytest.approx([DEFAULT.strength / 3] * 3)


@pytest.mark.parametrize("kind", [RandomTokens, DistinctTokens])
def test_keys_and_values_are_left_out_together(kind):
    keys = torch.randn(1, 64, 2, generator=torch.Generator().manual_seed(0))
    places = torch.arange(64)[None, :, None]
    chosen = kind(0.5)
    assert torch.equal(chosen(keys), keys[:, chosen(places).flatten()])


def test_a_random_share_is_drawn_anew_in_every_evaluation():
    places, chosen = torch.arange(64)[None, :, None], RandomTokens(0.5)
    first = chosen(places)
    chosen.begin()
    assert not torch.equal(first, chosen(places))
