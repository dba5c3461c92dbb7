"""Requests that name LAFI or its storyboard and say nothing, or not as the host can hand it on.

The host fills missing arguments up with the page's defaults, where LAFI is off: the picture would
come out plain, without a word. So the request is looked at before the host reads it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..errors import LafiError, invalid
from ..settings import parse
from ..storyboard import settings as storyboard
from . import http

NAME = "lafi"
STORYBOARD = "LAFI storyboard"


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


def fill_storyboard(request: Any) -> None:
    """Completes the ``script_args`` of a request for a storyboard. The host puts them into the list
    of all scripts' arguments, whose other places would move if these were more or fewer than the
    page has controls.

    Raises:
        LafiError: `invalid_settings`.
    """
    if (getattr(request, "script_name", None) or "").lower() != STORYBOARD.lower():
        return
    if not isinstance(request.script_args, list):
        raise invalid("script_args", 'must be a list such as [{"panels": "..."}]')
    request.script_args = storyboard.arguments(storyboard.parse(request.script_args))


def guard(original: Callable[..., Any]) -> Callable[..., Any]:
    """The host's ``Api.init_script_args``, which reads scripts' arguments, with the look before."""

    def init_script_args(self: Any, request: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            check(request.alwayson_scripts)
            fill_storyboard(request)
        except LafiError as error:
            raise http.exception(error) from error
        return original(self, request, *args, **kwargs)

    return init_script_args
