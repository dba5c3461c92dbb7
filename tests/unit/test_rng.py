"""Others' code draws from a seed, and every global generator is as it was."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
import torch

from lafi.core.rng import seeded

CPU = torch.device("cpu")


class Generators:
    """CUDA's default generators, as torch.cuda reaches them."""

    def __init__(self) -> None:
        self.states = {0: 11, 1: 22}
        self.current = 0

    def index(self, device: object) -> int:
        found = torch.device(device).index if device is not None else None  # type: ignore[call-overload]
        return self.current if found is None else found

    def get_rng_state(self, device: object = None) -> int:
        return self.states[self.index(device)]

    def set_rng_state(self, state: int, device: object = None) -> None:
        self.states[self.index(device)] = state

    def manual_seed(self, seed: int) -> None:
        self.states[self.current] = seed

    def manual_seed_all(self, seed: int) -> None:
        self.states = dict.fromkeys(self.states, seed)

    @contextlib.contextmanager
    def device(self, device: object) -> Iterator[None]:
        before, self.current = self.current, self.index(device)
        yield
        self.current = before


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> Generators:
    generators = Generators()
    names = ("get_rng_state", "set_rng_state", "manual_seed", "manual_seed_all", "device")
    for name in names:
        monkeypatch.setattr(torch.cuda, name, getattr(generators, name))
    return generators


def test_the_same_numbers_as_from_the_seed_and_the_state_is_back() -> None:
    before = torch.get_rng_state()
    with seeded(CPU, 5):
        found = torch.randn(3)
    assert torch.equal(found, torch.randn(3, generator=torch.Generator().manual_seed(5)))
    assert torch.equal(torch.get_rng_state(), before)


def test_also_after_an_error() -> None:
    before = torch.get_rng_state()
    with pytest.raises(RuntimeError), seeded(CPU):
        torch.randn(3) @ torch.randn(2)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("device", ["cpu", "cuda", "cuda:0", "cuda:1"])
def test_no_generator_of_any_device_is_left_changed(cuda: Generators, device: str) -> None:
    used = {"cuda": 0, "cuda:0": 0, "cuda:1": 1}.get(device)
    with seeded(torch.device(device), 7):
        expected = {0: 11, 1: 22} | ({} if used is None else {used: 7})
        assert cuda.states == expected  # only the device in use draws from the seed
        cuda.states = {name: state + 1 for name, state in cuda.states.items() if name == used} | {
            name: state for name, state in cuda.states.items() if name != used
        }
    assert cuda.states == {0: 11, 1: 22}
    assert cuda.current == 0


def test_a_device_with_one_generator(monkeypatch: pytest.MonkeyPatch) -> None:
    states = [3]
    fake = SimpleNamespace(
        get_rng_state=lambda: states[0],
        set_rng_state=lambda state: states.__setitem__(0, state),
        manual_seed=lambda seed: states.__setitem__(0, seed),
    )
    monkeypatch.setattr(torch, "mps", fake)
    with seeded(torch.device("mps"), 9):
        assert states == [9]
    assert states == [3]


def test_a_device_without_a_generator_draws_on_the_cpu() -> None:
    with seeded(torch.device("meta")):
        pass
