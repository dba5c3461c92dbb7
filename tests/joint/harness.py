"""A transformer, one evaluation on it, and runs of a few."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from lafi.core.injection import Row
from lafi.core.levels import NoiseSchedule, flow_level, scale_input
from lafi.core.mask import TokenMask
from lafi.core.plan import Plan
from lafi.core.reference import Conditioning, Reference
from lafi.core.replay.bank import Bank
from lafi.core.replay.key import Replay
from lafi.core.report import PassReport
from lafi.core.schedule import Window
from lafi.core.session import RowKinds, Session
from lafi.core.sites import Site, choose_sites, find_sites
from lafi.core.source import Source

from .flux_shape import FluxShape
from .lumina_shape import LuminaShape
from .parts import CHANNELS, TEXT, VECTOR
from .sd3_shape import Sd3Shape

HEIGHT, WIDTH = 12, 16
WORDS, REFERENCE_WORDS = 7, 5
TOLERANCE = {"rtol": 1e-3, "atol": 1e-5}
# Flow levels of the evaluations that `run` makes: nothing but noise first, as all runs begin.
LEVELS = (1.0, 0.9, 0.75, 0.5, 0.25)


@dataclass(frozen=True)
class Target:
    """One evaluation's rows.

    Attributes:
        latent: (B, C, h, w) in variance-exploding form.
        context: (B, L, D) text.
        vector: (B, A).
        guidance: what the network is told, where it wants to know.
    """

    latent: Tensor
    sigma: float
    context: Tensor
    vector: Tensor
    guidance: float | None = None

    def rows(self, *indices: int) -> Target:
        """Some of the rows."""
        index = list(indices)
        latent, context, vector = (each[index] for each in (self.latent, self.context, self.vector))
        return replace(self, latent=latent, context=context, vector=vector)


@dataclass(frozen=True)
class Case:
    """A network.

    Attributes:
        rotary: whether keys have rotary positions.
        multiplier: what it reads at the flow level 1.
        reads: which of text vector and guidance it reads.
        guidance: where it cannot do without.
        channels, text, vector: sizes of what it reads.
    """

    name: str
    network: nn.Module
    rotary: bool
    multiplier: float = 1.0
    reads: tuple[str, ...] = ("y",)
    guidance: float | None = None
    channels: int = CHANNELS
    text: int = TEXT
    vector: int = VECTOR

    @functools.cached_property
    def sites(self) -> tuple[Site, ...]:
        return find_sites(self.network)

    @functools.cached_property
    def schedule(self) -> NoiseSchedule:
        even = torch.arange(1, 1001) / 1000
        return NoiseSchedule.from_flow(3 * even / (1 + 2 * even), self.multiplier)

    def target(self, rows: int = 2, level: float = 0.7, seed: int = 1, **more: Any) -> Target:
        """Random rows at a flow level."""
        generator = torch.Generator().manual_seed(seed)
        words = more.pop("words", WORDS)
        latent = torch.randn(rows, self.channels, HEIGHT, WIDTH, generator=generator)
        context = torch.randn(rows, words, self.text, generator=generator)
        vector = torch.randn(rows, self.vector, generator=generator)
        sigma = level / (1 - level)
        return Target(latent * (1 + sigma), sigma, context, vector, **more)

    def reference(self, seed: int = 2, mask: Any = None) -> Reference:
        """A random reference; its text is shorter."""
        generator = torch.Generator().manual_seed(seed)
        z0, noise = torch.randn(2, 1, self.channels, HEIGHT, WIDTH, generator=generator)
        text = self.target(1, seed=seed, words=REFERENCE_WORDS)
        conditioning = Conditioning(text.context, text.vector)
        return Reference(z0, noise, conditioning, self.schedule, "flow", mask)

    def same_as(self, row: Target) -> Reference:
        """A reference whose row is bit-equal to a target of one row, at that target's level."""
        conditioning = Conditioning(row.context, row.vector)
        zeros = torch.zeros_like(row.latent)
        return Reference(row.latent, zeros, conditioning, self.schedule, "flow")

    def plain(self, target: Target) -> Tensor:
        """The network's answer (B, C, h, w)."""
        rows = len(target.latent)
        level = torch.full((rows,), self.multiplier * flow_level(target.sigma))
        extra = {"y": target.vector, "guidance": None}
        guidance = self.guidance if target.guidance is None else target.guidance
        if guidance is not None:
            extra["guidance"] = torch.full((rows,), guidance)
        kwargs = {name: value for name, value in extra.items() if name in self.reads}
        x = scale_input(target.latent, target.sigma, "flow")
        with torch.no_grad():
            return self.network(x, level, context=target.context, **kwargs)

    def forward(
        self, network: Any, x: Tensor, timesteps: Tensor, conditioning: Conditioning, kwargs: Any
    ) -> Tensor:
        """The network without hooks, as a host's adapter calls it."""
        extra: dict[str, Any] = {"y": conditioning.vector}
        guidance = kwargs.get("guidance")
        extra["guidance"] = None if guidance is None else guidance[:1].expand(len(x))
        read = {name: value for name, value in extra.items() if name in self.reads}
        with torch.no_grad():
            return type(network).forward(
                network, x, timesteps, context=conditioning.context, **read
            )

    def session(
        self,
        reference: Reference | list[Source],
        depth: float = 100,
        layers: str = "decoder",
        replay: Replay | None = None,
        strength: float = 1.0,
        **plan: Any,
    ) -> Session:
        """A session that injects where `depth` and `layers` say, if `plan` does not."""
        plan.setdefault("sites", choose_sites(self.sites, depth, layers))
        plan.setdefault("window", Window(0, 100))
        sources = reference if isinstance(reference, list) else [Source(reference, strength)]
        report = PassReport("first")
        return Session(self.network, sources, Plan(**plan), self.forward, report, replay)

    def injected(
        self,
        target: Target,
        reference: Reference | list[Source],
        row_kinds: RowKinds | None = None,
        **plan: Any,
    ) -> Tensor:
        """The network's answer in an evaluation that injects."""
        with self.session(reference, **plan) as session:
            session.begin(0, 1, target.sigma, row_kinds or cond_rows_first)
            return self.plain(target)


