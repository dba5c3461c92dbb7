"""The UNet and the text model, trained on the cells of drawn pictures.

v-prediction (Salimans and Ho 2022) on SD's noise schedule: colours are decided at high noise, where
eps-prediction gives them next to no weight. Low noise, where only texture is left to learn, is
visited less often. Cells of colours that are rare in a picture (shoes, hair, eyes) weigh more than
those of its wall, and what reads the words learns faster than the rest: without both, the words of
small things are never learned.
"""

from __future__ import annotations

import copy
import itertools
from pathlib import Path
from random import Random

import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor, nn

from ..host.model import sd_alphas_cumprod
from ..host.tokenizer import Tokenizer
from ..world import ACTIONS, CELL, FACINGS, Picture, training_caption, training_pictures
from .data import render_batch, tile, to_bytes, to_colours, to_latents
from .nets import build_unet
from .runs import RUNS, Stage, autocast, device, learning_rate, log, on_gpu
from .text import TextModel, known_tokens

PEAK_RATE = 5e-4
WORDS_FASTER = 2.0  # the learning rate of the text model and of cross-attention, in PEAK_RATE
SEED, FIRST = 1, 0  # of torch; the number of the first batch of pictures
EMA = 0.998
RARER_ABOVE = 1.5  # signal-to-noise ratio
GRID_EVERY = 600.0  # seconds
_PLACES = ("blue room", "pink field", "yellow beach")
_NAMED = (
    "a figure, pale skin, red spiky hair, blue striped shirt, black trousers, white shoes, red bag",
    "a figure, dark skin, white long hair, green cone, red plain shirt, white trousers, blue shoes",
    "a figure, tan skin, blond bun hair, yellow crown, pink split shirt, navy trousers, brown bag",
)
GRID_PROMPTS = [
    *(f"a figure, {a} facing {FACINGS[i % 2]}, {_PLACES[i % 3]}" for i, a in enumerate(ACTIONS)),
    "a figure, waving facing front, grey room",
    "a figure, standing facing back, green field",
    f"{_NAMED[0]}, standing facing right, blue room",
    f"{_NAMED[1]}, waving facing right, grey field",
    f"{_NAMED[2]}, running facing right, pink beach",
    f"{_NAMED[2]}, sitting facing left, green room",
]
PAIR_PROMPTS = [
    "the same figure twice, standing facing right, running facing left, grey room",
    "the same figure twice, sitting facing right, cheering facing left, green beach",
    "the same figure twice, kicking facing left, waving facing right, purple field",
    "two figures, waving facing right, standing facing left, yellow beach",
]


class Model(nn.Module):
    """UNet and text model together."""

    def __init__(self) -> None:
        super().__init__()
        self.tokenizer = Tokenizer()
        self.unet = build_unet()
        self.text = TextModel(known_tokens(self.tokenizer))

    def context(self, captions: list[str]) -> Tensor:
        """(B, 77, WIDTH)."""
        return self.text(self.tokenizer(captions).to(device()))

    def forward(self, x: Tensor, timesteps: Tensor, context: Tensor) -> Tensor:
        return self.unet(x, timesteps, context)


class Times:
    """Draws timesteps, high signal-to-noise ratios less often."""

    def __init__(self) -> None:
        alphas = sd_alphas_cumprod().double()
        shares = RARER_ABOVE / (RARER_ABOVE + alphas / (1 - alphas))
        self._steps = (shares / shares.sum()).cumsum(0).float()

    def draw(self, count: int) -> Tensor:
        """(count,) timesteps, one from each of `count` equal shares: less noise in the loss."""
        shares = (torch.arange(count) + torch.rand(count)) / count
        return torch.searchsorted(self._steps, shares).clamp(max=999).to(device())


def batch(step: int) -> list[Picture]:
    """The pictures of a step."""
    return training_pictures(FIRST + step, on_gpu(65536, otherwise=4096))


def train(minutes: float, start: Path | None = None, compiled: bool = False) -> Model:
    """Trains for `minutes`; returns the averaged (EMA) model.

    Args:
        start: weights to begin with, as `unet.*` and `text.*`; none: from nothing.
        compiled: compiles the UNet first: faster, but it needs a C++ compiler and minutes.
    """
    torch.manual_seed(SEED)
    model = Model().to(device())
    if start is not None:
        model.load_state_dict(load_file(start))
    average = copy.deepcopy(model).requires_grad_(False)
    optimizer = torch.optim.AdamW(
        _groups(model), PEAK_RATE, betas=(0.9, 0.99), weight_decay=0.01, fused=True
    )
    stage = Stage("diffusion", minutes, model=model, average=average, optimizer=optimizer)
    if compiled:
        model.unet.compile()
    times = Times()
    shown, running, seen = stage.seconds, None, 0
    for step in stage.steps():
        learning_rate(optimizer, PEAK_RATE, step, stage.progress)
        rng, pictures = Random(step), batch(step)
        captions = [training_caption(each, rng) for each in pictures]
        cells = render_batch(pictures)
        latents, weights = to_latents(cells).to(device()), rarity(cells).to(device())
        noise = torch.randn_like(latents)
        loss = loss_of(model, latents, captions, times.draw(len(latents)), noise, weights).mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        _follow(average, model, min(EMA, (step + 1) / (step + 10)))
        seen += len(latents)
        running = loss.item() if running is None else 0.99 * running + 0.01 * loss.item()
        if step % 50 == 0:
            log.info(
                "diffusion step %d, loss %.4f, %.0f s, %d pictures in this run",
                step, running, stage.seconds, seen,
            )  # fmt: skip
        if stage.seconds - shown > GRID_EVERY:
            shown = stage.seconds
            draw_grid(average, RUNS / f"grid_{step:06d}.png")
    draw_grid(average, RUNS / "grid_last.png")
    return average


