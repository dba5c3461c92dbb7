"""Copies to a GPU run beside its work, and are waited for just before they are used.

A simulation stands in for the GPU: what a stream is told happens late, as late as the streams allow
each other, and what has not arrived is garbage. The real thing is in `tests/host/test_gpu.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch

from lafi.core.replay import transfer
from lafi.core.replay.bank import Bank
from lafi.core.replay.key import Key
from lafi.core.replay.transfer import Prefetch
from lafi.core.tokens import SiteTokens

CPU, CUDA = torch.device("cpu"), torch.device("cuda", 0)
GARBAGE = -1


class Stream:
    """Does what it was told in order, when somebody waits for it."""

    def __init__(self, device: torch.device = CUDA) -> None:
        self.told: list[Callable[[], None]] = []
        self.done = 0

    def run(self, end: int | None = None) -> None:
        """Up to a place in its order, or all."""
        while self.done < (len(self.told) if end is None else end):
            self.done += 1
            self.told[self.done - 1]()

    def record_event(self) -> tuple[Stream, int]:
        return self, len(self.told)

    def wait_event(self, event: tuple[Stream, int]) -> None:
        stream, end = event
        self.told.append(lambda: stream.run(end))

    def wait_stream(self, other: Stream) -> None:
        self.wait_event(other.record_event())


class Gpu:
    """Its streams, in the place of `torch.cuda`."""

    def __init__(self) -> None:
        self.computing = self._current = Stream()
        self.copying = self.computing  # until there is one

    def Stream(self, device: torch.device) -> Stream:  # noqa: N802
        self.copying = Stream(device)
        return self.copying

    def current_stream(self, device: torch.device | None = None) -> Stream:
        return self._current

    @contextmanager
    def stream(self, stream: Stream) -> Iterator[None]:
        before, self._current = self._current, stream
        yield
        self._current = before

    def read(self, tokens: SiteTokens) -> list[int]:
        """What the UNet will have seen of a site's keys and values, after `run`."""
        seen: list[int] = []
        for each in tokens.tensors():
            self.computing.told.append(lambda each=each: seen.append(each.value))  # type: ignore[misc]
        return seen

    def run(self, eager: bool) -> None:
        """Everything; `eager`: copies as early as they may."""
        for stream in (self.copying, self.computing) if eager else (self.computing, self.copying):
            stream.run()


class Numbers:
    """A tensor, as far as copies are concerned: one number for all of its values."""

    def __init__(self, gpu: Gpu, device: torch.device, value: int = GARBAGE) -> None:
        self.gpu, self.device, self.value = gpu, device, value

    def to(self, device: torch.device, non_blocking: bool = False) -> Numbers:
        if device == self.device:
            return self
        copy = Numbers(self.gpu, device)
        copy.fill(lambda: self.value)
        if not non_blocking:
            self.gpu.current_stream().run()
        return copy

    def fill(self, value: Callable[[], int]) -> None:
        """Takes a value on the current stream."""
        self.gpu.current_stream().told.append(lambda: setattr(self, "value", value()))

    def record_stream(self, stream: Stream) -> None:
        """Keeps the memory; the simulation never gives any back."""


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Gpu:
    simulated = Gpu()
    monkeypatch.setattr(transfer, "cuda", simulated)
    return simulated


def recording(gpu: Gpu, device: torch.device = CPU) -> dict[str, Any]:
    """Two sites; the second has one tensor for both."""
    keys, values, shared = (Numbers(gpu, device, value) for value in (1, 2, 3))
    return {
        "first": SiteTokens(outputs={"keys": keys, "values": values}),  # type: ignore[dict-item]
        "second": SiteTokens(inputs={"keys": shared, "values": shared}),  # type: ignore[dict-item]
    }


@pytest.mark.parametrize("eager", [True, False])
def test_what_is_used_has_arrived(gpu: Gpu, eager: bool) -> None:
    prefetch = Prefetch()
    for _ in range(2):
        brought = prefetch.bring(recording(gpu), CUDA)
        assert {t.device for each in brought.values() for t in each.tensors()} == {CUDA}
        seen = []
        for site in ("second", "first", "second"):
            brought[site].receive()
            seen.append(gpu.read(brought[site]))
        gpu.run(eager)
        assert seen == [[3], [1, 2], [3]]


