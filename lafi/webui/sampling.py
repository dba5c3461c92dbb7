"""The scope of a run around one pass of the host's sampler: raises what went wrong, restores."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from modules import shared

from ..core.schedule import POSITIONS, Window
from ..errors import LafiError
from ..hosts import find_host
from . import http, options
from .run import Run, run_of

# The host's ``launch_sampling`` of one pass: runs a function.
Launch = Callable[[Callable[[], Any]], Any]


def guard(original: Callable[..., Any]) -> Callable[..., Any]:
    """The host's ``Sampler.launch_sampling`` with the run's scope around it.

    Every pass of every built-in sampler goes through it, whoever replaced ``p.sample``; and what it
    raises reaches the user, which script hooks and callbacks cannot do.
    """

    def launch_sampling(self: Any, steps: int, func: Callable[[], Any]) -> Any:
        run, launch = run_of(self.p), partial(original, self, steps)
        return launch(func) if run is None else sample(run, self.model_wrap_cfg, launch, func)

    return launch_sampling


def sample(run: Run, denoiser: Any, launch: Launch, func: Callable[[], Any]) -> Any:
    """One pass.

    It is made once more from its start without a mask that nobody gave, if that does not fit; and,
    if the user wants the picture so, without LAFI: an error that was not LAFI's comes again.

    Args:
        denoiser: the host's CFG denoiser.
        func: what the host is to run.
    """
    run.sampling = True
    try:
        result, complete = None, False
        if run.error is None:
            result, complete = _attempt(run, denoiser, launch, func)
        if run.unmask():
            denoiser.step = 0
            result, complete = _attempt(run, denoiser, launch, func)
        if run.error is not None and options.value(options.STOP_ON_ERROR):
            run.finish()
            raise http.answer(run.p, run.error)
        if complete:
            return result
        if run.error is not None:
            run.error.__traceback__ = None  # it holds the tensors of what failed
        denoiser.step = 0
        return launch(func)
    finally:
        run.sampling = False
        run.close()
        run.write_infotext()


def _attempt(run: Run, denoiser: Any, launch: Launch, func: Callable[[], Any]) -> tuple[Any, bool]:
    """What the pass gave, and whether it came to its end; what went wrong is kept."""

    def start() -> Any:
        # Before anyone has changed the UNet for the pass.
        _refuse_empty_window(run, denoiser)
        return func()

    try:
        result = launch(start)
    except Exception as error:
        run.fail(error)
        return None, False
    if run.error is not None:
        return None, False
    _check_injected(run)
    return result, True


def _refuse_empty_window(run: Run, denoiser: Any) -> None:
    if run.wanted():
        host = find_host()
        total = POSITIONS if host.is_adaptive(denoiser) else host.evaluations(denoiser)
        Window(run.settings.start, run.settings.cutoff).require(total)


def _check_injected(run: Run) -> None:
    """A UNet that runs outside its module (compiled, offloaded) never meets our hooks."""
    if shared.state.interrupted or shared.state.skipped or not run.passes:
        return
    latest = run.passes[-1].report
    if latest.evaluations == latest.skipped or latest.injected or latest.anchored:
        return
    if latest.recorded or latest.replayed:  # the layers were called
        error = LafiError(
            "nothing_injected",
            "the run is over, but no token of the layers that inject lies in a region.",
            "Make the region larger.",
        )
    else:
        error = LafiError(
            "nothing_injected",
            "the run is over, but the UNet never called the layers that inject.",
            "Switch off what replaces or compiles the UNet, or switch LAFI off.",
        )
    run.fail(error)