def _groups(model: Model) -> list[dict]:
    """The parameters that read words, and all others."""
    words = dict(model.text.named_parameters(prefix="text"))
    words |= {n: p for n, p in model.named_parameters() if ".attn2." in n}
    others = [p for n, p in model.named_parameters() if n not in words]
    return [{"params": others, "scale": 1.0}, {"params": [*words.values()], "scale": WORDS_FASTER}]


def rarity(cells: Tensor) -> Tensor:
    """Weights (B, 1, h, w) of cells (B, 3, h, w), of mean 1 in each picture.

    A cell's is one over the root of how many cells of its picture have its colour.
    """
    flat = (cells * 127.5).round().long().flatten(2)
    codes = (flat[:, 0] << 20) + (flat[:, 1] << 10) + flat[:, 2]
    counts = (codes[:, :, None] == codes[:, None]).sum(2)
    weights = counts.float().rsqrt()
    weights = weights / weights.mean(1, keepdim=True)
    return weights.view(len(cells), 1, *cells.shape[2:])


def _follow(average: nn.Module, model: nn.Module, decay: float) -> None:
    for kept, new in zip(average.parameters(), model.parameters(), strict=True):
        kept.lerp_(new.detach(), 1 - decay)


def loss_of(
    model: Model,
    latents: Tensor,
    captions: list[str],
    timesteps: Tensor,
    noise: Tensor,
    weights: Tensor | float = 1.0,
) -> Tensor:
    """v-prediction loss per sample (B,); `weights` (B, 1, h, w) of its cells, of mean 1."""
    alphas = sd_alphas_cumprod().to(latents)[timesteps].view(-1, 1, 1, 1)
    noised = alphas.sqrt() * latents + (1 - alphas).sqrt() * noise
    target = alphas.sqrt() * noise - (1 - alphas).sqrt() * latents
    with autocast():
        output = model(noised, timesteps, model.context(captions))
    return (weights * F.mse_loss(output.float(), target, reduction="none")).mean((1, 2, 3))


@torch.no_grad()
def sample(
    model: Model,
    captions: list[str],
    seed: int,
    shape: tuple[int, int] = (16, 16),
    steps: int = 20,
    guidance: float = 3.0,
) -> Tensor:
    """Latents (B, 4, h, w) of `shape` (columns, rows) by DDIM with classifier-free guidance."""
    generator = torch.Generator().manual_seed(seed)
    columns, rows = shape
    x = torch.randn(len(captions), 4, rows, columns, generator=generator).to(device())
    alphas = sd_alphas_cumprod().to(device())
    times = torch.linspace(999, 0, steps + 1, device=device()).round().long()
    with autocast():
        context = model.context([*captions, *[""] * len(captions)])
    for now, later in itertools.pairwise(times):
        with autocast():
            output = model(torch.cat([x, x]), now.expand(2 * len(x)), context).float()
        cond, uncond = output.chunk(2)
        v = uncond + guidance * (cond - uncond)
        a, b = alphas[now], alphas[later]
        clean = a.sqrt() * x - (1 - a).sqrt() * v
        noise = a.sqrt() * v + (1 - a).sqrt() * x
        x = b.sqrt() * clean + (1 - b).sqrt() * noise
    return x


@torch.no_grad()
def draw_grid(model: Model, path: Path) -> None:
    """Samples of GRID_PROMPTS and PAIR_PROMPTS as one picture, each cell enlarged."""
    rows = []
    for prompts, shape, columns in ((GRID_PROMPTS, (16, 16), 8), (PAIR_PROMPTS, (32, 16), 4)):
        rows.append(tile(to_bytes(to_colours(sample(model, prompts, 0, shape))), columns))
    picture = Image.fromarray(torch.cat([torch.from_numpy(row) for row in rows]).numpy())
    size = (picture.width * CELL, picture.height * CELL)
    picture.resize(size, Image.Resampling.NEAREST).save(path)
    log.info("drew %s", path)
