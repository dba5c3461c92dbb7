"""What LAFI costs beside plain sampling: multiply-adds, seconds and memory, scheme by scheme."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode
from tqdm import tqdm

from lafi.core.kept import Kept
from lafi.core.levels import NoiseSchedule
from lafi.core.mask import FigureMask, TokenMask
from lafi.core.own import Own
from lafi.core.plan import Plan
from lafi.core.reference import Conditioning, Reference
from lafi.core.replay.bank import Bank
from lafi.core.replay.key import Replay
from lafi.core.report import PassReport
from lafi.core.schedule import Window
from lafi.core.session import Session
from lafi.core.sites import choose_sites, find_sites
from lafi.core.source import Source
from lafi.regions import Region

from ..host.embedded import cond_rows_first, unhooked_forward
from ..host.model import sd_alphas_cumprod
from .models import Shape
from .peers import FullBatchReference

SCHEDULE = NoiseSchedule.from_alphas(sd_alphas_cumprod())
WORDS = 77
MASKED = 0.3
MASKS = {"none": None, "figure": FigureMask, "mask": TokenMask}


@dataclass(frozen=True)
class Scheme:
    """A way to bring the reference in.

    Attributes:
        plan: changes to the default plan; None for plain sampling.
        bank: none, empty, or filled by an earlier picture.
        mask: which tokens are kept, or first: 30 % of them, see `MASKS`.
        strength: weight on the reference's keys.
        regions: of each reference where it acts; one is everywhere.
        anchor: the batch's first picture instead of a reference.
        panels: pictures one after the other, as in a storyboard; relative to as many plain ones.
        own: the first of them is the reference of the others, recorded while it is made.
        peer: restates another method instead.
    """

    name: str
    plan: dict[str, Any] | None = field(default_factory=dict)
    layers: str = "decoder"
    bank: str = "none"
    mask: str = "none"
    strength: float = 1.0
    regions: tuple[Region | None, ...] = (None,)
    anchor: bool = False
    panels: int = 1
    own: bool = False
    peer: bool = False


# As LAFI's settings are by default; where the figure is cut out, see the rows of a figure.
DEFAULT = {"stream": "inversion", "refresh": 0, "fidelity": 1}

SIX = 6
HALVES = (Region(0, 0.5), Region(0.5, 1))

SCHEMES = (
    Scheme("plain", None),
    Scheme("default, first picture", DEFAULT, bank="empty", strength=3),
    Scheme("default, first picture, figure 30 %", DEFAULT, bank="empty", mask="figure", strength=3),
    Scheme("default, first picture, mask 30 %", DEFAULT, bank="empty", mask="mask", strength=3),
    Scheme("default, later pictures", DEFAULT, bank="filled", strength=3),
    Scheme(
        "default, later pictures, figure 30 %", DEFAULT, bank="filled", mask="figure", strength=3
    ),
    Scheme("default, later pictures, mask 30 %", DEFAULT, bank="filled", mask="mask", strength=3),
    *(
        Scheme(f"default, {name}, {picture}", DEFAULT, bank=bank, strength=3, regions=regions)
        for name, regions in (("2 references", (None, None)), ("2 regions", HALVES))
        for picture, bank in (("first picture", "empty"), ("later pictures", "filled"))
    ),
    Scheme("default, batch anchor", DEFAULT, strength=3, anchor=True),
    Scheme("batch anchor, fidelity 0", anchor=True),
    Scheme("six panels, one character", DEFAULT, bank="empty", strength=3, panels=SIX),
    Scheme("six panels, the first as reference", DEFAULT, strength=3, panels=SIX, own=True),
    Scheme("inversion, exact, first picture", {"stream": "inversion"}),
    Scheme("noise, exact, first picture"),
    Scheme("noise, exact, one batch", {"fused": True}),
    Scheme("noise, as seldom as by default", {"refresh": 0}),
    Scheme("peer: one row, all layers", layers="all"),
    Scheme("peer: full batch, all layers", None, peer=True),
)


class Bench:
    """One UNet, one batch size.

    Args:
        batch: pictures; each has a cond and an uncond row.
        device: ``meta`` counts multiply-adds without computing anything.
    """

    def __init__(self, shape: Shape, batch: int, device: str, dtype: torch.dtype) -> None:
        self.shape, self.batch, self.device = shape, batch, device
        self.unet: nn.Module = shape.build(device, dtype)
        self.sites = find_sites(self.unet)
        generator = torch.Generator().manual_seed(0)

        def random(*size: int) -> Tensor:
            return torch.randn(size, generator=generator)

        side = shape.side
        vector = random(1, shape.vector) if shape.vector else None
        conditioning = Conditioning(random(1, WORDS, shape.context), vector)
        mask = torch.zeros(side, side)
        mask[: round(side * MASKED)] = 1
        self.references = {
            name: [
                Reference(
                    random(1, 4, side, side),
                    random(1, 4, side, side),
                    conditioning,
                    SCHEDULE,
                    mask=None if kind is None else kind(mask),
                )
                for _ in HALVES
            ]
            for name, kind in MASKS.items()
        }
        self.x = random(2 * batch, 4, side, side).to(device, dtype)
        self.bank = Bank(2**40, projected=False)

    def call(self, x: Tensor, timestep: float) -> Tensor:
        """The UNet on (B, C, h, w), as a host calls it."""
        rows = x.shape[0]
        own = self.references["none"][0].conditioning
        vector = None if own.vector is None else own.vector.to(x).expand(rows, -1)
        timesteps = torch.full((rows,), timestep, device=x.device)
        extra = {} if vector is None else {"y": vector}
        with torch.autocast("cuda", enabled=self.device == "cuda"):
            return self.unet(x, timesteps, context=own.context.to(x).expand(rows, -1, -1), **extra)

    @torch.no_grad()
    def run(self, scheme: Scheme, evaluations: int) -> PassReport:
        """A sampling run's UNet work, without the sampler."""
        report = PassReport(scheme.name)
        levels = [999 - 998 * i / evaluations for i in range(evaluations)]
        if scheme.plan is None:
            peer = FullBatchReference(self.unet, self.references["none"][0].z0.to(self.device))
            for index, timestep in enumerate(levels):
                if scheme.peer and Window().contains(index, evaluations):

                    def call(x: Tensor, timestep: float = timestep) -> Tensor:
                        return self.call(x, timestep)

                    peer.evaluate(call, self.x, SCHEDULE.sigma(timestep))
                else:
                    self.call(self.x, timestep)
            return report
        if scheme.bank == "empty":
            self.bank.clear()
        kept = Kept()
        for panel in range(scheme.panels):
            with self._session(scheme, report, kept, panel) as session:
                for index, timestep in enumerate(levels):
                    sigma = SCHEDULE.sigma(timestep)
                    session.begin(index, evaluations, sigma, cond_rows_first)
                    self.call(self.x, timestep)
        return report

    def _session(self, scheme: Scheme, report: PassReport, kept: Kept, panel: int) -> Session:
        sites = choose_sites(self.sites, 100, scheme.layers)
        replay = None if scheme.bank == "none" else Replay(self.bank, lambda: scheme.name)
        sources = [
            Source(_as_large_as(region, reference), scheme.strength, region)
            # Each region has a reference of its own.
            for reference, region in zip(self.references[scheme.mask], scheme.regions, strict=False)
        ]
        if scheme.anchor:
            sources = [Source(Own(SCHEDULE), scheme.strength)]
        elif scheme.own:
            first = panel == 0
            sources = [Source(Own(SCHEDULE, first, kept, alone=first), scheme.strength)]
        side = self.shape.side
        plan = Plan(sites, size=(side, side), **(scheme.plan or {}))
        return Session(self.unet, sources, plan, unhooked_forward, report, replay)

    def synchronise(self) -> None:
        """Waits for the device, so that a clock tells the truth."""
        if self.device == "cuda":
            torch.cuda.synchronize()


