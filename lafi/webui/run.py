"""The life of one run: from a script's arguments to what really happened.

The run lives on the processing object (``p.lafi_run``), never in a global or on the script: runs
nest (ADetailer) and script objects are shared between them.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from modules import call_queue, shared
from modules.sd_samplers_common import InterruptedException

from .. import __version__
from ..core.batching import Batching
from ..core.mask import TokenMask
from ..core.plan import Plan
from ..core.reference import Reference
from ..core.replay.bank import Bank
from ..core.replay.key import Replay
from ..core.report import PassReport
from ..core.schedule import Window
from ..core.session import Session
from ..core.sites import Site, choose_sites, describe_sites, find_sites
from ..errors import LafiError, invalid
from ..hosts import find_host
from ..hosts.base import Host
from ..settings import LafiSettings, parse
from . import http, infotext, options
from .images import CELL, Crop, Picture, fit_picture, open_picture

log = logging.getLogger("LAFI")
ATTRIBUTE = "lafi_run"

# Recordings outlive the run that made them: that is what they are for.
bank = Bank()

# What was measured on this machine holds for all runs.
batching = Batching()

# What the latest finished run did, for the API. Written once a run is over; never read by a run.
last_run: dict[str, Any] = {}


@dataclass
class Run:
    """LAFI in one call of the host's process_images, with all its batches and passes."""

    p: Any
    settings: LafiSettings = field(default_factory=LafiSettings)
    picture: Picture | None = None
    error: Exception | None = None
    passes: list[PassReport] = field(default_factory=list)
    description: str = ""
    host_name: str = ""
    family: str = ""
    crop: Crop = field(default_factory=Crop)
    started: float = field(default_factory=time.perf_counter)
    _sampling: bool = False
    _quiet: bool = False
    _session: Session | None = None
    _resources: ExitStack = field(default_factory=ExitStack)
    _model_key: tuple | None = None
    _reference: tuple[tuple, Reference] | None = None

    # ---- before sampling ----------------------------------------------------------------------

    @classmethod
    def begin(cls, p: Any, args: Sequence[Any]) -> None:
        """Starts a run on `p` if its arguments ask for one; bad input is kept for `sampling`."""
        setattr(p, ATTRIBUTE, None)
        infotext.clear(p.extra_generation_params)
        run = cls(p)
        try:
            run.settings = parse(args, getattr(p, "lafi_overrides", None))
            if run.settings.enabled:
                run._check()
        except Exception as error:
            run.fail(error)
        if run.error is None and not run.settings.acts:
            return
        setattr(p, ATTRIBUTE, run)
        run._write_infotext()

    def _check(self) -> None:
        settings = self.settings
        find_host()
        background = shared.opts.img2img_background_color
        self.picture = open_picture(settings.image, settings.mask, background)
        if settings.passes == "hires" and not getattr(self.p, "enable_hr", False):
            raise invalid("passes", "is hires, but hires fix is off, so nothing would be injected")
        if not settings.acts:
            log.info("nothing to inject: depth, cutoff or strength is 0.")

    def prepare(self, height: int, width: int) -> None:
        """Encodes the reference for a latent size, before the UNet is in memory where possible.

        Hosts call scripts' hooks in a way that swallows errors, so they are kept for `sampling`.
        """
        if self.error is not None or not self._wanted():
            return
        try:
            host = find_host()
            session = self._open(host, height, width)
            host.reserve(self.p, session.plan.estimate(host.unet(), height, width))
        except Exception as error:
            self.fail(error)

    # ---- while sampling -----------------------------------------------------------------------

    @contextmanager
    def sampling(self) -> Iterator[None]:
        """Around one pass of the host's sampler: raises what went wrong, restores always."""
        self._sampling = True
        try:
            self._raise_error()
            yield
            self._check_injected()
            self._raise_error()
        except Exception as error:
            self.error = error
            self.finish()
            if isinstance(error, LafiError) and getattr(self.p, "is_api", False):
                raise http.exception(error) from error
            raise
        finally:
            self._sampling = False
            self._close()
            self._write_infotext()

    def before_evaluation(self, params: Any) -> None:
        """The host's callback before each model evaluation.

        Raises:
            InterruptedException: the one exception that hosts let through; `sampling` then raises
                the error itself.
        """
        if self.error is not None or not self._wanted():
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
            if options.value(options.STOP_ON_ERROR):
                raise InterruptedException from error

    def _check_sampler(self) -> None:
        if not self._sampling:
            raise LafiError(
                "unsupported_sampler",
                "this sampler does not run through the WebUI's sampler loop.",
                "Choose one of the built-in samplers, or switch LAFI off.",
            )

    def fail(self, error: Exception) -> None:
        """Keeps an error until it can be raised where the host does not swallow it."""
        self.error = error
        self._close()
        if not options.value(options.STOP_ON_ERROR):
            log.error("%s Going on without LAFI.", error, exc_info=not isinstance(error, LafiError))

    def _raise_error(self) -> None:
        if self.error is not None and options.value(options.STOP_ON_ERROR):
            raise self.error

    def _check_injected(self) -> None:
        """A UNet that runs outside its module (compiled, offloaded) never meets our hooks."""
        if any(each.evaluations > each.skipped and not each.injected for each in self.passes):
            error = LafiError(
                "nothing_injected",
                "the run is over, but the UNet never called the layers that inject.",
                "Switch off what replaces or compiles the UNet, or switch LAFI off.",
            )
            self.fail(error)

    def _wanted(self) -> bool:
        hires = getattr(self.p, "is_hr_pass", False)
        return self.settings.passes in ("both", "hires" if hires else "first")

    # ---- sessions -----------------------------------------------------------------------------

    def _open(self, host: Host, height: int, width: int) -> Session:
        """The session for a latent size and the model of this moment; a new one if they changed.

        A refiner or another hires checkpoint changes the model inside a run.
        """
        key = (host.model_key(), height, width, getattr(self.p, "is_hr_pass", False))
        if self._session is not None and key == self._model_key:
            return self._session
        self._close()
        settings = self.settings
        unet = host.unet()
        sites = find_sites(unet)
        chosen = choose_sites(sites, settings.depth, settings.layers)
        reference = self._encode(host, key, height, width)
        self.host_name, self.family = host.name, host.family()
        self.description = describe_sites(sites, chosen)
        self.passes.append(PassReport("hires" if getattr(self.p, "is_hr_pass", False) else "first"))
        plan = _plan(settings, chosen, host)
        self._session = self._resources.enter_context(
            Session(unet, reference, plan, host.forward(), self.passes[-1], _replay(host))
        )
        self._model_key = key
        if self._sampling:
            host.resume()
        return self._session

    def _quieten(self, host: Host, sites: tuple[Site, ...]) -> None:
        """Once in a pass, and only while it samples: what it changes must be restored."""
        if not self._quiet:
            self._quiet = True
            self._resources.callback(host.quieten(sites))

    def _encode(self, host: Host, key: tuple, height: int, width: int) -> Reference:
        if self._reference is not None and self._reference[0] == key:
            return self._reference[1]
        settings = self.settings
        assert self.picture is not None
        fitted = fit_picture(self.picture, width * CELL, height * CELL, settings.fit)
        self.crop = fitted.crop
        if cut := fitted.crop.describe():
            log.info("at %dx%d, %s.", width * CELL, height * CELL, cut)
        z0 = host.encode(fitted.pixels)
        seed = self.picture.seed if settings.noise_seed == -1 else settings.noise_seed
        # On the CPU: the same noise on every machine, and the host's generators stay untouched.
        noise = torch.randn(z0.shape, generator=torch.Generator().manual_seed(seed))
        reference = Reference(
            z0,
            noise.to(z0.device),
            host.conditioning(settings.prompt, width * CELL, height * CELL, z0),
            host.schedule(),
            host.prediction(),
            None if fitted.mask is None else TokenMask(fitted.mask),
        )
        self._reference = (key, reference)
        return reference

    def _close(self) -> None:
        self._resources.close()
        self._quiet = False
        self._session = None
        self._model_key = None

    # ---- afterwards ---------------------------------------------------------------------------

    def injected(self) -> int:
        """How many model evaluations saw the reference."""
        return sum(each.injected for each in self.passes)

    def _write_infotext(self) -> None:
        params = self.p.extra_generation_params
        infotext.clear(params)
        if self.error is not None:
            params["LAFI error"] = getattr(self.error, "code", type(self.error).__name__)
        elif self.picture is not None and (self.injected() or not self.passes):
            params.update(infotext.describe(self.settings, self.picture.hash))

    def finish(self) -> None:
        """Ends the run: one log line, and the report for the API."""
        self._close()
        self._reference = None
        global last_run
        last_run = self.report()
        log.info("%s", summarise(last_run))
        setattr(self.p, ATTRIBUTE, None)

    def _message(self) -> str:
        return str(self.error).removeprefix("LAFI: ")

    def report(self) -> dict[str, Any]:
        """What happened, as the API tells it."""
        code = getattr(self.error, "code", type(self.error).__name__) if self.error else None
        return {
            "version": __version__,
            "host": self.host_name,
            "family": self.family,
            "settings": self.settings.changed(),
            "reference": self.picture.hash if self.picture else None,
            "cut": {"reference": self.crop.cut, "subject": self.crop.subject_cut},
            "description": self.description,
            "passes": [asdict(each) for each in self.passes],
            "bank": {"recordings": len(bank), "bytes": bank.nbytes},
            "seconds": round(time.perf_counter() - self.started, 3),
            "error": {"code": code, "message": self._message()} if self.error else None,
        }


