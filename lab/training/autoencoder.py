"""The autoencoder (factor 8, 4 channels): a closed form, and a small part that is trained.

One latent cell is one drawn pixel, so that the encoder only takes the mean of each 8x8 block and
the decoder only enlarges: nothing is lost. What is trained is the decoder's middle, at the latents'
own size: it takes the noise out of a sampled cell's colour.

ldm's networks end in a group normalisation, which would scale every picture differently. So each
value f comes as the four channels G + f, G - f, -G + f, -G - f of one group: their mean is 0 and
their variance all but G^2, whatever the picture's content and size. The SiLU after it leaves the
first two as they are, and half their difference is f.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ..world import CELL, training_pictures
from .data import colour_transform, render_batch, to_latents
from .nets import SCALE_FACTOR, Autoencoder
from .runs import Stage, device, learning_rate, log

GROUP = 4  # channels of a group of the networks' normalisation
GAIN = 12.0  # G
NOISE = 0.35  # most noise on latents of variance 1 that the decoder learns to take away
RATE = 2e-3
SEED, FIRST = 0, 10**7  # of torch; the number of the first batch of pictures
POSTERIOR = -12.0  # log variance of the encoder's posterior: next to none
_SIGNS = ((1, 1), (1, -1), (-1, 1), (-1, -1))  # of G and of f


def build() -> Autoencoder:
    """An autoencoder in its closed form."""
    torch.manual_seed(SEED)
    model = Autoencoder()
    with torch.no_grad():
        _install_encoder(model)
        _install_decoder(model)
    return model.to(device())


def _install_encoder(model: Autoencoder) -> None:
    encoder = model.encoder
    for parameter in [*encoder.parameters(), *model.quant_conv.parameters()]:
        parameter.zero_()
    for colour in range(3):
        encoder.conv_in.weight[colour, colour, 1, 1] = 1
    for level in range(2):  # each halves the picture: means of 2x2 blocks
        conv = encoder.down[level].downsample.conv
        for colour in range(3):
            conv.weight[colour, colour, :2, :2] = 1 / 4
    weights, offsets = colour_transform()
    conv = encoder.down[2].downsample.conv
    for value in range(4):
        for channel, (gain, sign) in enumerate(_SIGNS, value * GROUP):
            conv.bias[channel] = gain * GAIN
            if value < 3:
                conv.weight[channel, :3, :2, :2] = sign * weights[value, :, None, None] / 4
                conv.bias[channel] += sign * offsets[value]
    encoder.norm_out.weight.fill_(GAIN)
    for value in range(4):
        encoder.conv_out.weight[value, value * GROUP, 1, 1] = 0.5
        encoder.conv_out.weight[value, value * GROUP + 1, 1, 1] = -0.5
        model.quant_conv.weight[value, value] = 1 / SCALE_FACTOR
    model.quant_conv.bias[4:] = POSTERIOR


def _install_decoder(model: Autoencoder) -> None:
    decoder = model.decoder
    weights, offsets = colour_transform()
    back = torch.linalg.inv(weights)
    model.post_quant_conv.weight.zero_()
    model.post_quant_conv.bias.zero_()
    model.post_quant_conv.weight[:3, :3, 0, 0] = back * SCALE_FACTOR
    model.post_quant_conv.bias[:3] = -back @ offsets
    model.post_quant_conv.weight[3, 3, 0, 0] = SCALE_FACTOR
    for colour in range(3):
        for channel, (gain, sign) in enumerate(_SIGNS, colour * GROUP):
            decoder.conv_in.weight[channel].zero_()
            decoder.conv_in.weight[channel, colour, 1, 1] = sign
            decoder.conv_in.bias[channel] = gain * GAIN
    for block in (decoder.mid.block_1, decoder.mid.block_2):
        block.conv2.weight.zero_()
        block.conv2.bias.zero_()
    decoder.mid.attn_1.proj_out.weight.zero_()
    decoder.mid.attn_1.proj_out.bias.zero_()
    for level in decoder.up:
        for parameter in level.parameters():
            parameter.zero_()
        if hasattr(level, "upsample"):
            for channel in range(3 * GROUP):
                level.upsample.conv.weight[channel, channel, 1, 1] = 1
    for parameter in decoder.conv_out.parameters():
        parameter.zero_()
    decoder.norm_out.weight.fill_(GAIN)
    decoder.norm_out.bias.zero_()
    for colour in range(3):
        decoder.conv_out.weight[colour, colour * GROUP, 1, 1] = 0.5
        decoder.conv_out.weight[colour, colour * GROUP + 1, 1, 1] = -0.5


def decode_cells(model: Autoencoder, latents: Tensor) -> Tensor:
    """What `decode` answers, one value for each cell: (B, 4, h, w) to (B, 3, h, w)."""
    decoder = model.decoder
    hidden = decoder.conv_in(model.post_quant_conv(latents))
    hidden = decoder.mid.block_2(decoder.mid.attn_1(decoder.mid.block_1(hidden, None)), None)
    hidden = F.silu(decoder.norm_out(hidden))
    return decoder.conv_out(hidden)


def train_decoder(model: Autoencoder, minutes: float) -> None:
    """Trains the decoder's middle on latents with noise."""
    decoder = model.decoder
    model.requires_grad_(False)
    trained = [*decoder.conv_in.parameters(), *decoder.mid.parameters()]
    for parameter in trained:
        parameter.requires_grad_(True)
    pinned = 3 * GROUP  # these channels of the first layer carry the closed form
    optimizer = torch.optim.AdamW(trained, RATE, betas=(0.9, 0.99), weight_decay=0)
    stage = Stage("decoder", minutes, model=model, optimizer=optimizer)
    for step in stage.steps():
        learning_rate(optimizer, RATE, step, stage.progress)
        cells = render_batch(training_pictures(FIRST + step)).to(device())
        latents = to_latents(cells)
        amount = NOISE * torch.rand(len(cells), 1, 1, 1, device=device())
        output = decode_cells(model, (latents + amount * torch.randn_like(latents)) / SCALE_FACTOR)
        loss = (output - cells).abs().mean() + 4 * (output - cells).square().mean()
        optimizer.zero_grad()
        loss.backward()
        decoder.conv_in.weight.grad[:pinned] = 0
        decoder.conv_in.bias.grad[:pinned] = 0
        optimizer.step()
        if step % 50 == 0:
            log.info("decoder step %d loss %.4f %.0f s", step, loss.item(), stage.seconds)
    model.requires_grad_(True)


def enlarge(cells: Tensor) -> Tensor:
    """Cells (B, 3, h, w) to pictures (B, 3, 8h, 8w)."""
    return cells.repeat_interleave(CELL, 2).repeat_interleave(CELL, 3)


@torch.no_grad()
def quality(model: Autoencoder, noise: float = 0.0, batches: int = 12) -> float:
    """Lowest mean PSNR in dB over the shapes of unseen pictures, encoded and decoded.

    Args:
        noise: added to latents of variance 1 on the way.
    """
    worst: dict[torch.Size, list[float]] = {}
    for number in range(2 * 10**9, 2 * 10**9 + batches):
        pixels = enlarge(render_batch(training_pictures(number, 1024))).to(device())
        latents = model.encode(pixels)
        made = model.decode(latents + noise / SCALE_FACTOR * torch.randn_like(latents))
        error = (made.clamp(-1, 1) - pixels).square().mean((1, 2, 3))
        worst.setdefault(pixels.shape[2:], []).append(float((10 * torch.log10(4 / error)).mean()))
    return min(sum(each) / len(each) for each in worst.values())