def cond_rows_first(rows: int, kwargs: dict[str, Any]) -> list[Row]:
    """Each picture's cond row, then each one's uncond row."""
    pictures = max(rows // 2, 1)
    return [Row(row < rows // 2 or rows == 1, row % pictures) for row in range(rows)]


def pictures(rows: int, kwargs: dict[str, Any]) -> list[Row]:
    """Every row is a picture's cond row: CFG 1."""
    return [Row(True, picture) for picture in range(rows)]


def run(
    case: Case, reference: Any, bank: Bank | None = None, guidance: float | None = None, **plan: Any
) -> tuple[list[Tensor], PassReport]:
    """The answers of a run of a few evaluations."""
    replay = None if bank is None else Replay(bank, lambda: "model")
    answers = []
    with case.session(reference, replay=replay, **plan) as session:
        for index, level in enumerate(LEVELS):
            sigma = level / (1 - level) if level < 1 else float("inf")
            session.begin(index, len(LEVELS), sigma, cond_rows_first)
            shown = case.target(2, min(level, 0.999), guidance=guidance)
            answers.append(case.plain(shown))
    return answers, session.report


def mask() -> TokenMask:
    """Keeps the middle."""
    kept = torch.zeros(HEIGHT, WIDTH, dtype=torch.bool)
    kept[4:8, 4:12] = True
    return TokenMask(kept)


def fill(network: nn.Module) -> nn.Module:
    """Random weights, of which none is zero, that make attention sharp and blocks matter."""
    generator = torch.Generator().manual_seed(0)
    for parameter in network.parameters():
        scale = 0.1 if parameter.dim() < 2 else parameter.shape[-1] ** -0.5
        with torch.no_grad():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * scale)
    return network.eval()


@contextlib.contextmanager
def traced(network: nn.Module) -> Iterator[dict[str, Any]]:
    """The latest output of every block, by the block's name; a copy."""
    blocks = {
        name: module
        for name, module in network.named_modules()
        if name.rpartition(".")[0] in ("double_blocks", "single_blocks", "joint_blocks", "layers")
    }
    outputs: dict[str, Any] = {}

    def keep(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, args: Any, output: Any) -> None:
            parts = output if isinstance(output, tuple) else (output,)
            outputs[name] = [each.clone() for each in parts if each is not None]

        return hook

    handles = [module.register_forward_hook(keep(name)) for name, module in blocks.items()]
    try:
        yield outputs
    finally:
        for handle in handles:
            handle.remove()


def stand_ins() -> dict[str, Callable[[], Case]]:
    """The networks that need no WebUI, by name."""
    return {
        "flux shape": lambda: Case("flux shape", fill(FluxShape()), True, reads=("y", "guidance")),
        "sd3 shape": lambda: Case("sd3 shape", fill(Sd3Shape()), False, 1000.0),
        "lumina shape": lambda: Case("lumina shape", fill(LuminaShape()), False, reads=()),
    }
