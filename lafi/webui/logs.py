"""The logger named LAFI: one place for its level and format."""

from __future__ import annotations

import logging

from modules import shared


def set_up() -> None:
    """Makes the logger visible (hosts show warnings only) at the level of ``--lafi-loglevel``."""
    log = logging.getLogger("LAFI")
    log.setLevel(getattr(shared.cmd_opts, "lafi_loglevel", None) or logging.INFO)
    if not log.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(name)s: %(levelname)s: %(message)s"))
        log.addHandler(handler)
        # The host's root handler, where there is one, would print each line again.
        log.propagate = False