def test_what_is_not_waited_for_is_garbage(gpu: Gpu) -> None:
    """So that the test above can fail."""
    seen = gpu.read(Prefetch().bring(recording(gpu), CUDA)["first"])
    gpu.run(eager=False)
    assert seen == [GARBAGE, GARBAGE]


def test_the_work_waits_for_no_more_than_it_uses(gpu: Gpu) -> None:
    begun = gpu.read(SiteTokens(recording(gpu, CUDA)["first"].outputs))
    brought = Prefetch().bring(recording(gpu), CUDA)
    brought["first"].receive()
    gpu.computing.run()
    assert begun == [1, 2]
    assert [each.value for each in brought["first"].tensors()] == [1, 2]  # type: ignore[attr-defined]
    assert [each.value for each in brought["second"].tensors()] == [GARBAGE]  # type: ignore[attr-defined]


@pytest.mark.parametrize("eager", [True, False])
def test_what_is_still_on_its_way_to_main_memory_comes_back_whole(gpu: Gpu, eager: bool) -> None:
    """It was recorded a moment ago."""
    late = recording(gpu)
    for number, tensor in enumerate(late["first"].tensors()):
        tensor.value = GARBAGE
        tensor.fill(lambda number=number: 10 + number)
    brought = Prefetch().bring(late, CUDA)
    brought["first"].receive()
    seen = gpu.read(brought["first"])
    gpu.run(eager)
    assert seen == [10, 11]


def test_what_is_there_already_can_be_used_at_once(gpu: Gpu) -> None:
    brought = Prefetch().bring(recording(gpu, CUDA), CUDA)
    seen = [gpu.read(each) for each in brought.values()]
    gpu.run(eager=False)
    assert seen == [[1, 2], [3]]
    assert brought["second"].inputs["keys"] is brought["second"].inputs["values"]


@pytest.fixture
def from_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Recordings on the CPU stand for those on a GPU."""
    monkeypatch.setattr(transfer, "ASYNCHRONOUS", ("cpu",))


def blocks(tokens: dict[str, SiteTokens]) -> set[int]:
    """Addresses of the memory blocks that a recording lies in."""
    return {t.untyped_storage().data_ptr() for each in tokens.values() for t in each.tensors()}


def test_a_recording_in_main_memory_is_one_block(from_gpu: None) -> None:
    given = {
        "first": SiteTokens({"keys": torch.arange(21.0).half().view(1, 7, 3)}),
        "second": SiteTokens({}, {"keys": torch.ones(1, 2, 5), "values": torch.zeros(1, 2, 5)}),
    }
    kept = transfer.stored(given, CPU)
    assert len(blocks(kept)) == 1
    for site, each in given.items():
        for a, b in zip(each.tensors(), kept[site].tensors(), strict=True):
            assert torch.equal(a, b)
            assert a.dtype == b.dtype


@pytest.mark.parametrize(("numbers", "taken"), [(16, 64), (17, 128), (40, 256), (64, 256)])
def test_what_pinned_memory_really_takes_is_counted(
    from_gpu: None, numbers: int, taken: int
) -> None:
    given = {"site": SiteTokens({"keys": torch.zeros(1, numbers, 1)})}
    assert transfer.stored_bytes(given, CPU) == taken
    bank = Bank(taken, "cpu")
    bank.keep(Key("a", 1.0), given)
    assert bank.nbytes == taken
    smaller = Bank(taken - 1, "cpu")
    smaller.keep(Key("a", 1.0), given)
    assert len(smaller) == 0


def test_where_memory_cannot_be_pinned_ordinary_memory_serves(
    monkeypatch: pytest.MonkeyPatch, from_gpu: None
) -> None:
    empty = torch.empty

    def limited(*size: int, pin_memory: bool = False, **options: object) -> torch.Tensor:
        if pin_memory:
            raise RuntimeError("CUDA error: out of memory")
        return empty(*size, **options)  # type: ignore[call-overload, no-any-return]

    monkeypatch.setattr(torch, "empty", limited)
    given = {"site": SiteTokens({"keys": torch.arange(3.0)})}
    kept = transfer.stored(given, CPU)
    assert torch.equal(kept["site"].inputs["keys"], torch.arange(3.0))
