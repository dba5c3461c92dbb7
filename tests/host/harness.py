"""Small real UNets with the layouts of SD 1.x, SD 2.x and SDXL, and one evaluation on them."""

from __future__ import annotations

import contextlib
import copy
import functools
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from lab.host.bundled import SGMUNetModel
from lab.host.embedded import cond_rows_first, unhooked_forward
from lab.host.model import build_unet, fill_zero_layers, sd_alphas_cumprod, sharpen_attention
from lafi.core.levels import NoiseSchedule, scale_input
from lafi.core.mask import TokenMask
from lafi.core.plan import Plan
from lafi.core.reference import Conditioning, Reference
from lafi.core.replay.bank import Bank
from lafi.core.replay.key import Replay
from lafi.core.report import PassReport
from lafi.core.session import RowKinds, Session
from lafi.core.sites import Site, choose_sites, find_sites
from lafi.core.source import Source
from lafi.hosts.identity import Weights

SIDE, WORDS, WIDTH, VECTOR = 16, 7, 32, 24
SCHEDULE = NoiseSchedule.from_alphas(sd_alphas_cumprod())
# Sums in another order: what float32 leaves of an exact equality after a whole UNet.
TOLERANCE = {"rtol": 1e-3, "atol": 1e-4}
# Of the evaluations that `run` makes.
LEVELS = (6.0, 2.0, 0.5)


LAYOUTS: dict[str, dict[str, Any]] = {
    "sd1": {},
    "sd1 checkpointing": {"use_checkpoint": True},
    "sd2": {"num_heads": -1, "num_head_channels": 16, "use_linear_in_transformer": True},
}
# sgm's own class, as it is configured for SDXL.
SDXL: dict[str, Any] = {
    "in_channels": 4,
    "out_channels": 4,
    "num_res_blocks": 2,
    "channel_mult": [1, 2, 4],
    "attention_resolutions": [4, 2],
    "num_head_channels": 16,
    "transformer_depth": [0, 2, 3],
    "use_linear_in_transformer": True,
    "num_classes": "sequential",
    "adm_in_channels": VECTOR,
}


@dataclass(frozen=True)
class Target:
    """One evaluation's rows.

    Attributes:
        latent: (B, 4, 16, 16) in variance-exploding form.
        context: (B, 7, 32) text.
        vector: (B, 24), or None.
    """

    latent: Tensor
    sigma: float
    context: Tensor
    vector: Tensor | None

    def rows(self, *indices: int) -> Target:
        """Some of the rows."""
        index = list(indices)
        vector = None if self.vector is None else self.vector[index]
        return replace(self, latent=self.latent[index], context=self.context[index], vector=vector)


@dataclass(frozen=True)
class Case:
    """A UNet of one layout."""

    name: str
    unet: nn.Module
    prediction: str
    device: str = "cpu"

    def to(self, device: str) -> Case:
        """The same on another device, with a UNet of its own."""
        return replace(self, unet=copy.deepcopy(self.unet).to(device), device=device)

    @functools.cached_property
    def sites(self) -> tuple[Site, ...]:
        return find_sites(self.unet)

    def target(self, rows: int = 2, sigma: float = 2.0, seed: int = 1) -> Target:
        """Random rows."""
        generator = torch.Generator().manual_seed(seed)
        latent = torch.randn(rows, 4, SIDE, SIDE, generator=generator) * (1 + sigma**2) ** 0.5
        context = torch.randn(rows, WORDS, WIDTH, generator=generator)
        vector = torch.randn(rows, VECTOR, generator=generator)
        return Target(latent, sigma, context, vector if self.name == "sdxl" else None)

    def reference(self, seed: int = 2, mask: Any = None) -> Reference:
        """A random reference."""
        generator = torch.Generator().manual_seed(seed)
        z0, noise = torch.randn(2, 1, 4, SIDE, SIDE, generator=generator)
        text = self.target(1, seed=seed)
        conditioning = Conditioning(text.context, text.vector)
        return Reference(z0, noise, conditioning, SCHEDULE, self.prediction, mask)

    def same_as(self, row: Target) -> Reference:
        """A reference whose row is bit-equal to a target of one row, at that target's level."""
        conditioning = Conditioning(row.context, row.vector)
        zeros = torch.zeros_like(row.latent)
        return Reference(row.latent, zeros, conditioning, SCHEDULE, self.prediction)

    def plain(self, target: Target) -> Tensor:
        """The UNet's answer (B, 4, 16, 16), on the CPU."""
        extra = {} if target.vector is None else {"y": target.vector.to(self.device)}
        level = torch.full((len(target.latent),), SCHEDULE.timestep(target.sigma))
        x = scale_input(target.latent, target.sigma).to(self.device)
        context = target.context.to(self.device)
        with torch.no_grad():
            return self.unet(x, level.to(self.device), context=context, **extra).cpu()

    def session(
        self,
        reference: Reference | list[Source],
        depth: float = 100,
        layers: str = "decoder",
        replay: Replay | None = None,
        strength: float = 1.0,
        **plan: Any,
    ) -> Session:
        """A session that injects where `depth` and `layers` say, if `plan` does not.

        Args:
            strength: of a single reference.
        """
        plan.setdefault("sites", choose_sites(self.sites, depth, layers))
        report = PassReport("first")
        sources = reference if isinstance(reference, list) else [Source(reference, strength)]
        return Session(self.unet, sources, Plan(**plan), unhooked_forward, report, replay)

    def injected(
        self,
        target: Target,
        reference: Reference | list[Source],
        row_kinds: RowKinds = cond_rows_first,
        probe: Probe | None = None,
        **plan: Any,
    ) -> Tensor:
        """The UNet's answer in an evaluation that injects."""
        with self.session(reference, **plan) as session:
            session.begin(0, 1, target.sigma, row_kinds)
            with probe or contextlib.nullcontext():
                return self.plain(target)


