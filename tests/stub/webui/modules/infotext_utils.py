"""Pictures on their way between pages."""

from __future__ import annotations

import base64
import io
from typing import Any

from PIL import Image


def image_from_url_text(filedata: str | None) -> Any:
    """A picture from a data URL."""
    if filedata is None:
        return None
    data = base64.decodebytes(filedata.removeprefix("data:image/png;base64,").encode())
    return Image.open(io.BytesIO(data))
