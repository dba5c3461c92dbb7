"""The part of FastAPI that LAFI uses: routes are kept, and called by the tests."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any


class HTTPException(Exception):  # noqa: N818 (FastAPI's name)
    """An answer with an error's status."""

    def __init__(self, status_code: int, detail: Any = None, headers: Any = None) -> None:
        super().__init__(status_code, detail)
        self.status_code, self.detail, self.headers = status_code, detail, headers


@dataclass(frozen=True)
class Route:
    """One route, as FastAPI lists it."""

    path: str
    endpoint: Callable[..., Any]
    methods: list[str]
    dependencies: list[Any]
    response_model: Any = None


class FastAPI:
    """An application: its routes, in the order in which they were added."""

    def __init__(self) -> None:
        self.routes: list[Any] = []

    def add_api_route(
        self,
        path: str,
        endpoint: Callable[..., Any],
        *,
        methods: list[str],
        dependencies: Sequence[Any] | None = None,
        response_model: Any = None,
    ) -> None:
        """Keeps a route."""
        route = Route(path, endpoint, methods, list(dependencies or ()), response_model)
        self.routes.append(route)


def Body(default: Any = ..., **limits: Any) -> Any:  # noqa: N802 (FastAPI's name)
    """The default; FastAPI itself reads the limits."""
    return default


def Query(default: Any = ..., **limits: Any) -> Any:  # noqa: N802 (FastAPI's name)
    """The default; FastAPI itself reads the limits."""
    return default


def Depends(dependency: Callable[..., Any] | None = None) -> Any:  # noqa: N802 (FastAPI's name)
    """The dependency itself."""
    return dependency
