"""What the page is told while the reference's own path is computed, which takes long by itself."""

from __future__ import annotations

from modules import shared
from modules.sd_samplers_common import InterruptedException

TOLD = "LAFI: the reference's path"


def show_progress(done: int, total: int) -> None:
    """Tells of a reference stream that takes long by itself, and ends it when the user wants.

    Raises:
        InterruptedException: as the host ends a pass.
    """
    state = shared.state
    stopped = state.interrupted or state.skipped
    over = stopped or done == total
    state.textinfo = None if over else f"{TOLD}, {done} of {total}"
    if stopped:
        raise InterruptedException


def hide_progress() -> None:
    """Takes back what a path told that did not come to its end."""
    if (shared.state.textinfo or "").startswith(TOLD):
        shared.state.textinfo = None
