"""One batch or a separate pass: what is measured decides, once for each kind of call."""

from __future__ import annotations

import pytest
import torch

from lafi.core import batching as batching_module
from lafi.core.batching import Batching, Call, accepts_row, add_row
from lafi.core.reference import Conditioning

CPU = torch.device("cpu")


class Trial:
    """Counts evaluations and lets a clock run on."""

    now = 0.0

    def __init__(self, seconds: float, error: Exception | None = None) -> None:
        self.seconds, self.error, self.calls = seconds, error, 0

    def __call__(self) -> None:
        self.calls += 1
        Trial.now += self.seconds
        if self.error is not None:
            raise self.error


@pytest.fixture
def measuring(monkeypatch) -> Batching:
    monkeypatch.setattr(batching_module, "MEASURED", ("cpu",))
    return Batching(lambda: Trial.now)


@pytest.mark.parametrize(("fused", "expected"), [(0.5, True), (0.99, False), (2.0, False)])
def test_one_batch_must_be_faster_by_a_margin(measuring, fused: float, expected: bool) -> None:
    separate, together = Trial(1.0), Trial(fused)
    assert measuring.fuses("a", CPU, separate, together) is expected
    assert separate.calls == together.calls == 2


def test_measures_once_for_each_key(measuring) -> None:
    separate, together = Trial(1.0), Trial(0.5)
    for key, calls in (("a", 1), ("a", 1), ("b", 2)):
        assert measuring.fuses(key, CPU, separate, together)
        assert together.calls == 2 * calls  # one warms up


def test_a_way_that_failed_is_avoided(measuring) -> None:
    assert measuring.fuses("a", CPU, Trial(1.0), Trial(0.5))
    measuring.avoid("a")
    assert not measuring.fuses("a", CPU, Trial(1.0), Trial(0.5))


def test_without_memory_for_one_batch_the_pass_is_separate(measuring) -> None:
    together = Trial(0.5, torch.cuda.OutOfMemoryError("CUDA out of memory"))
    assert not measuring.fuses("a", CPU, Trial(1.0), together)
    assert not measuring.fuses("a", CPU, Trial(1.0), together)
    assert together.calls == 1


def test_other_errors_are_not_hidden(measuring) -> None:
    with pytest.raises(RuntimeError, match="shapes differ"):
        measuring.fuses("a", CPU, Trial(1.0), Trial(0.5, RuntimeError("shapes differ")))


def test_a_cpu_is_not_measured() -> None:
    separate, together = Trial(1.0), Trial(0.5)
    assert not Batching(lambda: Trial.now).fuses("a", CPU, separate, together)
    assert separate.calls == together.calls == 0


TEXT = Conditioning(torch.full((1, 7, 4), 5.0))


@pytest.mark.parametrize("positional", [True, False])
def test_a_row_comes_last_with_its_own_text_repeated(positional: bool) -> None:
    x, timesteps, context = torch.zeros(2, 3, 4, 4), torch.tensor([9, 9]), torch.zeros(2, 14, 4)
    args = (x, timesteps) if positional else (x,)
    kwargs = {"context": context} | ({} if positional else {"timesteps": timesteps})
    row = torch.ones(1, 3, 4, 4)
    assert accepts_row(Call(args, kwargs), TEXT)
    extended = add_row(Call(args, kwargs), row, torch.tensor([7.5]), TEXT)
    row_args, row_kwargs = extended.args, extended.kwargs
    assert torch.equal(row_args[0], torch.cat([x, row]))
    level = row_args[1] if positional else row_kwargs["timesteps"]
    assert level.tolist() == [9, 9, 7.5]  # whole timesteps beside a fractional one
    assert torch.equal(row_kwargs["context"][:2], context)
    assert torch.equal(row_kwargs["context"][2:], torch.full((1, 14, 4), 5.0))
    assert set(row_kwargs) == set(kwargs)
    assert kwargs["context"].shape[0] == 2  # the host's own are untouched


UNKNOWN = [
    {"context": torch.zeros(2, 7, 4), "control": []},
    {"context": torch.zeros(2, 7, 4), "y": torch.zeros(2, 3)},
    {"context": torch.zeros(2, 10, 4)},
    {"context": None},
]


@pytest.mark.parametrize("kwargs", UNKNOWN, ids=["control", "vector", "length", "no text"])
def test_calls_that_carry_anything_else_are_left_alone(kwargs: dict) -> None:
    assert not accepts_row(Call((torch.zeros(2, 3, 4, 4), torch.zeros(2)), kwargs), TEXT)
