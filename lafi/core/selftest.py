"""Checks the algorithm's exact promises on the model, attention and precision that are in use.

Users run it from the API when they doubt that LAFI acts on their machine; the tests run it through
a running WebUI, where nothing else can look inside.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from ..regions import Region
from .injection import Row
from .levels import scale_input
from .mask import TokenMask
from .own import Own
from .plan import Plan
from .probe import site_inputs
from .reference import Conditioning, Reference, UNetForward
from .replay.bank import Bank
from .replay.key import Replay
from .report import PassReport
from .schedule import Window
from .session import Session
from .sites import DECODER, choose_sites, find_sites
from .source import Source

# Relative to the spread of the plain answer; half precision rounds at about 1e-3.
TOLERANCES = {torch.float32: 1e-4, torch.float16: 2e-2, torch.bfloat16: 1e-1}
# Where in the schedule, as a share of it.
MIDDLE = 0.601


@dataclass(frozen=True)
class Check:
    """One promise of the design, as it held: the largest difference and what is allowed."""

    promise: int
    name: str
    difference: float
    tolerance: float

    @property
    def passed(self) -> bool:
        """Whether the promise held."""
        return self.difference <= self.tolerance


# (x (B, C, h, w), timesteps (B,), conditioning of B rows) -> the UNet's answer, hooks and all
Evaluate = Callable[[Tensor, Tensor, Conditioning], Tensor]


class SelfTest:
    """The checks on one model.

    Args:
        unet: the UNet that samples.
        reference: a reference of any content.
        evaluate: calls the UNet as the host does while sampling.
        forward: the UNet without hooks.
        stream: kind of reference stream.
        batch: pictures in the target's batch; each has a cond and an uncond row.
    """

    def __init__(
        self,
        unet: nn.Module,
        reference: Reference,
        evaluate: Evaluate,
        forward: UNetForward,
        stream: str = "noise",
        batch: int = 1,
    ) -> None:
        self.unet, self.reference, self.stream, self.batch = unet, reference, stream, batch
        self._evaluate, self._forward = evaluate, forward
        self.sites = find_sites(unet)
        self.all = choose_sites(self.sites, 100)
        schedule = reference.schedule
        timestep = round(MIDDLE * len(schedule.log_sigmas))
        self.sigma, self.reads = schedule.sigma(timestep), schedule.reads(timestep)
        shape = (batch, *reference.z0.shape[1:])
        noise = torch.randn(shape, generator=torch.Generator().manual_seed(2))
        device = reference.z0.device
        self.x = torch.cat([self._shown(noise.to(device) * self.sigma)] * 2)
        self.plain = self._call(self.x)
        self.dtype = next(unet.parameters()).dtype

    @torch.no_grad()
    def run(self) -> list[Check]:
        """All checks, one for each promise that can be seen in single UNet calls."""
        return [
            self._off(),
            self._restored(),
            self._self_reference(),
            self._encoder(),
            self._first_block(),
            self._shuffled(),
            self._replaced(),
            self._alone(),
            self._replayed(),
            self._fused(),
            self._twice(),
            self._halves(),
            self._anchored(),
        ]

    # ---- one call -----------------------------------------------------------------------------

    def _rows(self, count: int) -> Conditioning:
        """The reference's conditioning for every row, so that only latents differ."""
        own = self.reference.conditioning
        context = own.context.expand(count, -1, -1)
        vector = None if own.vector is None else own.vector.expand(count, -1)
        concat = None if own.concat is None else own.concat.expand(count, -1, -1, -1)
        return Conditioning(context, vector, concat)

    def _shown(self, latent: Tensor) -> Tensor:
        """What the network reads for a variance-exploding latent."""
        return scale_input(latent, self.sigma, self.reference.prediction)

    def _call(self, x: Tensor) -> Tensor:
        timesteps = torch.full((x.shape[0],), self.reads, device=x.device)
        with torch.no_grad():
            return self._evaluate(x, timesteps, self._rows(x.shape[0])).float()

    def _injected(
        self,
        plan: Plan | None = None,
        x: Tensor | None = None,
        sources: Sequence[Source] | None = None,
        replay: Replay | None = None,
    ) -> Tensor:
        x = self.x if x is None else x
        with self._session(plan or self._plan(), sources, replay) as session:
            # The first evaluation is the whole path of an inversion.
            session.begin(0, 4, self.sigma, _pictures)
            return self._call(x)

    def _session(
        self,
        plan: Plan,
        sources: Sequence[Source] | None = None,
        replay: Replay | None = None,
    ) -> Session:
        report = PassReport("self-test")
        sources = sources or [Source(self.reference)]
        return Session(self.unet, sources, plan, self._forward, report, replay)

    def _plan(self, **changes: Any) -> Plan:
        return replace(Plan(self.all, Window(0, 100), stream=self.stream), **changes)

    def _check(self, promise: int, name: str, a: Tensor, b: Tensor, exact: bool = False) -> Check:
        spread = float(self.plain.std()) or 1.0
        difference = float((a - b).abs().max()) / spread
        return Check(promise, name, difference, 0.0 if exact else TOLERANCES.get(self.dtype, 1e-1))

    # ---- the promises -------------------------------------------------------------------------

    def _off(self) -> Check:
        plan = self._plan(window=Window(50, 100))
        return self._check(1, "outside the window", self._injected(plan), self.plain, exact=True)

    def _restored(self) -> Check:
        last = self.all[-1].module
        handle = getattr(last, "to_out", last).register_forward_pre_hook(_fail)
        try:
            self._injected()
        except _ProvokedError:
            pass
        finally:
            handle.remove()
        return self._check(2, "after an exception", self._call(self.x), self.plain, exact=True)

    def _self_reference(self) -> Check:
        """The reference's own row among the target's: its keys cancel in the softmax."""
        with self._session(self._plan()) as session:
            session.begin(0, 4, self.sigma, _pictures)
            self._call(self.x)
            row = self._shown(session.reference_latent())
        x = torch.cat([row, self.x[1:]])
        return self._check(3, "self-reference", self._injected(x=x)[:1], self._call(x)[:1])

    def _encoder(self) -> Check:
        changed = self._changed_sites(self.all)
        worst = max((d for name, d in changed.items() if self._part(name) != DECODER), default=0.0)
        return Check(4, "encoder and middle untouched", worst, 0.0)

    def _first_block(self) -> Check:
        """With half the depth, every site up to and including the first that injects still gets
        plain input, and the next ones do not."""
        chosen = choose_sites(self.sites, 50)
        changed = list(self._changed_sites(chosen).values())
        # Two sites of a transformer's block have one input.
        modules = [site.module for site in self.sites]
        first = len(modules) - modules[::-1].index(chosen[0].module)
        early, late = changed[:first], changed[first:]
        broken = max(early) > 0 or (bool(late) and min(late) == 0)
        return Check(4, "first changed block is the slider's", float(broken), 0.0)

    def _changed_sites(self, chosen: tuple[Any, ...]) -> dict[str, float]:
        """By how much each site's input differs from plain when `chosen` inject."""
        rows, plan = self.x.shape[0], self._plan(sites=chosen)
        plain = site_inputs(self.sites, rows, lambda: self._call(self.x))
        injected = site_inputs(self.sites, rows, lambda: self._injected(plan))
        return {
            site.name: float((injected[site.name] - plain[site.name]).abs().max())
            for site in self.sites
        }

    def _part(self, name: str) -> str:
        return next(site.part for site in self.sites if site.name == name)

    def _shuffled(self) -> Check:
        shuffled = replace(self.reference, mask=_Shuffle(self.reference.z0.shape[-2:]))
        a, b = self._injected(sources=[Source(shuffled)]), self._injected()
        return self._check(5, "shuffled reference tokens", a, b)

    def _replaced(self) -> Check:
        """An overwhelming strength on the reference's own latent leaves it alone, as replacing the
        keys by themselves does."""
        with self._session(self._plan()) as session:
            session.begin(0, 4, self.sigma, _pictures)
            self._call(self.x)
            row = self._shown(session.reference_latent())
        x = torch.cat([row, self.x[1:]])
        strong = self._injected(x=x, sources=[Source(self.reference, 1e4)])
        return self._check(5, "strength to infinity replaces", strong[:1], self._call(x)[:1])

    def _alone(self) -> Check:
        rows = [self._injected(x=self.x[i : i + 1]) for i in range(self.x.shape[0])]
        return self._check(6, "each row as if alone", torch.cat(rows), self._injected())

    def _replayed(self) -> Check:
        replay = Replay(Bank(2**30), lambda: "self-test")
        first = self._injected(replay=replay)
        return self._check(8, "replay", self._injected(replay=replay), first)

    def _fused(self) -> Check:
        return self._check(8, "one batch", self._injected(self._plan(fused=True)), self._injected())

    def _twice(self) -> Check:
        one, twice = Source(self.reference, 2), [Source(self.reference)] * 2
        a, b = self._injected(sources=twice), self._injected(sources=[one])
        return self._check(11, "one reference given twice", a, b)

    def _halves(self) -> Check:
        """Each half of the picture sees the same reference."""
        one = Source(self.reference, 2)
        halves = [replace(one, region=each) for each in (Region(0, 0.5), Region(0.5, 1))]
        a, b = self._injected(sources=halves), self._injected(sources=[one])
        return self._check(11, "two regions of one reference", a, b)

    def _anchored(self) -> Check:
        own = Source(Own(self.reference.schedule))
        made = self._injected(sources=[own])
        return self._check(12, "a batch's first picture", made[:1], self.plain[:1], exact=True)


class _ProvokedError(Exception):
    """Raised inside the UNet on purpose."""


def _pictures(rows: int, kwargs: dict[str, Any]) -> list[Row]:
    """Every row is a picture's cond row."""
    return [Row(True, picture) for picture in range(rows)]


def _fail(*_: Any) -> None:
    raise _ProvokedError


class _Shuffle(TokenMask):
    """Keeps all tokens, in another order."""

    def __init__(self, size: Any) -> None:
        super().__init__(torch.ones(tuple(size)))

    def _chosen(self, count: int, size: tuple[int, int] | None) -> Tensor:
        return torch.randperm(count, generator=torch.Generator().manual_seed(3))
