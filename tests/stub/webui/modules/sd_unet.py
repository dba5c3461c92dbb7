"""Replacements of the UNet (TensorRT)."""

from typing import Any

current_unet: Any = None
