"""The part of FastAPI that LAFI uses: routes are kept, and called by the tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class HTTPException(Exception):  # noqa: N818 (FastAPI's name)
    """An answer with an error's status."""

    def __init__(self, status_code: int, detail: Any = None, headers: Any = None) -> None:
        super().__init__(status_code, detail)
        self.status_code, self.detail, self.headers = status_code, detail, headers


class FastAPI:
    """An application: `routes` by (method, path)."""

    def __init__(self) -> None:
        self.routes: dict[tuple[str, str], Callable[..., Any]] = {}
        self.options: dict[tuple[str, str], dict[str, Any]] = {}

    def add_api_route(
        self, path: str, endpoint: Callable[..., Any], *, methods: list[str], **options: Any
    ) -> None:
        """Keeps a route."""
        for method in methods:
            self.routes[method, path] = endpoint
            self.options[method, path] = options


def Body(default: Any = ..., **limits: Any) -> Any:  # noqa: N802 (FastAPI's name)
    """The default; FastAPI itself reads the limits."""
    return default


def Query(default: Any = ..., **limits: Any) -> Any:  # noqa: N802 (FastAPI's name)
    """The default; FastAPI itself reads the limits."""
    return default


def Depends(dependency: Callable[..., Any] | None = None) -> Any:  # noqa: N802 (FastAPI's name)
    """The dependency itself."""
    return dependency
