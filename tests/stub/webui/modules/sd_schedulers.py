"""The schedules of noise levels."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Scheduler:
    """One of them."""

    name: str
    label: str


schedulers = [Scheduler("automatic", "Automatic"), Scheduler("karras", "Karras")]
