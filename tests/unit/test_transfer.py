"""Copies to a GPU run beside its work, and are waited for just before they are used.

A `meta` device stands in for the GPU and a list of calls for its streams; the real thing is in
`tests/host/test_gpu.py`.
"""

from __future__ import annotations

from contextlib import contextmanager
from types import SimpleNamespace

import pytest
import torch

from lafi.core.replay import transfer
from lafi.core.replay.bank import Bank
from lafi.core.replay.key import Key
from lafi.core.replay.transfer import Prefetch
from lafi.core.tokens import SiteTokens

CPU, META = torch.device("cpu"), torch.device("meta")


class Stream:
    """Writes down what it is told."""

    def __init__(self, name: str, log: list[tuple]) -> None:
        self.name, self.log, self.events = name, log, 0

    def wait_stream(self, other: Stream) -> None:
        self.log.append((self.name, "waits for", other.name))

    def record_event(self) -> int:
        self.events += 1
        return self.events

    def wait_event(self, event: int) -> None:
        self.log.append((self.name, "waits for copy", event))


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> list[tuple]:
    """What the streams were told, in order."""
    calls: list[tuple] = []
    computing = Stream("computing", calls)

    @contextmanager
    def on(stream: Stream):
        calls.append((stream.name, "begins"))
        yield
        calls.append((stream.name, "ends"))

    def made(device: torch.device) -> Stream:
        calls.append(("copying", "is made"))
        return Stream("copying", calls)

    fake = SimpleNamespace(Stream=made, current_stream=lambda device: computing, stream=on)
    monkeypatch.setattr(transfer, "cuda", fake)
    monkeypatch.setattr(transfer, "ASYNCHRONOUS", ("meta",))
    monkeypatch.setattr(
        torch.Tensor,
        "record_stream",
        lambda tensor, stream: calls.append((stream.name, "uses", tensor.shape[0])),
        raising=False,
    )
    return calls


def recording() -> dict[str, SiteTokens]:
    """Two sites, told apart by the first size of their tensors; the first has two."""
    shared = torch.zeros(3)
    return {
        "first": SiteTokens(outputs={"keys": torch.zeros(1), "values": torch.zeros(2)}),
        "second": SiteTokens(inputs={"keys": shared, "values": shared}),
    }


def test_copies_run_beside_the_work_and_each_site_waits_for_its_own(log: list[tuple]) -> None:
    prefetch = Prefetch()
    brought = prefetch.bring(recording(), META)
    assert {t.device for each in brought.values() for t in each.tensors()} == {META}
    # Nothing of the computing stream waits yet.
    assert log == [
        ("copying", "is made"),
        ("copying", "waits for", "computing"),
        ("copying", "begins"),
        ("copying", "ends"),
    ]
    log.clear()
    brought["second"].receive()
    assert log == [("computing", "waits for copy", 2), ("computing", "uses", 3)]
    log.clear()
    brought["first"].receive()
    assert log == [
        ("computing", "waits for copy", 1),
        ("computing", "uses", 1),
        ("computing", "uses", 2),
    ]
    log.clear()
    brought["first"].receive()  # once is enough
    assert log == []
    prefetch.bring(recording(), META)
    assert ("copying", "is made") not in log


def test_what_is_there_already_needs_no_stream(log: list[tuple]) -> None:
    there = {site: each.mapped(lambda t: t.to(META)) for site, each in recording().items()}
    for tokens, device in ((there, META), (recording(), CPU)):
        brought = Prefetch().bring(tokens, device)
        assert all(each.arrival is None for each in brought.values())
        assert [list(each.inputs) for each in brought.values()] == [[], ["keys", "values"]]
    assert log == []


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