def _as_large_as(region: Region | None, reference: Reference) -> Reference:
    """A reference in its region's size, as it is shown by default."""
    if region is None:
        return reference
    height, width = reference.z0.shape[-2:]
    across, down = round(width * (region.x1 - region.x0)), round(height * (region.y1 - region.y0))
    z0, noise = (each[..., :down, :across] for each in (reference.z0, reference.noise))
    return replace(reference, z0=z0, noise=noise)


def count(shape: Shape, batch: int, evaluations: int) -> dict[str, float]:
    """Multiply-adds of each scheme over a run, relative to plain; on full-size modules."""
    bench = Bench(shape, batch, "meta", torch.float32)
    totals = {}
    for scheme in tqdm(SCHEMES, f"counting {shape.name}, batch {batch}"):
        if scheme.bank == "filled":
            bench.run(scheme, evaluations)
        with FlopCounterMode(display=False) as counter:
            bench.run(scheme, evaluations)
        totals[scheme.name] = counter.get_total_flops()
    panels = {each.name: each.panels for each in SCHEMES}
    return {name: total / panels[name] / totals["plain"] for name, total in totals.items()}


@dataclass
class Timing:
    """Seconds of each scheme in each repetition, and what it held."""

    seconds: dict[str, list[float]] = field(default_factory=dict)
    reference_bytes: dict[str, int] = field(default_factory=dict)
    peak_bytes: dict[str, int] = field(default_factory=dict)

    def ratios(self, name: str) -> list[float]:
        """To the plain run of the same repetition."""
        pairs = zip(self.seconds[name], self.seconds["plain"], strict=True)
        return sorted(mine / plain for mine, plain in pairs)

    def summary(self, name: str) -> dict[str, float]:
        """Median and spread of the ratio, and memory."""
        ratios = self.ratios(name)
        return {
            "median": statistics.median(ratios),
            "lowest": ratios[0],
            "highest": ratios[-1],
            "reference_mib": self.reference_bytes[name] / 2**20,
            "peak_mib": self.peak_bytes[name] / 2**20,
        }


def measure(bench: Bench, evaluations: int, repeats: int) -> Timing:
    """Times all schemes in turn, so that a busy machine slows all of them alike.

    On a CPU the process's own CPU seconds count, not the clock on the wall.
    """
    clock: Callable[[], float] = time.perf_counter if bench.device == "cuda" else time.process_time
    timing = Timing()
    for round_ in tqdm(range(repeats + 1), f"{bench.shape.name}, batch {bench.batch}"):
        for scheme in SCHEMES:
            if bench.device == "cuda":
                torch.cuda.reset_peak_memory_stats()
            bench.synchronise()
            begun = clock()
            report = bench.run(scheme, evaluations)
            bench.synchronise()
            spent = clock() - begun
            if round_ == 0:  # warm-up; fills the bank as well
                continue
            timing.seconds.setdefault(scheme.name, []).append(spent / scheme.panels)
            timing.reference_bytes[scheme.name] = report.reference_bytes
            timing.peak_bytes[scheme.name] = (
                torch.cuda.max_memory_allocated() if bench.device == "cuda" else report.peak_bytes
            )
    return timing
