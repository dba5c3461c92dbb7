"""What outlives the runs that made it: recordings, encoded references, measured times, reports."""

from __future__ import annotations

from modules import call_queue

from ..core.batching import Batching
from ..core.replay.bank import Bank
from ..core.replay.key import Replay
from ..hosts.base import Host
from . import options
from .latents import Latents
from .reports import Reports

bank = Bank()
latents = Latents()
batching = Batching()
reports = Reports()


def replay(host: Host) -> Replay | None:
    """Where a pass may keep its recordings and find older ones, as the user's settings say."""
    bank.budget, bank.place = options.bank_bytes(), options.value(options.BANK_PLACE)
    bank.projected = options.PROJECTED.get(options.value(options.BANK_FORM))
    if not options.value(options.REPLAY):
        bank.clear()
        return None
    return Replay(bank, host.identity())


def own_bank() -> Bank:
    """Room for what a panel leaves while it is made, as the user's settings say."""
    return Bank(options.bank_bytes(), options.value(options.BANK_PLACE), projected=False)


def fused() -> bool | Batching:
    """Whether the reference is a row of the picture's own batch, as the user's settings say."""
    chosen = options.value(options.BATCHING)
    return batching if chosen == options.AUTO else chosen == options.ONE_BATCH


def tidy() -> None:
    """Keeps nothing after a run if the user wants it so."""
    if not options.value(options.REPLAY):
        clear()


def clear() -> None:
    """Forgets recordings and encoded references."""
    bank.clear()
    latents.clear()


def forget() -> int:
    """Does so between two pictures; the bytes that they held."""
    with call_queue.queue_lock:
        freed = bank.nbytes + latents.nbytes
        clear()
    return freed
