"""What LAFI costs on Forge's own transformers: multiply-adds, counted without computing anything.

In Forge's environment: ``python -m lab.bench.transformers --forge FOLDER``.
"""

from __future__ import annotations

import argparse
import functools
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from lafi.core.injection import Row
from lafi.core.levels import NoiseSchedule, flow_level, flow_sigma
from lafi.core.plan import Plan
from lafi.core.reference import Conditioning, Reference
from lafi.core.replay.bank import Bank
from lafi.core.replay.key import Replay
from lafi.core.report import PassReport
from lafi.core.session import Session
from lafi.core.sites import choose_sites, find_sites
from lafi.core.source import Source

from ..host.forge import network_module

EVALUATIONS, SHIFT = 20, 3.0
_EVEN = torch.arange(1, 1001) / 1000
LEVELS = SHIFT * _EVEN / (1 + (SHIFT - 1) * _EVEN)

FLUX: dict[str, Any] = {
    "in_channels": 16, "vec_in_dim": 768, "context_in_dim": 4096, "hidden_size": 3072,
    "mlp_ratio": 4.0, "num_heads": 24, "depth": 19, "depth_single_blocks": 38,
    "axes_dim": [16, 56, 56], "theta": 10000, "qkv_bias": True,
}  # fmt: skip


def _flux(folder: str) -> nn.Module:
    # Without the guidance's two small layers, as schnell: its value could not be read here.
    return network_module(folder, "flux").IntegratedFluxTransformer2DModel(
        **FLUX, guidance_embed=False
    )


def _chroma(folder: str) -> nn.Module:
    guidance = {"guidance_out_dim": 3072, "guidance_hidden_dim": 5120, "guidance_n_layers": 5}
    return network_module(folder, "chroma").IntegratedChromaTransformer2DModel(**FLUX, **guidance)


def _sd3(depth: int, largest: int, norm: str | None) -> Callable[[str], nn.Module]:
    def build(folder: str) -> nn.Module:
        text = {"in_features": 4096, "out_features": 64 * depth}
        return network_module(folder, "mmditx").MMDiTX(
            in_channels=16, patch_size=2, depth=depth, adm_in_channels=2048,
            context_embedder_config={"target": "torch.nn.Linear", "params": text},
            num_patches=largest**2, pos_embed_max_size=largest, qk_norm=norm,
        )  # fmt: skip

    return build


@dataclass(frozen=True)
class Shape:
    """A network at full size, and what it is asked.

    Attributes:
        build: (Forge's folder) -> the network.
        words: of the text.
        rows: one, or two with guidance by the negative prompt.
        vector: channels of the pooled text; 0 for none.
        sets: what may see the reference: (name, layers, blocks).
    """

    name: str
    build: Callable[[str], nn.Module]
    words: int
    rows: int
    vector: int
    multiplier: float = 1.0
    sets: tuple[tuple[str, str, str], ...] = (("decoder", "decoder", ""), ("all", "all", ""))


SHAPES = (
    Shape("Flux", _flux, 256, 1, 768, sets=(
        ("19-56", "decoder", ""), ("flux-content", "decoder", "flux-content"),
        ("all 57", "all", ""),
    )),
    Shape("Chroma", _chroma, 64, 2, 0),
    Shape("SD3 medium", _sd3(24, 192, None), 154, 2, 2048, 1000.0),
    Shape("SD3.5 medium", _sd3(24, 384, "rms"), 154, 2, 2048, 1000.0),
    Shape("SD3.5 large", _sd3(38, 192, "rms"), 154, 2, 2048, 1000.0),
)  # fmt: skip

DEFAULT: dict[str, Any] = {"stream": "inversion", "refresh": 0, "fidelity": 1}


@dataclass(frozen=True)
class Scheme:
    """A way to bring the reference in.

    Attributes:
        plan: changes to the default plan.
        strength: weight on the reference's keys.
        side: of the reference, as a share of the picture's.
        later: whether an earlier picture has filled the bank.
    """

    name: str
    plan: dict[str, Any] = field(default_factory=lambda: dict(DEFAULT))
    strength: float = 3.0
    side: float = 1.0
    later: bool = False


SCHEMES = (
    Scheme("default, first picture"),
    Scheme("default, later pictures", later=True),
    Scheme("default, half the side, first picture", side=0.5),
    Scheme("default, half the side, later pictures", side=0.5, later=True),
    Scheme("noise, every evaluation, first picture", {"stream": "noise", "refresh": 1}, 1.0),
)


