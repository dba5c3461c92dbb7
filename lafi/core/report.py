"""What really happened in a run: counts, names, seconds. The source of `last-run` and the log."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch

from .tokens import Tokens, nbytes


class Stopwatch:
    """Seconds spent on a device, without making it wait: on CUDA the events are read at the end."""

    def __init__(self) -> None:
        self._seconds = 0.0
        self._events: list[tuple[Any, Any]] = []

    @contextmanager
    def running(self, device: torch.device) -> Iterator[None]:
        """Counts the time inside."""
        if device.type == "cuda":
            begin: Any = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
            end: Any = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
            begin.record()
            yield
            end.record()
            self._events.append((begin, end))
        else:
            begun = time.perf_counter()
            yield
            self._seconds += time.perf_counter() - begun

    def seconds(self) -> float:
        """All the time counted so far."""
        for begin, end in self._events:
            end.synchronize()
            self._seconds += begin.elapsed_time(end) / 1000
        self._events.clear()
        return self._seconds


@dataclass
class ReferenceReport:
    """What one reference did in a pass; see `PassReport`."""

    name: str
    recorded: int = 0
    fused: int = 0
    replayed: int = 0
    reused: int = 0
    bytes: int = 0
    """Size of its largest recording."""


@dataclass
class PassReport:
    """One pass. An evaluation is skipped (outside the window) or injected, with tokens of each
    reference that were recorded, replayed from the bank or reused from the evaluation before."""

    name: str
    sites: list[str] = field(default_factory=list)
    evaluations: int = 0
    recorded: int = 0
    fused: int = 0
    """How many of the recordings were a row of the picture's own batch."""
    replayed: int = 0
    reused: int = 0
    injected: int = 0
    anchored: int = 0
    """In how many evaluations the batch's first picture has left its tokens for the others."""
    skipped: int = 0
    switched: int = 0
    """How often injection went on or off; 2 for a window that ends inside the run."""
    reference_seconds: float = 0.0
    reference_bytes: int = 0
    """Size of each reference's largest recording, together."""
    peak_bytes: int = 0
    """Memory that the reference stream added at its worst, as far as that was a new peak of the
    process; else, and on a CPU, what it holds."""
    references: list[ReferenceReport] = field(default_factory=list)
    """Each one by itself; what is recorded, fused, replayed and reused here is of all together."""

    def count(self, reference: ReferenceReport, what: str) -> None:
        """One more of a reference."""
        for each in (self, reference):
            setattr(each, what, getattr(each, what) + 1)

    def hold(self, recordings: Iterable[Tokens]) -> None:
        """Takes note of what is held at a time."""
        self.reference_bytes = sum(each.bytes for each in self.references)
        self.peak_bytes = max(self.peak_bytes, sum(map(nbytes, recordings)))
