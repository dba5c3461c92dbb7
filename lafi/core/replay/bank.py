"""The bank: recorded evaluations of the reference stream, kept for later pictures.

With fixed noise the reference stream does the same work in every picture of a series. A recording
is found again only under everything that decides it (`Key`), so that a stale one cannot be used.
"""

from __future__ import annotations

import logging
from collections import Counter, OrderedDict
from collections.abc import Collection, Hashable, Iterator
from contextlib import contextmanager

import torch

from ..memory import free_bytes, out_of_memory
from ..tokens import SiteTokens, Tokens
from .key import Key
from .transfer import Prefetch, to_main_memory

log = logging.getLogger("LAFI")

MIB = 2**20
# Enough for about 20 evaluations of SDXL at 1024x1024 in half precision.
CPU_BUDGET = 2048 * MIB
GPU_SHARE, GPU_FREE = 0.3, 0.5
# What one run's keys and values may take of the budget, for the bank to choose them by itself:
# room for ten references. To record one of them anew costs forty times what they save.
PROJECTED_SHARE = 0.1


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
            small part of the budget. Not possible under a token mask.
    """

    def __init__(
        self,
        budget: int | None = None,
        place: str = "auto",
        projected: bool | None = None,
    ) -> None:
        self.budget, self.place, self.projected = budget, place, projected
        self._recordings: OrderedDict[Key, Tokens] = OrderedDict()
        self._held: Counter[str] = Counter()  # bytes by type of device
        self._prefetch = Prefetch()

    def __len__(self) -> int:
        return len(self._recordings)

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
        if recording is None or not all(site in recording for site in sites):
            return None
        self._recordings.move_to_end(key)
        with self._bearing_no_memory("bring back"):
            return self._prefetch.bring({site: recording[site] for site in sites}, device)
        return None

    def keep(self, key: Key, tokens: Tokens, count: int = 1) -> None:
        """Stores a recording; adds to the sites that are there already.

        Never fails a picture: without memory the recording is simply not kept.

        Args:
            count: how many recordings of this size the run is going to make.
        """
        device = _device(tokens)
        present = self._take(key)
        place = _device(present) if present else self._place(device)
        budget = self._budget(place)
        wanted = self._wanted(tokens, budget / count)
        if not self._make_room(_size(present | wanted), budget, key.series, place):
            self._put(key, present)
            return
        with self._bearing_no_memory("keep"):
            kept = {site: _stored(each, place) for site, each in wanted.items()}
            self._put(key, present | kept)

    def clear(self) -> None:
        """Frees everything."""
        self._recordings.clear()
        self._held.clear()

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

    def _put(self, key: Key, recording: Tokens) -> None:
        if recording:
            self._recordings[key] = recording
            self._held[_device(recording).type] += _size(recording)

    def _take(self, key: Key) -> Tokens:
        recording = self._recordings.pop(key, {})
        if recording:
            self._held[_device(recording).type] -= _size(recording)
        return recording

    def _make_room(self, size: int, budget: int, series: Hashable, place: torch.device) -> bool:
        """Drops recordings of other series in a place until `size` bytes fit; whether they do."""
        if self._held[place.type] + size <= budget:
            return True
        there = {
            key: _size(each)
            for key, each in self._recordings.items()
            if _device(each).type == place.type
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
        if self.projected is not False and all(each.outputs for each in tokens.values()):
            projected = {site: SiteTokens(outputs=each.outputs) for site, each in tokens.items()}
            if self.projected or _size(projected) <= budget * PROJECTED_SHARE:
                return projected
        return {site: SiteTokens(inputs=each.inputs) for site, each in tokens.items()}

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
        return CPU_BUDGET
    return max(int((free_bytes(device) + held) * GPU_SHARE), CPU_BUDGET)


def _size(recording: Tokens) -> int:
    return sum(each.nbytes() for each in recording.values())


def _device(tokens: Tokens) -> torch.device:
    return next(next(iter(tokens.values())).tensors()).device


def _stored(tokens: SiteTokens, place: torch.device) -> SiteTokens:
    # A clone, since a view would keep the whole activation that it was cut from.
    return tokens.mapped(lambda t: t.clone() if t.device.type == place.type else to_main_memory(t))
