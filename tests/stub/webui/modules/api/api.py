"""The API's own decoder of pictures."""

from __future__ import annotations

import base64
from io import BytesIO
from typing import Any

from fastapi import HTTPException
from PIL import Image

from .. import shared


def decode_base64_to_image(encoding: str) -> Any:
    """A picture from base64 or a data URL; the stub never fetches one."""
    if encoding.startswith(("http://", "https://")):
        if not shared.opts.api_enable_requests:
            raise HTTPException(status_code=500, detail="Requests not allowed")
        raise AssertionError("a picture was to be fetched")
    if encoding.startswith("data:image/"):
        encoding = encoding.split(";")[1].split(",")[1]
    try:
        return Image.open(BytesIO(base64.b64decode(encoding)))
    except Exception as error:
        raise HTTPException(status_code=500, detail="Invalid encoded image") from error
