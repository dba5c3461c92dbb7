"""The bank: recorded evaluations of the reference stream, kept for later pictures.

With fixed noise the reference stream does the same work in every picture of a series. A recording
is found again only under everything that decides it (`Key`), so that a stale one cannot be used.
"""

from __future__ import annotations

import hashlib
import logging
from collections import OrderedDict
from collections.abc import Callable, Collection, Hashable

import torch
from torch import Tensor

from .injection import SiteTokens

log = logging.getLogger("LAFI")
Key = tuple[Hashable, ...]
Tokens = dict[str, SiteTokens]

MIB = 2**20
# Enough for about 20 evaluations of SDXL at 1024x1024 in half precision.
CPU_BUDGET = 2048 * MIB
GPU_SHARE, GPU_FREE = 0.3, 0.5


class Bank:
    """Recordings by key. Within the budget; the least recently used ones go first.

    Args:
        budget: bytes, or a function of the tokens' device that says how many; 0 keeps nothing.
        place: ``gpu`` keeps recordings where they were made, ``cpu`` in pinned main memory,
            ``auto`` on the GPU while half of it is free: decoding a picture needs room there too.
    """

    def __init__(
        self, budget: int | Callable[[torch.device], int] | None = None, place: str = "auto"
    ) -> None:
        self.budget, self.place = budget, place
        self.nbytes = 0
        self._recordings: OrderedDict[Key, Tokens] = OrderedDict()

    def __len__(self) -> int:
        return len(self._recordings)

    def find(self, key: Key, sites: Collection[str], device: torch.device) -> Tokens | None:
        """The recording under `key`, on `device`, if it has all of `sites`."""
        recording = self._recordings.get(key)
        if recording is None or not all(site in recording for site in sites):
            return None
        self._recordings.move_to_end(key)
        return {site: _moved(recording[site], device) for site in sites}

    def keep(self, key: Key, tokens: Tokens) -> None:
        """Stores the inputs of a recording; adds to the sites that are there already.

        Never fails a picture: without memory the recording is simply not kept.
        """
        size = sum(_inputs(each).nbytes() for each in tokens.values())
        device = _device(tokens)
        budget = self._budget(device)
        if size > budget:
            return
        present = self._recordings.pop(key, {})
        self.nbytes -= _size(present)
        while self._recordings and self.nbytes + _size(present) + size > budget:
            self._evict()
        try:
            kept = {site: _stored(each, self._goes_to_cpu(device)) for site, each in tokens.items()}
        except torch.cuda.OutOfMemoryError:
            log.warning("no memory to keep the reference's recordings; the bank is emptied.")
            self.clear()
            return
        recording = present | kept
        self._recordings[key] = recording
        self.nbytes += _size(recording)

    def clear(self) -> None:
        """Frees everything."""
        self._recordings.clear()
        self.nbytes = 0

    def _evict(self) -> None:
        _, recording = self._recordings.popitem(last=False)
        self.nbytes -= _size(recording)

    def _budget(self, device: torch.device) -> int:
        if callable(self.budget):
            return self.budget(device)
        return default_budget(device) if self.budget is None else self.budget

    def _goes_to_cpu(self, device: torch.device) -> bool:
        if device.type != "cuda" or self.place == "gpu":
            return False
        if self.place == "cpu":
            return True
        free, total = torch.cuda.mem_get_info(device)
        return free < total * GPU_FREE


def default_budget(device: torch.device) -> int:
    """Bytes that a bank may hold: what adapts to the machine."""
    if device.type != "cuda":
        return CPU_BUDGET
    free, _ = torch.cuda.mem_get_info(device)
    return max(int(free * GPU_SHARE), CPU_BUDGET)


def digest(*tensors: Tensor | None) -> str:
    """A short hash of tensors' values, types and shapes."""
    sha = hashlib.sha256()
    for each in tensors:
        if each is not None:
            values = each.detach().to("cpu", torch.float32).contiguous()
            sha.update(f"{each.dtype}{tuple(each.shape)}".encode() + values.numpy().tobytes())
        sha.update(b"|")
    return sha.hexdigest()[:24]


def _inputs(tokens: SiteTokens) -> SiteTokens:
    return SiteTokens(inputs=tokens.inputs)


def _size(recording: Tokens) -> int:
    return sum(each.nbytes() for each in recording.values())


def _device(tokens: Tokens) -> torch.device:
    return next(iter(next(iter(tokens.values())).inputs.values())).device


def _stored(tokens: SiteTokens, to_cpu: bool) -> SiteTokens:
    # A clone, since a view would keep the whole activation that it was cut from.
    copies = {id(t): t.cpu().pin_memory() if to_cpu else t.clone() for t in tokens.inputs.values()}
    return SiteTokens(inputs={which: copies[id(t)] for which, t in tokens.inputs.items()})


def _moved(tokens: SiteTokens, device: torch.device) -> SiteTokens:
    moved = {id(t): t.to(device, non_blocking=True) for t in tokens.inputs.values()}
    return SiteTokens(inputs={which: moved[id(t)] for which, t in tokens.inputs.items()})
