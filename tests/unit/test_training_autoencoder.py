"""The autoencoder: ldm's networks compute just what the formula says, and lose nothing."""

from random import Random

import pytest
import torch

from lab.training import autoencoder
from lab.training.data import colour_transform, render_batch, to_bytes, to_colours, to_latents
from lab.training.nets import SCALE_FACTOR
from lab.world import draw_picture, render, training_pictures
from lab.world.picture import SHAPES

SHOWN = [(shape, figures) for figures, shapes in SHAPES.items() for shape in shapes]


@pytest.fixture(scope="module")
def model():
    return autoencoder.build().requires_grad_(False)


def cells_of(shape, figures, seed=5):
    return render_batch([draw_picture(Random(seed), figures, shape=shape)])


@pytest.mark.parametrize(("shape", "figures"), [*SHOWN, ((32, 32), 1)])
def test_ldms_encoder_equals_the_formula(model, shape, figures):
    cells = cells_of(shape, figures)
    made = model.encode(autoencoder.enlarge(cells)) * SCALE_FACTOR
    torch.testing.assert_close(made, to_latents(cells), atol=0.03, rtol=0)


def test_the_closed_form_loses_nothing(model, monkeypatch):
    one = lambda number, cells: training_pictures(number, 512)[:1]  # noqa: E731  decoding is slow
    monkeypatch.setattr(autoencoder, "training_pictures", one)
    assert autoencoder.quality(model, batches=2) >= 50
    assert autoencoder.quality(model, noise=0.3, batches=1) < 30


def test_a_cell_decodes_to_one_colour(model):
    torch.manual_seed(0)
    latents = torch.randn(2, 4, 8, 16) / SCALE_FACTOR
    enlarged = autoencoder.enlarge(autoencoder.decode_cells(model, latents))
    torch.testing.assert_close(model.decode(latents), enlarged, atol=1e-4, rtol=0)


def test_a_short_training_keeps_the_closed_form(monkeypatch, tmp_path):
    monkeypatch.setattr("lab.training.runs.RUNS", tmp_path)
    model = autoencoder.build()
    with torch.no_grad():  # so that the first layer has a gradient
        model.decoder.mid.block_1.conv2.weight.normal_(std=0.01)
    before = model.decoder.conv_in.weight.detach().clone()
    autoencoder.train_decoder(model, 0.001)
    pinned = 3 * autoencoder.GROUP
    torch.testing.assert_close(model.decoder.conv_in.weight[:pinned], before[:pinned])
    assert not torch.equal(model.decoder.conv_in.weight[pinned:], before[pinned:])
    assert (tmp_path / "decoder.pt").exists()


def test_latents_have_variance_one_and_give_the_colours_back():
    batches = [render_batch(training_pictures(number, 2048)) for number in range(900, 940)]
    cells = torch.cat([each.transpose(0, 1).flatten(1) for each in batches], 1)[None, ..., None]
    latents = to_latents(cells)
    assert latents[:, :3].mean((0, 2, 3)).abs().max() < 0.15
    assert (latents[:, :3].std((0, 2, 3)) - 1).abs().max() < 0.1
    assert not latents[:, 3].any()
    torch.testing.assert_close(to_colours(latents), cells)
    # Which way an eigenvector points must not depend on the machine.
    assert (colour_transform()[0].sum(1) > 0).all()


def test_bytes_come_back():
    picture = draw_picture(Random(3), shape=(16, 24))
    assert (to_bytes(render_batch([picture]))[0] == render(picture)).all()
