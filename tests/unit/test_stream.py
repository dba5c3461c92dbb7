"""The reference's latent at a noise level, against closed forms."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from lafi.core.levels import NoiseSchedule, clean_latent, scale_input
from lafi.core.stream import DENOISE_START, DenoiseStream, InversionStream, NoiseStream

BETAS = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
ALPHAS = torch.cumprod(1 - BETAS, 0)
SCHEDULE = NoiseSchedule.from_alphas(ALPHAS)
SHAPE = (1, 4, 3, 5)
SIGMA = st.floats(0.03, 14)
GENERATOR = torch.Generator().manual_seed(0)
Z0, NOISE, MEAN = (torch.randn(SHAPE, generator=GENERATOR, dtype=torch.float64) for _ in range(3))
# Spread of the data that the ideal denoiser below knows.
SPREAD = 0.7


@pytest.mark.parametrize(
    "falling", [ALPHAS, SCHEDULE.levels(14, 5)[::-1]], ids=["alphas", "levels"]
)
def test_a_schedule_must_rise(falling: Tensor | list[float]) -> None:
    with pytest.raises(ValueError, match="must rise"):
        NoiseSchedule(torch.as_tensor(falling))


def test_one_level_above_the_last_does_not_matter() -> None:
    levels = torch.tensor([0.1, 1.0, 9e5, 4500.0, 4500.0])
    schedule = NoiseSchedule(levels)
    assert [schedule.timestep(level) for level in (0.1, 1.0)] == pytest.approx([0, 1])
    assert 1 < schedule.timestep(4500.0) <= 2
    assert schedule.timestep(1e6) >= 2
    assert schedule.sigma(4) == pytest.approx(9e5)


def ideal_denoiser(x: Tensor, sigma: float) -> Tensor:
    """The exact denoiser of data with mean `MEAN` and standard deviation `SPREAD`: linear in x."""
    return (SPREAD**2 * x + sigma**2 * MEAN) / (SPREAD**2 + sigma**2)


def on_path(x: Tensor, sigma: float, to: float) -> Tensor:
    """Where that denoiser's probability flow ODE leads from `x`."""
    factor = math.sqrt((SPREAD**2 + to**2) / (SPREAD**2 + sigma**2))
    return MEAN + (x - MEAN) * factor


# ---- schedule ---------------------------------------------------------------------------------


@given(st.floats(0, 999))
def test_timesteps_and_levels_are_one_to_one(timestep: float) -> None:
    assert SCHEDULE.timestep(SCHEDULE.sigma(timestep)) == pytest.approx(timestep, abs=1e-6)


@given(st.integers(0, 999))
def test_a_level_is_what_its_alpha_says(timestep: int) -> None:
    alpha = float(ALPHAS[timestep])
    assert SCHEDULE.sigma(timestep) == pytest.approx(math.sqrt((1 - alpha) / alpha))


@pytest.mark.parametrize(("sigma", "timestep"), [(0, 0), (1e-3, 0), (1e3, 999)])
def test_levels_beyond_the_schedule_are_its_ends(sigma: float, timestep: float) -> None:
    assert SCHEDULE.timestep(sigma) == timestep
    assert SCHEDULE.sigma(-1) == SCHEDULE.sigma(0)
    assert SCHEDULE.sigma(2000) == SCHEDULE.sigma(999)


@given(SIGMA, st.integers(1, 60))
def test_levels_of_a_path_rise_to_its_top(top: float, count: int) -> None:
    levels = SCHEDULE.levels(top, count)
    assert len(levels) == count
    assert levels[-1] == top
    assert all(a < b for a, b in itertools.pairwise(levels))


# ---- predictions ------------------------------------------------------------------------------


@given(SIGMA)
def test_all_predictions_stand_for_the_same_clean_latent(sigma: float) -> None:
    alpha = 1 / (1 + sigma**2)
    x = Z0 + sigma * NOISE
    v = math.sqrt(alpha) * NOISE - math.sqrt(1 - alpha) * Z0
    torch.testing.assert_close(clean_latent(x, sigma, NOISE, "eps"), Z0)
    torch.testing.assert_close(clean_latent(x, sigma, v, "v"), Z0)


@given(SIGMA)
def test_the_unet_reads_the_variance_preserving_latent(sigma: float) -> None:
    alpha = 1 / (1 + sigma**2)
    ddpm = math.sqrt(alpha) * Z0 + math.sqrt(1 - alpha) * NOISE
    torch.testing.assert_close(scale_input(Z0 + sigma * NOISE, sigma), ddpm)


