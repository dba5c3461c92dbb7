"""The life of one run: from a script's arguments to what really happened.

The run lives on the processing object (``p.lafi_run``), never in a global or on the script, and
belongs to that object alone. Others copy it (ADetailer, X/Y/Z), call the hooks with the copy, and
make pictures inside of pictures: a copy has no run until it begins its own.
"""

from __future__ import annotations

import logging
import math
import secrets
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from modules import shared
from modules.sd_samplers_common import InterruptedException

from ..core.report import PassReport
from ..core.session import Session
from ..core.sites import Site, check_position, choose_sites, describe_sites, find_sites
from ..errors import LafiError
from ..hosts import find_host
from ..hosts.base import Host
from ..settings import LafiSettings
from . import infotext, kept, options
from .cast import Cast
from .made import Made
from .material import Material
from .progress import hide_progress
from .reports import code_of, describe, summarise

log = logging.getLogger("LAFI")
ATTRIBUTE = "lafi_run"


@dataclass(eq=False)
class Run:
    """LAFI in one call of the host's process_images, with all its batches and passes.

    Attributes:
        p: the object whose run this is.
        outer: the request within whose picture `p` is made, or None.
        id: names the run in the infotext.
        cast: who acts in its passes; None until the input was good.
        material: what the latest pass is made of; None where nothing acted so far.
        inner: reports of the runs within this one's pictures.
        sampling: whether the host's sampler loop is running.
    """

    p: Any
    outer: Any = None
    settings: LafiSettings = field(default_factory=LafiSettings)
    cast: Cast | None = None
    material: Material | None = None
    error: BaseException | None = None
    id: str = field(default_factory=lambda: secrets.token_hex(6))
    passes: list[Made] = field(default_factory=list)
    inner: list[dict[str, Any]] = field(default_factory=list)
    description: str = ""
    host_name: str = ""
    family: str = ""
    sampling: bool = False
    started: float = field(default_factory=time.perf_counter)
    _quiet: bool = False
    _session: Session | None = None
    _resources: ExitStack = field(default_factory=ExitStack)
    _model_key: tuple | None = None
    _inner_error: tuple[tuple[int, int], str] | None = None
    """In which picture the latest error of an inner run was, and its code."""

    def __deepcopy__(self, memo: dict[int, Any]) -> Run:
        """Itself: a deep copy of `p` has no run either."""
        return self

    # ---- before sampling ----------------------------------------------------------------------

    def expect(self, wrong: Exception | None) -> None:
        """Before each batch and each hires pass, when the host has read its prompts; what is wrong
        in them is kept for the sampler."""
        if self.error is None:
            if wrong is not None:
                self.fail(wrong)
            self.announce(wrong is None and self.wanted())

    def prepare(self, height: int, width: int) -> None:
        """Encodes the reference for a latent size, before the UNet is in memory where possible.

        Hosts call scripts' hooks in a way that swallows errors, so they are kept for the sampler.
        """
        if self.error is not None or not self.wanted():
            return
        try:
            host = find_host()
            session = self._open(host, height, width)
            each = session.plan.estimate(host.unet(), height, width)
            assert self.material is not None
            host.reserve(self.p, math.ceil(each * self.material.share(height, width)))
        except Exception as error:
            self.fail(error)

    # ---- while sampling -----------------------------------------------------------------------

    def before_evaluation(self, params: Any) -> None:
        """The host's callback before each model evaluation.

        Raises:
            InterruptedException: the one exception that hosts let through; the sampler's scope
                then takes up the error itself.
        """
        if self.error is not None or not self.wanted():
            return
        try:
            self._check_sampler()
            denoiser, host = params.denoiser, find_host()
            session = self._open(host, *params.x.shape[-2:])
            self._quieten(host, session.plan.sites)
            session.begin(
                denoiser.step,
                host.evaluations(denoiser),
                host.sigma(denoiser, params.sigma),
                host.row_kinds(params),
                host.is_adaptive(denoiser),
            )
        except Exception as error:
            self.fail(error)
            if self.sampling or options.value(options.STOP_ON_ERROR):
                raise InterruptedException from error

    def _check_sampler(self) -> None:
        if not self.sampling:
            raise LafiError(
                "unsupported_sampler",
                "this sampler does not run through the WebUI's sampler loop.",
                "Choose one of the built-in samplers, or switch LAFI off.",
            )

    def fail(self, error: Exception) -> None:
        """Keeps an error until it can be raised where the host does not swallow it."""
        self.error = error
        self.close()
        if not options.value(options.STOP_ON_ERROR) and not self._needs_no_mask():
            log.error("%s Going on without LAFI.", error, exc_info=not isinstance(error, LafiError))

    def _needs_no_mask(self) -> bool:
        made = self.material
        return made is not None and self.error is not None and made.needs_no_mask(self.error)

    def unmask(self) -> bool:
        """After an error of a mask that nobody gave: takes both back, so that the pass may begin
        anew; whether it did."""
        if not self._needs_no_mask():
            return False
        assert self.material is not None
        assert isinstance(self.error, LafiError)
        log.warning("nothing of the reference is left out: %s", self.error.message)
        self.material.unmask()
        self.error = None
        self.passes.pop()
        return True

    def wanted(self) -> bool:
        """Whether the pass of this moment is one that sees a reference."""
        if self.settings.passes not in ("both", self._pass()):
            return False
        assert self.cast is not None
        try:
            now = self.cast.now()
            self.material = now or self.material
            # Other scripts redraw faces wherever they are: one outside of the region has no error.
            return now is not None and (self.outer is None or now.acts_here())
        except Exception as error:
            self.fail(error)
            return False

    def _pass(self) -> str:
        return "hires" if getattr(self.p, "is_hr_pass", False) else "first"

    # ---- sessions -----------------------------------------------------------------------------

    def _open(self, host: Host, height: int, width: int) -> Session:
        """The session for a latent size and the model of this moment; a new one if they changed.

        A refiner or another hires checkpoint changes the model inside a run.
        """
        assert self.cast is not None
        assert self.material is not None
        key = (host.model_key(), height, width, self._pass(), self.material)
        if self._session is not None and key == self._model_key:
            return self._session
        self.close()
        report, names = PassReport(self._pass()), self.cast.names()
        self.passes.append(Made(report, self._picture()[0], self.material, names))
        unet = host.unet()
        sites = find_sites(unet)
        settings = self.settings
        chosen = choose_sites(sites, settings.depth, settings.layers, settings.blocks)
        check_position(unet, settings.position)
        plan = self.material.plan(host, chosen, (height, width))
        needed = plan.estimate(unet, height, width)
        self.material.fit_memory(needed, host.memory(), height, width)
        sources = self.passes[-1].take(self.material.sources(host, height, width))
        self.host_name, self.family = host.name, host.family()
        self.description = describe_sites(sites, chosen)
        self._session = self._resources.enter_context(
            Session(unet, sources, plan, host.forward(), report, kept.replay(host))
        )
        self._model_key = key
        if self.sampling:
            host.resume()
        return self._session

    def _quieten(self, host: Host, sites: tuple[Site, ...]) -> None:
        """Once in a pass, and only while it samples: what it changes must be restored."""
        # A picture that sees nothing stays as it is.
        if not self._quiet and self.material is not None and self.material.injects:
            self._quiet = True
            self._resources.callback(host.quieten(sites))

    def close(self) -> None:
        """Takes LAFI out of the UNet; safe at any time."""
        self._resources.close()
        hide_progress()
        self._quiet = False
        self._session = None
        self._model_key = None
        if self.material is not None and shared.state.skipped:
            self.material.skipped()

    # ---- afterwards ---------------------------------------------------------------------------

    def _picture(self) -> tuple[int, int]:
        """The picture of this moment: its batch in the batch count, and its number in that."""
        return getattr(self.p, "iteration", 0), getattr(self.p, "batch_index", 0)

    def write_infotext(self, number: int = 0) -> None:
        """Says of a picture of the latest batch what happened; nothing if nothing did.

        Args:
            number: of the picture, in its batch.
        """
        batch, said = self._picture()[0], {}
        if self.cast is not None:
            made = [each for each in self.passes if each.batch == batch]
            said = self.cast.describe(made, number == 0)
        self._say(said)

    def announce(self, used: bool) -> None:
        """The same of what is to come (`used`), until a batch is over: hosts keep the infotext of
        the last prompt before."""
        said = self.cast.announce() if used and self.error is None and self.cast else {}
        self._say(said)

    def _say(self, said: dict[str, str]) -> None:
        params = self.p.extra_generation_params
        infotext.clear(params)
        if self.error is not None:
            said = {infotext.ERROR: code_of(self.error)}
        if said:
            params |= said | {infotext.RUN: self.id}
        if self._inner_error is not None and self._inner_error[0] == self._picture():
            params[infotext.INNER_ERROR] = self._inner_error[1]

    def finish(self) -> None:
        """Ends the run: one log line, and the report for the API."""
        self.close()
        kept.tidy()
        report = describe(self)
        kept.reports.add(report)
        log.log(logging.ERROR if self.error else logging.INFO, "%s", summarise(report))
        setattr(self.p, ATTRIBUTE, None)
        around = run_of(self.outer)
        if around is not None:
            around._take_inner(report)

    def _take_inner(self, report: dict[str, Any]) -> None:
        """Hosts swallow what happens within a picture; its infotext and the report say it."""
        self.inner.append(report)
        params = self.p.extra_generation_params
        params.pop(infotext.INNER_ERROR, None)
        self._inner_error = None
        if report["error"]:
            self._inner_error = (self._picture(), report["error"]["code"])
            params[infotext.INNER_ERROR] = report["error"]["code"]


def run_of(p: Any) -> Run | None:
    """The run of a processing object: not one that it was copied with."""
    run = getattr(p, ATTRIBUTE, None)
    return run if run is not None and run.p is p else None
