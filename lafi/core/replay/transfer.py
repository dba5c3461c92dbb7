"""Recordings on their way between a CUDA device and main memory, beside the UNet's own work."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, cuda

from ..tokens import SiteTokens, Tokens

# Where copies can run beside the work that is queued already.
ASYNCHRONOUS = ("cuda",)


class Prefetch:
    """Brings recordings to where they are used.

    Copies from pinned memory run on a stream of their own, site by site in the given order. They
    begin with the evaluation, so that a decoder's tokens arrive while the encoder computes; each
    site waits for its own alone.
    """

    def __init__(self) -> None:
        self._streams: dict[torch.device, cuda.Stream] = {}

    def bring(self, tokens: Tokens, device: torch.device) -> Tokens:
        """The tokens on `device`, or on the way there."""
        sources = {t.device for each in tokens.values() for t in each.tensors()}
        if device.type not in ASYNCHRONOUS or sources == {device}:
            return {site: each.mapped(lambda t: t.to(device)) for site, each in tokens.items()}
        if device not in self._streams:
            self._streams[device] = cuda.Stream(device)  # type: ignore[no-untyped-call]
        stream = self._streams[device]
        # What was recorded a moment ago may still be on its way to main memory.
        stream.wait_stream(cuda.current_stream(device))
        with cuda.stream(stream):
            return {site: _sent(each, device, stream) for site, each in tokens.items()}


def _sent(tokens: SiteTokens, device: torch.device, stream: cuda.Stream) -> SiteTokens:
    moved = tokens.mapped(lambda t: t.to(device, non_blocking=True))
    moved.arrival = partial(_receive, list(moved.tensors()), device, stream.record_event())
    return moved


def _receive(tensors: list[Tensor], device: torch.device, event: cuda.Event) -> None:
    computing = cuda.current_stream(device)
    computing.wait_event(event)
    for each in tensors:  # their memory came from the other stream, and may go back only after this
        each.record_stream(computing)


def stored(tokens: Tokens, place: torch.device) -> Tokens:
    """Copies to keep in a place: as they are, or, from a GPU in main memory, in one pinned block.

    Such copies are on their way on the current stream: only that stream, or one that waits for it,
    may read them.
    """
    if not _packs(tokens, place):
        # A clone, since a view would keep the whole activation that it was cut from.
        return {site: each.mapped(lambda t: t.clone()) for site, each in tokens.items()}
    block = _block(_packed_bytes(tokens))
    end = 0

    def put(tensor: Tensor) -> Tensor:
        nonlocal end
        size = tensor.numel() * tensor.element_size()
        part = block[end : end + size].view(tensor.dtype).view(tensor.shape)
        end += _aligned(size)
        return part.copy_(tensor, non_blocking=True)

    return {site: each.mapped(put) for site, each in tokens.items()}


def stored_bytes(tokens: Tokens, place: torch.device) -> int:
    """What `stored` takes there."""
    if not _packs(tokens, place):
        return sum(each.nbytes() for each in tokens.values())
    # PyTorch rounds a pinned block up to a power of two.
    return 1 << (_packed_bytes(tokens) - 1).bit_length()


def free_pinned() -> None:
    """Gives blocks of pinned memory that nobody uses back to the system, where PyTorch can."""
    empty = getattr(torch._C, "_host_emptyCache", None)
    if empty is not None and cuda.is_available():
        empty()


def _packs(tokens: Tokens, place: torch.device) -> bool:
    return place.type == "cpu" and any(
        each.device.type in ASYNCHRONOUS for site in tokens.values() for each in site.tensors()
    )


def _packed_bytes(tokens: Tokens) -> int:
    return sum(
        _aligned(each.numel() * each.element_size())
        for site in tokens.values()
        for each in site.tensors()
    )


def _aligned(size: int) -> int:
    return -(-size // 64) * 64


def _block(size: int) -> Tensor:
    try:
        return torch.empty(size, dtype=torch.uint8, pin_memory=True)
    except RuntimeError:  # systems limit pinned memory; ordinary memory serves, a little slower
        return torch.empty(size, dtype=torch.uint8)