def test_zero_terminal_snr() -> None:
    # The last alpha of such a schedule, as the WebUI sets it where exactly 0 would divide by it.
    alphas = ALPHAS.clone()
    alphas[-1] = 4.8973451890853435e-08
    sigma = NoiseSchedule.from_alphas(alphas).sigma(999)
    assert sigma == pytest.approx(4518.8, rel=1e-3)
    # There the UNet reads pure noise, and v is the clean latent with its sign turned.
    x = Z0 + sigma * NOISE
    torch.testing.assert_close(scale_input(x, sigma), NOISE, atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(clean_latent(x, sigma, -Z0, "v"), Z0, atol=2e-3, rtol=2e-3)


# ---- streams ----------------------------------------------------------------------------------


@given(SIGMA)
def test_noise_is_the_same_at_every_level(sigma: float) -> None:
    stream = NoiseStream(Z0, NOISE)
    before = stream.latent(sigma)
    stream.advance(sigma, torch.zeros(SHAPE))
    assert torch.equal(stream.latent(sigma), before)
    torch.testing.assert_close((before - Z0) / sigma, NOISE)


def inversion(count: int, denoise: Callable[[Tensor, float], Tensor]) -> InversionStream:
    return InversionStream(Z0, denoise, SCHEDULE.levels(14.0, count))


def test_inversion_follows_the_ode_upwards() -> None:
    def error(count: int) -> float:
        stream = inversion(count, ideal_denoiser)
        levels = (0.05, 0.3, 1.0, 3.0, 10.0, 14.0)
        return max(
            float((stream.latent(each) - on_path(Z0, 0, each)).abs().max() / (1 + each))
            for each in levels
        )

    assert error(400) < 0.02
    # First order: half the step, half the error.
    assert error(400) / error(800) == pytest.approx(2, rel=0.25)


def test_inversion_of_one_level_is_a_straight_line() -> None:
    stream = inversion(1, ideal_denoiser)
    direction = (Z0 - ideal_denoiser(Z0, 14.0)) / 14.0
    for sigma in (0.1, 2.0, 14.0):
        torch.testing.assert_close(stream.latent(sigma), Z0 + sigma * direction)


def test_inversion_asks_once_per_level_and_never_again() -> None:
    asked: list[float] = []

    def denoise(x: Tensor, sigma: float) -> Tensor:
        asked.append(sigma)
        return ideal_denoiser(x, sigma)

    stream = inversion(8, denoise)
    # A step begins where the one before ended; the first begins at its own end.
    assert asked == [stream.levels[0], *stream.levels[:-1]]
    first = stream.latent(2.0)
    stream.advance(2.0, MEAN)
    assert torch.equal(stream.latent(2.0), first)
    assert len(asked) == 8


def descend(stream: DenoiseStream, levels: list[float]) -> Tensor:
    x = Z0
    for sigma in levels:
        x = stream.latent(sigma)
        stream.advance(sigma, ideal_denoiser(x, sigma))
    return x


def test_denoise_is_noise_above_its_start() -> None:
    stream = DenoiseStream(Z0, NOISE)
    for sigma in (14.0, 5.0, DENOISE_START):
        torch.testing.assert_close(stream.latent(sigma), Z0 + sigma * NOISE)
        stream.advance(sigma, MEAN if sigma > DENOISE_START else ideal_denoiser(Z0, sigma))


def test_denoise_follows_the_ode_downwards() -> None:
    start = Z0 + DENOISE_START * NOISE

    def error(count: int) -> float:
        ratio = (0.05 / DENOISE_START) ** (1 / count)
        levels = [14.0, 6.0, *(DENOISE_START * ratio**i for i in range(count + 1))]
        end = descend(DenoiseStream(Z0, NOISE), levels)
        return float((end - on_path(start, DENOISE_START, levels[-1])).abs().max())

    assert error(200) < 0.02
    assert error(200) / error(400) == pytest.approx(2, rel=0.25)


@given(st.lists(st.floats(0.05, DENOISE_START), min_size=1, max_size=8))
def test_denoise_is_exact_for_a_constant_answer_whatever_the_order(levels: list[float]) -> None:
    """Rising levels too, as in a Restart or the second half of a Heun step."""
    stream = DenoiseStream(Z0, NOISE)
    first = levels[0]
    start = Z0 + first * NOISE
    for sigma in levels:
        x = stream.latent(sigma)
        stream.advance(sigma, MEAN)
        torch.testing.assert_close(x, MEAN + sigma / first * (start - MEAN))
