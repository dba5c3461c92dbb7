"""What the settings ask for and the request beside them has not."""

from __future__ import annotations

from typing import Any

from ..errors import invalid
from ..settings import LafiSettings


def check(settings: LafiSettings, p: Any) -> None:
    """Looks at the host's request. Not for a picture within a picture: that has one pass and no
    batch, whatever the outer one has.

    Raises:
        LafiError: naming the field.
    """
    if settings.anchor == "batch" and p.batch_size * p.n_iter < 2:
        raise invalid("anchor", "needs at least two pictures; raise the batch size")
    if settings.passes == "hires" and not getattr(p, "enable_hr", False):
        raise invalid("passes", "is hires, but hires fix is off, so nothing would be injected")
