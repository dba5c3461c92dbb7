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


def to_main_memory(tensor: Tensor) -> Tensor:
    """A copy in pinned memory, on its way on the tensor's current stream: only that stream, or one
    that waits for it, may read it."""
    try:
        pinned = torch.empty_like(tensor, device="cpu", pin_memory=True)
    except RuntimeError:  # systems limit pinned memory; ordinary memory serves, a little slower
        return tensor.cpu()
    return pinned.copy_(tensor, non_blocking=True)
