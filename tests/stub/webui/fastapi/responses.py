"""Answers with a status."""

from __future__ import annotations

from typing import Any


class JSONResponse:
    """An answer in JSON."""

    def __init__(self, content: Any, status_code: int = 200) -> None:
        self.content, self.status_code = content, status_code
