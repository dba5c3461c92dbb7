"""The loaded checkpoint."""

from __future__ import annotations

from typing import Any


class SdModelData:
    """Holds it."""

    def __init__(self) -> None:
        self.sd_model: Any = None


model_data = SdModelData()
