"""The encoder, in closed form: each 8x8 block's first four principal components.

Colours come through untouched and every latent channel has variance 1, so that the UNet can start
at once and hues weigh as much as brightness. Only the decoder is trained.

ldm's encoder ends in a group normalisation, which would scale every picture differently. So every
component f comes as the pair (f, -f) in a group of its own: its mean is 0, and the SiLU after it
does no harm, as SiLU(a) - SiLU(-a) = a. One corner cell carries a value so large that it alone
decides the group's variance. The price: that cell is spoiled, and only pictures of 128x128 pixels
get the right scale.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .data import render_batch
from .nets import SCALE_FACTOR, Autoencoder
from .world import training_picture

CELLS = 16 * 16
GAIN = 30.0  # rms of a group; well above the components' own, which is 1
CORNER = GAIN * math.sqrt(CELLS)
POSTERIOR = 0.1  # spread of the posterior, share of the latents' own


def principal_components(count: int = 300) -> tuple[Tensor, Tensor]:
    """Weights (4, 192) and offsets (4,) that turn 8x8 blocks into components of variance 1.

    Blocks are flattened as (rows, columns, colours).
    """
    pixels = render_batch(training_picture(number) for number in range(count)).double()
    flat = blocks(pixels).reshape(-1, 192)
    mean = flat.mean(0)
    values, vectors = torch.linalg.eigh((flat - mean).T @ (flat - mean) / len(flat))
    weights = vectors[:, -4:].flip(1).T / values[-4:].flip(0).sqrt()[:, None]
    weights = (
        weights * weights.sum(1, keepdim=True).sign()
    )  # eigenvectors have no sign of their own
    return weights.float(), -(weights @ mean).float()


def blocks(pixels: Tensor) -> Tensor:
    """(B, 3, H, W) to 8x8 blocks (B, H/8, W/8, 192)."""
    cells = pixels.unfold(2, 8, 8).unfold(3, 8, 8)  # B, 3, h, w, 8, 8
    return cells.permute(0, 2, 3, 4, 5, 1).flatten(3)


def encode(pixels: Tensor, weights: Tensor, offsets: Tensor) -> Tensor:
    """(B, 3, 128, 128) to latents (B, 4, 16, 16) after SD's scale factor: what `install`ed networks
    answer, a hundred times faster."""
    components = (blocks(pixels) @ weights.T + offsets).permute(0, 3, 1, 2)
    corner = torch.zeros_like(components)
    corner[..., -1, -1] = CORNER
    marked = components + corner
    return GAIN * marked / marked.square().mean((2, 3), keepdim=True).sqrt() - corner


@torch.no_grad()
def install(model: Autoencoder, weights: Tensor, offsets: Tensor) -> None:
    """Writes the closed form into the model's encoder and `quant_conv`."""
    encoder = model.encoder
    for parameter in [*encoder.parameters(), *model.quant_conv.parameters()]:
        parameter.zero_()
    for colour in range(3):
        encoder.conv_in.weight[colour, colour, 1, 1] = 1
    encoder.conv_in.bias[63] = 1  # a constant, from which the corner is made
    channels = 3
    for level in (0, 1):  # gathers 2x2 blocks: 12 channels, then 48
        conv = encoder.down[level].downsample.conv
        for y in (0, 1):
            for x in (0, 1):
                for channel in range(channels):
                    conv.weight[(2 * y + x) * channels + channel, channel, y, x] = 1
        conv.weight[63, 63, 0, 0] = 1
        channels *= 4
    _install_components(encoder.down[2].downsample.conv, weights, offsets)
    encoder.norm_out.weight.fill_(1)
    for component in range(4):
        encoder.conv_out.weight[component, 2 * component, 1, 1] = GAIN
        encoder.conv_out.weight[component, 2 * component + 1, 1, 1] = -GAIN
        encoder.conv_out.weight[component, 8, 1, 1] = -GAIN  # takes the corner away again
        encoder.conv_out.weight[component, 9, 1, 1] = GAIN
        model.quant_conv.weight[component, component] = 1 / SCALE_FACTOR
    model.quant_conv.bias[4:] = 2 * math.log(POSTERIOR / SCALE_FACTOR)


def _install_components(conv: torch.nn.Conv2d, weights: Tensor, offsets: Tensor) -> None:
    # The network's 2x2 gathers nest: a block's pixel (row, column) is addressed bit by bit.
    kernel = weights.view(4, 8, 8, 3)
    for sign, first in ((1.0, 0), (-1.0, 1)):
        for row in range(8):
            for column in range(8):
                source = _address(row % 4, column % 4)
                target = conv.weight[first:8:2, source : source + 3, row // 4, column // 4]
                target.copy_(sign * kernel[:, row, column])
        conv.bias[first:8:2] = sign * offsets
        # Padding is 0 below and on the right: 1 in the last corner, 0 everywhere else.
        for y, x, value in ((0, 0, 1), (2, 0, -1), (0, 2, -1), (2, 2, 1)):
            conv.weight[first:10:2, 63, y, x] += sign * value * CORNER


def _address(row: int, column: int) -> int:
    """The first of three channels that hold a pixel of a 4x4 block after two 2x2 gathers."""
    inner = 2 * (row % 2) + column % 2
    outer = 2 * (row // 2) + column // 2
    return outer * 12 + inner * 3