class Bench:
    """One network."""

    def __init__(self, shape: Shape, folder: str, side: int) -> None:
        self.shape, self.side = shape, side
        with torch.device("meta"):
            self.network = shape.build(folder).eval().requires_grad_(False)
        self.sites = find_sites(self.network)
        self.schedule = NoiseSchedule.from_flow(LEVELS, shape.multiplier)

    def _text(self, rows: int, device: str) -> dict[str, Tensor]:
        text = {"context": torch.zeros(rows, self.shape.words, 4096, device=device)}
        if self.shape.vector:
            text["y"] = torch.zeros(rows, self.shape.vector, device=device)
        return text

    def forward(
        self, network: Any, x: Tensor, timesteps: Tensor, conditioning: Conditioning, kwargs: Any
    ) -> Tensor:
        """The network without hooks."""
        extra = {} if conditioning.vector is None else {"y": conditioning.vector.to(x)}
        answer: Tensor = type(network).forward(
            network, x, timesteps, context=conditioning.context.to(x), **extra
        )
        return answer

    def reference(self, share: float) -> Reference:
        """A reference of a share of the picture's side."""
        side, text = round(self.side * share), self._text(1, "cpu")
        z0, noise = torch.zeros(2, 1, 16, side, side)
        conditioning = Conditioning(text["context"], text.get("y"))
        return Reference(z0, noise, conditioning, self.schedule, "flow")

    def call(self, level: float) -> None:
        """One evaluation."""
        rows = self.shape.rows
        x = torch.zeros(rows, 16, self.side, self.side, device="meta")
        read = torch.full((rows,), self.shape.multiplier * level, device="meta")
        self.network(x, read, **self._text(rows, "meta"))

    @torch.no_grad()
    def plain(self) -> int:
        """Operations of an evaluation without LAFI."""
        return _counted(lambda: self.call(0.5))

    @torch.no_grad()
    def run(self, scheme: Scheme, sites: Any, bank: Bank, plain: int) -> tuple[int, PassReport]:
        """Operations of a whole run, without the sampler.

        The first two evaluations that inject are counted: the others are like the second.
        """
        report, levels = PassReport("count"), _levels()
        source = Source(self.reference(scheme.side), scheme.strength)
        plan = Plan(sites, **scheme.plan)
        # What is recorded in each evaluation has a key that only real timesteps tell.
        replay = None if plan.refresh == 1 else Replay(bank, lambda: "one")
        counted = []
        with Session(self.network, [source], plan, self.forward, report, replay) as session:
            for index, sigma in enumerate(levels[:3]):
                session.begin(index, EVALUATIONS, sigma, _rows)
                if sigma < math.inf:
                    counted.append(_counted(functools.partial(self.call, flow_level(sigma))))
        active = plan.window.count(EVALUATIONS, 1)  # but for the first, of nothing but noise
        first, second = counted
        return first + (active - 1) * second + (EVALUATIONS - active) * plain, report


def _levels() -> list[float]:
    shares = (1 - index / EVALUATIONS for index in range(EVALUATIONS))
    return [flow_sigma(float(LEVELS[round(999 * share)])) for share in shares]


def _rows(rows: int, kwargs: dict[str, Any]) -> list[Row]:
    return [Row(row == 0) for row in range(rows)]


def count(shape: Shape, folder: str, side: int) -> None:
    """Tells the ratios to a plain run, and how much a recording takes."""
    bench = Bench(shape, folder, side)
    plain = bench.plain()
    terms = plain / 2 / shape.rows / 1e12
    print(f"\n{shape.name}, {8 * side}x{8 * side}, {shape.rows} row(s): {terms:.2f} TMAC a row")
    for name, layers, blocks in shape.sets:
        sites = choose_sites(bench.sites, 100, layers, blocks)
        print(f"  {name}: {len(sites)} of {len(bench.sites)} sites")
        bank = Bank(2**50)
        for scheme in SCHEMES:
            if not scheme.later:
                bank.clear()
            total, made = bench.run(scheme, sites, bank, plain)
            mib = made.reference_bytes / 2 / 2**20  # in half precision
            print(f"    {scheme.name:42} {total / plain / EVALUATIONS:6.3f}   "
                  f"{made.recorded} recorded, {mib:6.0f} MiB each", flush=True)  # fmt: skip


class _Counter(TorchDispatchMode):
    """Adds up what torch knows of each operation."""

    total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        known = flop_registry.get(func._overloadpacket)
        if known is not None:
            self.total += known(*args, **(kwargs or {}), out_val=out)
        return out


def _counted(run: Callable[[], object]) -> int:
    with _Counter() as counter:
        run()
    return counter.total


def main() -> None:
    """Counts all that the command line names."""
    parser = argparse.ArgumentParser(prog="python -m lab.bench.transformers", description=__doc__)
    parser.add_argument("--forge", required=True, help="Forge's folder")
    parser.add_argument("--side", type=int, default=128, help="of the latent")
    parser.add_argument("--only", nargs="+", default=[each.name for each in SHAPES])
    options = parser.parse_args()
    for shape in SHAPES:
        if shape.name in options.only:
            count(shape, options.forge, options.side)


if __name__ == "__main__":
    main()
