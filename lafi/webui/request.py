"""Requests that name LAFI and say nothing, or not in a form that the host can hand on.

The host fills missing arguments up with the page's defaults, where LAFI is off: the picture would
come out plain, without a word. So the request is looked at before the host reads it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..errors import LafiError, invalid
from ..settings import parse
from . import http

NAME = "lafi"


def check(scripts: Mapping[str, Any] | None) -> None:
    """Looks at a request's ``alwayson_scripts``.

    Raises:
        LafiError: `invalid_settings`.
    """
    for name, given in (scripts or {}).items():
        if name.lower() != NAME:
            continue
        if not isinstance(given, Mapping):
            raise invalid("LAFI", 'must be an object such as {"args": [{"image": "..."}]}')
        args = given.get("args", [])
        if not isinstance(args, list):
            raise invalid("args", 'must be a list such as [{"image": "..."}]')
        if not args:
            # What an empty dict of fields answers: who names LAFI wants it.
            parse([{}])


def guard(original: Callable[..., Any]) -> Callable[..., Any]:
    """The host's ``Api.init_script_args``, which reads `alwayson_scripts`, with the look before."""

    def init_script_args(self: Any, request: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            check(request.alwayson_scripts)
        except LafiError as error:
            raise http.exception(error) from error
        return original(self, request, *args, **kwargs)

    return init_script_args
