"""Stage 2: the UNet and the text model, on latents of rendered pictures.

v-prediction (Salimans and Ho 2022) on SD's noise schedule: colours are decided at high noise, where
eps-prediction gives them next to no weight. Low noise, where only texture is left to learn, is
visited less often.
"""

from __future__ import annotations

import copy
import itertools
from random import Random

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .data import render_batch, tile, to_bytes
from .encoder import encode, principal_components
from .nets import LATENT, SCALE_FACTOR, Autoencoder, build_unet
from .runs import RUNS, Stage, autocast, device, learning_rate, log, on_gpu
from .text import TextModel, Tokenizer, known_tokens
from .world import ACTIONS, FACINGS, training_caption, training_picture

PEAK_RATE = 6e-4
EMA = 0.998
RARER_ABOVE = 1.5  # signal-to-noise ratio
POOL, FIRST = 80_000, 1_024
GRID_EVERY = 600.0  # seconds
_PLACES = ("blue room", "pink field", "yellow beach")
_ORACLES = (
    "a figure, pale skin, red spiky hair, blue striped shirt, black trousers, white shoes",
    "a figure, dark skin, white long hair, green cone, red plain shirt, white trousers, red shoes",
    "a figure, tan skin, blond bun hair, yellow split shirt, navy trousers, black shoes",
)
GRID_PROMPTS = [
    *(f"a figure, {a} facing {FACINGS[i % 2]}, {_PLACES[i % 3]}" for i, a in enumerate(ACTIONS)),
    "the same figure twice, standing facing right, running facing left, grey room",
    "the same figure twice, sitting facing right, cheering facing left, green beach",
    "the same figure twice, kicking facing left, waving facing right, purple field",
    f"{_ORACLES[0]}, standing facing right, blue room",
    f"{_ORACLES[1]}, waving facing left, grey field",
    f"{_ORACLES[2]}, running facing right, pink beach",
]


def alphas_cumprod() -> Tensor:
    """(1000,) of SD's schedule, float64."""
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    return torch.cumprod(1 - betas, 0)


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


class Pool:
    """Latents of numbered pictures, the newest `POOL` of them, filled while training goes on."""

    def __init__(self, first: int) -> None:
        self._components = principal_components()
        self._latents = torch.empty(POOL, *LATENT, dtype=torch.float16)
        self._first = self._next = first

    def add(self, count: int) -> None:
        """Draws and encodes the next `count` pictures."""
        for start in range(self._next, self._next + count, 16):
            numbers = range(start, min(start + 16, self._next + count))
            pixels = render_batch(training_picture(number) for number in numbers)
            for number, latent in zip(numbers, encode(pixels, *self._components), strict=True):
                self._latents[number % POOL] = latent.half()
        self._next += count

    def batch(self, count: int, rng: Random) -> tuple[Tensor, list[str]]:
        """Random latents (B, 4, h, w) and their captions."""
        low = max(self._first, self._next - POOL)
        numbers = [rng.randrange(low, self._next) for _ in range(count)]
        captions = [training_caption(training_picture(number), rng) for number in numbers]
        return self._latents[[number % POOL for number in numbers]].float().to(device()), captions


class Times:
    """Draws timesteps, high signal-to-noise ratios less often."""

    def __init__(self) -> None:
        alphas = alphas_cumprod()
        shares = RARER_ABOVE / (RARER_ABOVE + alphas / (1 - alphas))
        self._steps = (shares / shares.sum()).cumsum(0).float()

    def draw(self, count: int) -> Tensor:
        """(count,) timesteps, one from each of `count` equal shares: less noise in the loss."""
        shares = (torch.arange(count) + torch.rand(count)) / count
        return torch.searchsorted(self._steps, shares).clamp(max=999).to(device())


def train(autoencoder: Autoencoder, minutes: float, compiled: bool = False) -> Model:
    """Trains for `minutes`; returns the averaged (EMA) model.

    Args:
        compiled: compiles the networks first: a third faster on a CPU, but it needs a C++ compiler.
    """
    torch.manual_seed(1)
    batch = on_gpu(256, otherwise=16)
    model = Model().to(device())
    average = copy.deepcopy(model).requires_grad_(False)
    optimizer = torch.optim.AdamW(
        model.parameters(), PEAK_RATE, betas=(0.9, 0.99), weight_decay=0.01, fused=True
    )
    stage = Stage("diffusion", minutes, model=model, average=average, optimizer=optimizer)
    if compiled:
        model.unet.compile()
        model.text.compile()
    pool = Pool(stage.step * batch)
    pool.add(FIRST)
    times = Times()
    shown, running = stage.seconds, None
    for step in stage.steps():
        pool.add(batch // 2)
        learning_rate(optimizer, PEAK_RATE, step, stage.progress)
        latents, captions = pool.batch(batch, Random(step))
        noise = torch.randn_like(latents)
        loss = loss_of(model, latents, captions, times.draw(batch), noise).mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        decay = min(EMA, (step + 1) / (step + 10))
        for kept, new in zip(average.parameters(), model.parameters(), strict=True):
            kept.lerp_(new.detach(), 1 - decay)
        running = loss.item() if running is None else 0.99 * running + 0.01 * loss.item()
        if step % 50 == 0:
            seen = (step + 1) * batch
            log.info(
                "diffusion step %d, %d samples, loss %.4f, %.0f s",
                step,
                seen,
                running,
                stage.seconds,
            )
        if stage.seconds - shown > GRID_EVERY:
            shown = stage.seconds
            draw_grid(average, autoencoder, RUNS / f"grid_{step:06d}.png")
    draw_grid(average, autoencoder, RUNS / "grid_last.png")
    return average


def loss_of(
    model: Model, latents: Tensor, captions: list[str], timesteps: Tensor, noise: Tensor
) -> Tensor:
    """v-prediction loss per sample (B,), unweighted."""
    alphas = alphas_cumprod().float().to(latents)[timesteps].view(-1, 1, 1, 1)
    noised = alphas.sqrt() * latents + (1 - alphas).sqrt() * noise
    target = alphas.sqrt() * noise - (1 - alphas).sqrt() * latents
    with autocast():
        output = model(noised, timesteps, model.context(captions))
    return F.mse_loss(output.float(), target, reduction="none").mean((1, 2, 3))


@torch.no_grad()
def sample(
    model: Model, captions: list[str], seed: int, steps: int = 20, guidance: float = 3.0
) -> Tensor:
    """Latents (B, 4, h, w) by DDIM with classifier-free guidance."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(len(captions), *LATENT, generator=generator).to(device())
    alphas = alphas_cumprod().float().to(device())
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
def draw_grid(model: Model, autoencoder: Autoencoder, path) -> None:
    """Samples of GRID_PROMPTS as one picture."""
    from PIL import Image

    latents = sample(model, GRID_PROMPTS, 0)
    with autocast():
        pictures = autoencoder.decode(latents / SCALE_FACTOR)
    Image.fromarray(tile(to_bytes(pictures), 8)).save(path)
    log.info("drew %s", path)
