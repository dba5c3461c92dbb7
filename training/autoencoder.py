"""The autoencoder (factor 8, 4 channels): a closed-form encoder, and a decoder that is trained."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from .data import render_batch, tile, to_bytes
from .encoder import install, principal_components
from .nets import SCALE_FACTOR, Autoencoder
from .runs import RUNS, Stage, autocast, device, learning_rate, log, on_gpu
from .world import training_picture

NOISE = 0.1  # added to latents of variance 1, so that the decoder bears imperfect ones
RATE = 2e-3


def loss_of(output: Tensor, target: Tensor) -> Tensor:
    """L1 on pixels, on local means of their hues, and on differences to neighbours (edges)."""
    error = output - target
    hues = F.avg_pool2d(error[:, [0, 2]] - error[:, [1, 1]], 4)
    loss = error.abs().mean() + hues.abs().mean() + error.square().mean()
    for axis in (2, 3):
        loss = loss + error.diff(dim=axis).abs().mean()
    return loss


def build() -> Autoencoder:
    """An autoencoder with its encoder installed and its decoder untrained."""
    torch.manual_seed(0)
    model = Autoencoder()
    install(model, *principal_components())
    return model.to(device())


def train_decoder(model: Autoencoder, minutes: float) -> None:
    """Trains the decoder on pictures whose latents bear a little noise."""
    batch = on_gpu(32, otherwise=2)
    optimizer = torch.optim.AdamW(
        [*model.decoder.parameters(), *model.post_quant_conv.parameters()],
        RATE, betas=(0.9, 0.99), weight_decay=1e-4,
    )  # fmt: skip
    stage = Stage("decoder", minutes, model=model, optimizer=optimizer)
    for step in stage.steps():
        learning_rate(optimizer, RATE, step, stage.progress)
        pixels = _batch(10**7 + step, batch)
        with torch.no_grad():
            latent = model.encode(pixels)
            latent = latent + NOISE / SCALE_FACTOR * torch.randn_like(latent)
        with autocast():
            output = model.decode(latent)
        loss = loss_of(output.float(), pixels)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(optimizer.param_groups[0]["params"], 1.0)
        optimizer.step()
        if step % 50 == 0:
            log.info("decoder step %d loss %.4f %.0f s", step, loss.item(), stage.seconds)


@torch.no_grad()
def quality(model: Autoencoder, count: int = 64) -> float:
    """Mean PSNR in dB on pictures that training has not seen; draws some of them."""
    numbers = range(2 * 10**9, 2 * 10**9 + count)
    pixels = render_batch(training_picture(number) for number in numbers)
    output = model.roundtrip(pixels)
    error = F.mse_loss(output, pixels, reduction="none").mean((1, 2, 3))
    _draw(torch.cat([pixels[:8], output[:8]]))
    return float((10 * torch.log10(4 / error)).mean())


def _draw(pictures: Tensor) -> None:
    from PIL import Image

    Image.fromarray(tile(to_bytes(pictures), 8)).save(RUNS / "autoencoder.png")


def _batch(step: int, count: int) -> Tensor:
    numbers = range(step * count, (step + 1) * count)
    return render_batch(training_picture(number) for number in numbers).to(device())
