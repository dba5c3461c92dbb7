"""The closed-form encoder: ldm's network computes just what the formula says."""

import pytest
import torch

from training.data import render_batch
from training.encoder import blocks, encode, install, principal_components
from training.nets import SCALE_FACTOR, Autoencoder
from training.world import training_picture

PICTURES = render_batch(training_picture(10**6 + number) for number in range(24))


@pytest.fixture(scope="module")
def components():
    return principal_components(60)


def test_ldms_encoder_equals_the_formula(components):
    model = Autoencoder()
    install(model, *components)
    with torch.no_grad():
        made = model.encode(PICTURES) * SCALE_FACTOR
    torch.testing.assert_close(made, encode(PICTURES, *components), atol=5e-3, rtol=0)


def test_latents_are_the_components_but_for_the_corner(components):
    weights, offsets = components
    wanted = (blocks(PICTURES) @ weights.T + offsets).permute(0, 3, 1, 2)
    made = encode(PICTURES, *components)
    gap = (made - wanted).abs()
    gap[..., -1, -1] = 0
    assert gap.max() < 0.02


def test_latents_have_unit_variance_and_colours_survive(components):
    latents = encode(PICTURES, *components)
    assert latents.std((0, 2, 3)).sub(1).abs().max() < 0.2
    flat = latents.permute(0, 2, 3, 1).reshape(-1, 4)
    means = blocks(PICTURES).unflatten(3, (64, 3)).mean(3).reshape(-1, 3)
    design = torch.cat([flat, torch.ones(len(flat), 1)], 1)
    fitted = design @ torch.linalg.lstsq(design, means).solution
    assert ((fitted - means).square().mean() / means.var()) < 0.02
