"""Flow matching's levels as noise levels of the variance-exploding form."""

from __future__ import annotations

import math

import pytest
import torch

from lafi.core.levels import (
    LARGEST,
    NoiseSchedule,
    clean_latent,
    flow_level,
    flow_sigma,
    scale_input,
)
from lafi.core.refresh import Nodes
from lafi.core.schedule import AdaptiveProgress, Window
from lafi.errors import LafiError

EVEN = torch.arange(1, 1001, dtype=torch.float64) / 1000
SHIFTED = 3 * EVEN / (1 + 2 * EVEN)
SCHEDULE = NoiseSchedule.from_flow(SHIFTED, 1000)
Z0, NOISE = torch.randn(2, 1, 4, 3, 5, generator=torch.Generator().manual_seed(0)).double()


@pytest.mark.parametrize("level", [0.0, 0.01, 0.5, 0.999])
def test_levels_come_back(level: float) -> None:
    assert flow_level(flow_sigma(level)) == pytest.approx(level)


def test_the_end_is_infinite() -> None:
    assert flow_sigma(1.0) == math.inf
    assert flow_level(math.inf) == 1


@pytest.mark.parametrize("level", [0.02, 0.5, 0.98])
def test_the_network_reads_the_flows_own_latent(level: float) -> None:
    sigma = flow_sigma(level)
    read = scale_input(Z0 + sigma * NOISE, sigma, "flow")
    torch.testing.assert_close(read, (1 - level) * Z0 + level * NOISE)


@pytest.mark.parametrize("level", [0.02, 0.5, 0.98])
def test_the_velocity_leads_back_to_the_picture(level: float) -> None:
    sigma = flow_sigma(level)
    found = clean_latent(Z0 + sigma * NOISE, sigma, NOISE - Z0, "flow")
    torch.testing.assert_close(found, Z0)


@pytest.mark.parametrize("index", [0, 1, 500, 998])
def test_the_network_reads_the_level_times_its_multiplier(index: int) -> None:
    level = float(SHIFTED[index])
    assert SCHEDULE.timestep(flow_sigma(level)) == pytest.approx(index, abs=1e-6)
    assert SCHEDULE.reads(index) == pytest.approx(1000 * level)
    assert NoiseSchedule.from_flow(SHIFTED).reads(index) == pytest.approx(level)


def test_a_unet_reads_timesteps() -> None:
    assert NoiseSchedule(torch.tensor([0.1, 1.0, 10.0])).reads(1.5) == 1.5


def test_nothing_but_noise_is_the_schedules_end() -> None:
    assert SCHEDULE.timestep(math.inf) == 999
    assert SCHEDULE.sigma(999) == pytest.approx(LARGEST)
    assert AdaptiveProgress(SCHEDULE.log_sigmas[0]).position(math.inf) == 0


def test_a_window_counts_from_the_first_evaluation_that_holds_anything() -> None:
    assert Window(0, 80).require(20, 1) == 15
    assert Window(10, 80).require(20, 1) == 14
    with pytest.raises(LafiError, match=r"5 model evaluations, but for those of nothing but noise"):
        Window(0, 20).require(5, 1)
    with pytest.raises(LafiError, match=r"5 model evaluations lies between"):
        Window(30, 35).require(5)


def test_recordings_lie_where_the_run_will_be_that_has_begun_before() -> None:
    """A run through even timesteps: its second evaluation is the first that is announced."""
    total, shares = 10, [0.25, 0.75]
    whole = Nodes(shares, SCHEDULE, SCHEDULE.sigma(900))
    later = Nodes(shares, SCHEDULE, SCHEDULE.sigma(900 * 0.9), 1 / total)
    assert later.levels == pytest.approx(whole.levels)
