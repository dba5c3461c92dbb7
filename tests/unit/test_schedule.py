"""The window of injection."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lafi.core.schedule import POSITIONS, AdaptiveProgress, Window

PERCENT = st.integers(0, 100)
TOTAL = st.integers(1, 200)


@given(PERCENT, PERCENT, TOTAL)
def test_it_opens_and_closes_at_most_once(start: int, cutoff: int, total: int) -> None:
    window = Window(start, cutoff)
    inside = [window.contains(index, total) for index in range(total)]
    changes = sum(a != b for a, b in zip([False, *inside], [*inside, False], strict=True))
    assert changes in (0, 2)


@given(PERCENT, TOTAL)
def test_a_cutoff_leaves_its_share_to_the_model(cutoff: int, total: int) -> None:
    inside = sum(Window(0, cutoff).contains(index, total) for index in range(total))
    expected = -(-cutoff * total // 100)
    assert inside == (min(expected, total - 1) if cutoff < 100 and total > 1 else expected)


@given(PERCENT, TOTAL)
def test_windows_side_by_side_share_nothing_and_leave_nothing_out(middle: int, total: int) -> None:
    for index in range(total):
        before, after = Window(0, middle), Window(middle, 100)
        assert before.contains(index, total) != after.contains(index, total)


@given(st.floats(0.1, 99.9), st.integers(2, 60))
def test_something_is_left_to_the_model_from_two_evaluations_on(cutoff: float, total: int) -> None:
    window = Window(0, cutoff)
    assert window.contains(0, total)
    assert not window.contains(total - 1, total)


def test_one_evaluation_is_injected() -> None:
    assert Window(0, 80).contains(0, 1)
    assert not Window(0, 0).contains(0, 1)


@pytest.mark.parametrize(("total", "injected"), [(1, 1), (2, 1), (3, 2), (4, 3), (5, 4), (8, 7)])
def test_few_steps(total: int, injected: int) -> None:
    assert Window().count(total) == injected


def test_the_default_is_the_first_eighty_percent() -> None:
    assert [Window().contains(index, 10) for index in range(10)] == [True] * 8 + [False] * 2


@given(TOTAL, st.integers(0, 500))
def test_more_evaluations_than_announced(total: int, more: int) -> None:
    assert Window(0, 100).contains(total + more, total)
    assert not Window(0, 99).contains(total + more, total)


@given(PERCENT, PERCENT, TOTAL)
def test_it_counts_the_evaluations_within(start: int, cutoff: int, total: int) -> None:
    window = Window(start, cutoff)
    assert window.count(total) == sum(window.contains(index, total) for index in range(total))


def test_adaptive_progress_goes_by_the_logarithm_and_never_back() -> None:
    progress = AdaptiveProgress(math.log(0.01))
    levels = (100.0, 1.0, 10.0, 0.01, 0.0)
    found = [progress.position(level) for level in levels]
    assert found == sorted(found)
    assert found[0] == 0
    assert abs(found[1] - POSITIONS / 2) <= 1
    assert found[2] == found[1]  # a rejected step's level lies higher
    assert found[3] >= POSITIONS - 1


def test_it_counts_within_a_part_of_the_run_and_never_beyond_it() -> None:
    window = Window(20, 80)  # evaluations 2 to 7 of 10
    assert [window.count(10, first, first + 3) for first in (0, 2, 6, 7, 8)] == [1, 3, 2, 1, 0]
    assert Window(0, 100).count(10, 9, 12) == 1
    assert Window(0, 100).count(10, 12, 15) == 0
