"""The bank: recorded evaluations of the reference stream, kept for later pictures.

With fixed noise the reference stream does the same work in every picture of a series. A recording
is found again only under everything that decides it (`Key`), so that a stale one cannot be used.
"""

from __future__ import annotations

import logging
from collections import Counter, OrderedDict
from collections.abc import Collection, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch

from ..memory import free_bytes, machine_bytes, out_of_memory
from ..tokens import Tokens
from .key import Key
from .transfer import Prefetch, free_pinned, stored, stored_bytes

log = logging.getLogger("LAFI")

MIB = 2**20
# Enough for about 20 evaluations of SDXL at 1024x1024 in half precision; less on a small machine.
CPU_BUDGET, MACHINE_SHARE = 2048 * MIB, 1 / 8
GPU_SHARE, GPU_FREE = 0.3, 0.5
# What one run's keys and values may take of the budget, for the bank to choose them by itself:
# room for ten references. To record one of them anew costs forty times what they save.
PROJECTED_SHARE = 0.1


@dataclass(frozen=True)
class _Kept:
    """A recording, where it lies, and the bytes that it really takes there."""

    tokens: Tokens
    place: torch.device
    nbytes: int


class Bank:
    """Recordings by key, within a budget.

    When it is full, the least recently used recordings of other series go first (a series is a
    key without its noise level). A run whose own series does not fit keeps what it has: to drop its
    first evaluation for its last would leave nothing to replay in the next run.

    Args:
        budget: bytes; 0 keeps nothing, None what adapts to the machine.
        place: ``gpu`` keeps recordings where they were made, ``cpu`` in pinned main memory,
            ``auto`` on the GPU while half of it is free: decoding a picture needs room there too.
        projected: keep keys and values rather than the tokens that they are projected from: twice
            the memory, a little less work in each replay. None: where a whole run of them is a
            small part of the budget.
    """

    def __init__(
        self,
        budget: int | None = None,
        place: str = "auto",
        projected: bool | None = None,
    ) -> None:
        self.budget, self.place, self.projected = budget, place, projected
        self._recordings: OrderedDict[Key, _Kept] = OrderedDict()
        self._held: Counter[str] = Counter()  # bytes by type of device
        self._prefetch = Prefetch()

    def __len__(self) -> int:
        return len(self._recordings)

    def __contains__(self, key: Key) -> bool:
        return key in self._recordings

    @property
    def nbytes(self) -> int:
        """Bytes held, wherever they are."""
        return self._held.total()

    def find(self, key: Key, sites: Collection[str], device: torch.device) -> Tokens | None:
        """The recording under `key`, on `device` or on its way there, if it has all of `sites`.

        The key names the device that it was made on, so that nothing else reads what may still be
        on its way to main memory.
        """
        recording = self._recordings.get(key)
        if recording is None or not all(site in recording.tokens for site in sites):
            return None
        self._recordings.move_to_end(key)
        with self._bearing_no_memory("bring back"):
            return self._prefetch.bring({site: recording.tokens[site] for site in sites}, device)
        return None

    def keep(self, key: Key, tokens: Tokens, count: int = 1) -> bool:
        """Stores a recording; adds to the sites that are there already. Whether it is kept.

        Never fails a picture: without memory the recording is simply not kept.

        Args:
            count: how many recordings of this size the run is going to make.
        """
        if not tokens:
            return False
        present = self._take(key)
        place = present.place if present else self._place(_device(tokens))
        budget = self._budget(place)
        wanted = self._wanted(tokens, budget / count)
        if present:
            wanted = {site: each for site, each in wanted.items() if site not in present.tokens}
        size = stored_bytes(wanted, place) + (present.nbytes if present else 0)
        if not wanted or not self._make_room(size, budget, key.series, place):
            self._put(key, present)
            return present is not None and not wanted
        with self._bearing_no_memory("keep"):
            kept = stored(wanted, place)
            self._put(key, _Kept(kept | present.tokens if present else kept, place, size))
        return key in self._recordings

    def clear(self) -> None:
        """Frees everything."""
        self._recordings.clear()
        self._held.clear()
        free_pinned()

    @contextmanager
    def _bearing_no_memory(self, task: str) -> Iterator[None]:
        """Without memory for a task the bank is emptied, and the picture is made without it."""
        try:
            yield
        except RuntimeError as error:
            if not out_of_memory(error):
                raise
            log.warning("no memory to %s the reference's recordings; the bank is emptied.", task)
            self.clear()

    def _put(self, key: Key, recording: _Kept | None) -> None:
        if recording:
            self._recordings[key] = recording
            self._held[recording.place.type] += recording.nbytes

    def _take(self, key: Key) -> _Kept | None:
        recording = self._recordings.pop(key, None)
        if recording:
            self._held[recording.place.type] -= recording.nbytes
        return recording

    def _make_room(self, size: int, budget: int, series: Hashable, place: torch.device) -> bool:
        """Drops recordings of other series in a place until `size` bytes fit; whether they do."""
        if self._held[place.type] + size <= budget:
            return True
        there = {
            key: each.nbytes
            for key, each in self._recordings.items()
            if each.place.type == place.type
        }
        others = [key for key in there if key.series != series]
        needless = self._held[place.type] + size - sum(there[key] for key in others)
        if needless > budget:  # it never fits
            return False
        while self._held[place.type] + size > budget:
            self._take(others.pop(0))
        return True

    def _wanted(self, tokens: Tokens, budget: float) -> Tokens:
        """The form to keep; `budget`: bytes for each recording of the run."""
        projected = {site: replace(each, inputs={}) for site, each in tokens.items()}
        if not any(each.inputs for each in tokens.values()):  # a transformer's have no other form
            return projected
        whole = self.projected is not False and all(each.outputs for each in tokens.values())
        if whole and (self.projected or _size(projected) <= budget * PROJECTED_SHARE):
            return projected
        return {site: replace(each, outputs={}) for site, each in tokens.items()}

    def _budget(self, place: torch.device) -> int:
        return default_budget(place, self._held["cuda"]) if self.budget is None else self.budget

    def _place(self, device: torch.device) -> torch.device:
        """Where a recording made on `device` goes."""
        if device.type != "cuda" or self.place == "gpu":
            return device
        _, total = torch.cuda.mem_get_info(device)
        if self.place == "auto" and free_bytes(device) >= total * GPU_FREE:
            return device
        return torch.device("cpu")


def default_budget(device: torch.device, held: int) -> int:
    """Bytes that a bank on `device` may hold, of which it holds `held`: adapts to the machine."""
    if device.type != "cuda":
        machine = machine_bytes()
        return min(CPU_BUDGET, int(machine * MACHINE_SHARE)) if machine else CPU_BUDGET
    return max(int((free_bytes(device) + held) * GPU_SHARE), CPU_BUDGET)


def _size(recording: Tokens) -> int:
    return sum(each.nbytes() for each in recording.values())


def _device(tokens: Tokens) -> torch.device:
    return next(next(iter(tokens.values())).tensors()).device
