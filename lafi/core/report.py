"""What really happened in a run: counts, names, seconds. The source of `last-run` and the log."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
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
    injected: int = 0
    """In how many evaluations it was seen; in none, for one whose region holds no token."""
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


class Tally:
    """What injects in one evaluation: each counts once, however many layers and calls there are.

    Args:
        report: of the pass.
        sites: that may inject, in order.
    """

    def __init__(self, report: PassReport, sites: Sequence[str]) -> None:
        self._report, self._order = report, sites
        self._sites: set[str] = set()
        self._seen: dict[int, ReferenceReport] = {}
        self._counted: set[int] = set()

    def begin(self) -> None:
        """Another evaluation."""
        self.forget()
        self._counted.clear()

    def forget(self) -> None:
        """What was noted since the last count is none: trials inject, too."""
        self._sites.clear()
        self._seen.clear()

    def note(self, site: str, seen: Sequence[ReferenceReport | None]) -> None:
        """Queries of a site saw some references, or none."""
        if seen:
            self._sites.add(site)
        self._seen |= {id(each): each for each in seen if each is not None}

    def count(self) -> None:
        """Counts what was noted, for the pass and for each reference."""
        report, sites = self._report, self._sites
        injecting: list[PassReport | ReferenceReport] = [report, *self._seen.values()]
        for each in injecting if sites else ():
            each.injected += id(each) not in self._counted
            self._counted.add(id(each))
        if len(sites) > len(report.sites):
            report.sites = [name for name in self._order if name in sites]
