"""The end of a run, however the host's main loop ends."""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import FunctionType
from typing import Any

from .nesting import MAIN_LOOP
from .run import run_of


def main_loops(processing: Any) -> list[str]:
    """Under which names the host's module has its main loop: who replaced it before (ControlNet)
    has put it aside there, and others (ADetailer) call that one."""
    aside = [
        name
        for name, value in vars(processing).items()
        if isinstance(value, FunctionType) and value.__name__ == MAIN_LOOP
    ]
    return [MAIN_LOOP, *(name for name in aside if name != MAIN_LOOP)]


def guard(original: Callable[..., Any]) -> Callable[..., Any]:
    """The host's ``process_images_inner``, after which no run of its request is left.

    The host's last hook (``postprocess``) ends a run that came so far. What the host raises on the
    way there, while it decodes for instance, reaches no hook.
    """

    @functools.wraps(original)
    def until_the_end(p: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return original(p, *args, **kwargs)
        except BaseException as error:
            _end(p, error)
            raise
        finally:
            _end(p)

    return until_the_end


def _end(p: Any, error: BaseException | None = None) -> None:
    run = run_of(p)
    if run is not None:
        run.error = error or run.error
        run.finish()