@functools.cache
def case(name: str) -> Case:
    """The UNet of a layout; its weights are random, and none is zero."""
    layout = {"model_channels": 32, "context_dim": WIDTH}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        if name == "sdxl":
            unet = SGMUNetModel(**layout, **SDXL).eval()
        else:
            unet = build_unet(**layout, **LAYOUTS[name])
        fill_zero_layers(unet, std=0.1)
        sharpen_attention(unet, gain=3)
    return Case(name, unet, "v" if name == "sd2" else "eps")


def run(
    case: Case,
    reference: Reference,
    bank: Bank | None,
    identity: str = "model",
    levels: tuple[float, ...] = LEVELS,
    **plan: Any,
) -> tuple[list[Tensor], PassReport]:
    """The answers of a run of a few evaluations."""
    weights = Weights()
    replay = None if bank is None else Replay(bank, lambda: (identity, weights(case.unet)))
    answers = []
    with case.session(reference, replay=replay, **plan) as session:
        for index, sigma in enumerate(levels):
            session.begin(index, 10, sigma, cond_rows_first)
            answers.append(case.plain(case.target(2, sigma)))
    return answers, session.report


def mask() -> TokenMask:
    """Keeps the middle."""
    kept = torch.zeros(SIDE, SIDE, dtype=torch.bool)
    kept[4:12, 4:12] = True
    return TokenMask(kept)


@dataclass
class Probe:
    """What one site is given and what it answers, call by call.

    Attributes:
        site: where.
        inputs: (B, N, C) the attention's own tokens.
        outputs: (B, N, C) its answers; missing for a reference pass that ended here.
    """

    unet: nn.Module
    site: Site
    inputs: list[Tensor] = field(default_factory=list)
    outputs: list[Tensor] = field(default_factory=list)

    def __enter__(self) -> None:
        block = self.unet.get_submodule(self.site.name.removesuffix(".attn1"))
        self._handles = [
            block.norm1.register_forward_hook(lambda m, a, output: self.inputs.append(output)),
            # Entered after the session's hooks, so that this one sees their result.
            block.attn1.register_forward_hook(lambda m, a, output: self.outputs.append(output)),
        ]

    def __exit__(self, *_: object) -> None:
        for handle in self._handles:
            handle.remove()


@contextlib.contextmanager
def traced(unet: nn.Module) -> Iterator[dict[str, Tensor]]:
    """The latest output of every block of the UNet, by the block's name."""
    blocks = {
        name: module
        for name, module in unet.named_modules()
        if name == "middle_block" or name.rpartition(".")[0] in ("input_blocks", "output_blocks")
    }
    outputs: dict[str, Tensor] = {}

    def keep(name: str) -> Any:
        return lambda module, args, output: outputs.__setitem__(name, output)

    handles = [module.register_forward_hook(keep(name)) for name, module in blocks.items()]
    try:
        yield outputs
    finally:
        for handle in handles:
            handle.remove()
