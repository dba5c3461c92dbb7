"""The beginning of a run: by the script's arguments, or by a tag in a prompt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..hosts import find_host
from ..settings import parse, validate
from . import infotext, nesting
from .cast import Cast
from .characters import tags
from .run import ATTRIBUTE, Run, run_of
from .xyz import OVERRIDES

# What the script was handed: a prompt's tags need it where the script is switched off.
ARGUMENTS = "lafi_arguments"


def begin(p: Any, args: Sequence[Any], called: bool = False) -> None:
    """Starts a run on `p` if its arguments ask for one; bad input is kept for the sampler.

    Args:
        called: whether the prompt calls characters: they act even where LAFI is off.
    """
    unfinished = run_of(p)
    if unfinished is not None:  # begun again before its end
        unfinished.finish()
    setattr(p, ATTRIBUTE, None)
    setattr(p, ARGUMENTS, args)
    if not called:
        tags.forget(p)
    run = Run(p, nesting.enclosing(p))
    try:
        # Where a tag begins the run the script is off, or another script has left it out.
        overrides = _overrides(run) | ({"enabled": False} if called else {})
        asked = parse(args, overrides, tags.expected(p))
        run.cast = Cast(p, asked, run.outer is not None)
        run.settings = run.cast.settings
        if run.settings.enabled or called or run.cast.part.records is not None:
            find_host()
            run.material = run.cast.now()
    except Exception as error:
        run.fail(error)
    acts = called or run.error is not None or _may_act(run)
    own = infotext.without(p.extra_generation_params)
    # A copy shares its dict with the original, whose keys are not to be touched.
    if acts or len(own) < len(p.extra_generation_params):
        p.extra_generation_params = own
    if acts:
        setattr(p, ATTRIBUTE, run)
        run.announce(run.error is None)


def call(p: Any) -> None:
    """Before each batch and each hires pass: looks at what their prompts call. A tag begins a run
    where the settings did not, also in pictures that other scripts make without LAFI's script."""
    current, called, wrong = run_of(p), False, None
    try:
        called = tags.check(p)
        if current is not None and not called:
            validate(vars(current.settings))  # with a reference of its own, or switched off
    except Exception as error:
        wrong = error
    if current is None and (called or wrong is not None):
        handed = (getattr(each, ARGUMENTS, ()) for each in (p, nesting.enclosing(p)))
        begin(p, next(filter(None, handed), ()), called=True)
        current = run_of(p)
    if current is not None:
        current.expect(wrong)


def _overrides(run: Run) -> dict[str, Any]:
    """What X/Y/Z sets, here or for the picture around this one."""
    given = (getattr(each, OVERRIDES, None) or {} for each in (run.outer, run.p))
    return {name: value for each in given for name, value in each.items()}


def _may_act(run: Run) -> bool:
    """Whether a pass may see a reference; tags may come with any batch."""
    own = run.material is not None or (run.settings.enabled and tags.expected(run.p))
    # A picture within a picture has a first pass alone.
    first_alone = run.outer is not None and not getattr(run.p, "enable_hr", False)
    return own and not (first_alone and run.settings.passes == "hires")