def _plan(settings: LafiSettings, sites: tuple[Site, ...], host: Host) -> Plan:
    return Plan(
        sites,
        Window(settings.start, settings.cutoff),
        settings.strength,
        settings.stream,
        positive_only=settings.rows == "positive",
        refresh=settings.refresh,
        fused=_fused(),
        context_hook=host.context_hook(),
        upcast=host.upcast_attention(),
    )


def _fused() -> bool | Batching:
    chosen = options.value(options.BATCHING)
    return batching if chosen == options.AUTO else chosen == options.ONE_BATCH


def _replay(host: Host) -> Replay | None:
    bank.budget, bank.place = options.bank_bytes(), options.value(options.BANK_PLACE)
    bank.projected = options.PROJECTED.get(options.value(options.BANK_FORM))
    if not options.value(options.REPLAY):
        bank.clear()
        return None
    return Replay(bank, host.identity())


def summarise(report: dict[str, Any]) -> str:
    """A run's report as one line."""
    if report["error"]:
        return f"failed ({report['error']['code']}): {report['error']['message']}"
    passes = report["passes"]
    total = {
        name: sum(each[name] for each in passes)
        for name in ("evaluations", "injected", "recorded", "replayed", "reference_seconds")
    }
    size = max((each["reference_bytes"] for each in passes), default=0) / 2**20
    return (
        f"{report['host']}, {report['family']}, {report['description']}; injected in "
        f"{total['injected']} of {total['evaluations']} evaluations ({total['recorded']} recorded, "
        f"{total['replayed']} replayed), reference {report['reference']}, "
        f"{total['reference_seconds']:.2f} s, {size:.1f} MiB"
    )


def forget() -> int:
    """Empties the bank, between two pictures; the bytes that it held."""
    with call_queue.queue_lock:
        freed = bank.nbytes
        bank.clear()
    return freed


def run_of(p: Any) -> Run | None:
    """The run that lives on a processing object."""
    return getattr(p, ATTRIBUTE, None)


def guard(original: Callable) -> Callable:
    """The host's ``Sampler.launch_sampling`` with the run's scope around it.

    Every pass of every built-in sampler goes through it, whoever replaced ``p.sample``; and what it
    raises reaches the user, which script hooks and callbacks cannot do.
    """

    def launch_sampling(self: Any, steps: int, func: Callable) -> Any:
        run = run_of(self.p)
        if run is None:
            return original(self, steps, func)
        with run.sampling():
            return original(self, steps, func)

    return launch_sampling
