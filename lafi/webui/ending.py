"""The end of a run, however the host's main loop ends."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from .run import run_of


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
