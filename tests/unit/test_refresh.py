"""When a recording is made that serves several evaluations, and at which level."""

from __future__ import annotations

import pytest

from lab.host.model import sd_alphas_cumprod
from lafi.core.levels import NoiseSchedule
from lafi.core.refresh import Refresh
from lafi.core.schedule import Window

SCHEDULE = NoiseSchedule.from_alphas(sd_alphas_cumprod())


def recordings(every: int, timesteps: list[float], window: Window | None = None) -> dict:
    """Evaluations that record, with the timestep that they record at."""
    refresh, total, made = Refresh(every, SCHEDULE), len(timesteps), {}
    window = window or Window(0, 100)
    for index, timestep in enumerate(timesteps):
        sigma = SCHEDULE.sigma(timestep)
        refresh.begin(index, sigma, total, window.count(total, index, index + every))
        if window.contains(index, total) and refresh.due:
            refresh.made()
            made[index] = pytest.approx(SCHEDULE.timestep(refresh.level), abs=0.01)
            if refresh.timestep is None:
                assert refresh.level == sigma
            else:
                assert refresh.timestep == made[index]
    return made


EVEN = [900.0, 800.0, 700.0, 600.0, 500.0, 400.0, 300.0, 200.0, 100.0]


def test_every_evaluation_at_its_own_level() -> None:
    assert recordings(1, EVEN) == dict(enumerate(EVEN))


@pytest.mark.parametrize(
    ("every", "expected"),
    [
        (2, {0: 850, 2: 650, 4: 450, 6: 250, 8: 100}),
        (3, {0: 800, 3: 500, 6: 200}),
        (4, {0: 750, 4: 350, 8: 100}),
        (9, {0: 500}),
    ],
)
def test_the_middle_of_those_it_serves(every: int, expected: dict[int, float]) -> None:
    assert recordings(every, EVEN) == expected


def test_the_last_before_the_cutoff_serves_fewer() -> None:
    # 80 % of nine evaluations are eight.
    assert recordings(3, EVEN, Window(0, 80)) == {0: 800, 3: 500, 6: 250}
    assert recordings(3, EVEN, Window(50, 100)) == {5: 300, 8: 100}


def test_the_pace_is_that_of_the_last_evaluations() -> None:
    slowing = [900.0, 700.0, 500.0, 480.0, 460.0, 440.0]
    # At first as if evenly: 900 in six evaluations.
    assert recordings(3, slowing) == {
        0: 750,
        3: 340,
    }
    assert recordings(2, slowing) == {0: 825, 2: 400, 4: 450}


def test_where_levels_repeat_or_rise_it_does_not_run_ahead_of_them() -> None:
    assert recordings(2, [900.0, 900.0, 900.0, 900.0])[2] == 900
    assert recordings(2, [400.0, 300.0, 900.0, 800.0])[2] == 900  # a restart


def test_a_run_that_another_model_began_goes_on_evenly() -> None:
    refresh = Refresh(4, SCHEDULE)  # after a refiner's switch at evaluation 12 of 20
    refresh.begin(12, SCHEDULE.sigma(400), 20, 4)
    assert refresh.timestep == pytest.approx(400 - 1.5 * 400 / 8)


def test_it_ends_with_the_schedule() -> None:
    assert recordings(3, [500.0, 250.0, 120.0, 5.0, 4.0, 3.0])[3] == 0
