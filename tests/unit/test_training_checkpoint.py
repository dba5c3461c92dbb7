"""The checkpoint: written with SD 1.x's names, read back to the same weights; the shipped one."""

import json

import pytest
import torch
from safetensors.torch import load_file

from training import export, load
from training.diffusion import Model, alphas_cumprod
from training.nets import SCALE_FACTOR, Autoencoder
from training.text import CLIP, END, START, Tokenizer

SHIPPED = export.TARGET / "toy.safetensors"
needs_shipped = pytest.mark.skipif(not SHIPPED.exists(), reason="no trained checkpoint yet")


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    torch.manual_seed(0)
    model = Model()
    for parameter in model.parameters():  # zero-initialised layers would hide a mix-up
        torch.nn.init.normal_(parameter, std=0.02)
    coder = Autoencoder()
    return model, coder, export.export(model, coder, tmp_path_factory.mktemp("toy"))


def test_names_are_those_of_sd_1(written):
    state = load_file(written[2])
    for name in (
        "model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn1.to_q.weight",
        "model.diffusion_model.middle_block.1.transformer_blocks.0.attn2.to_k.weight",
        "model.diffusion_model.output_blocks.11.1.proj_out.weight",
        "first_stage_model.encoder.conv_in.weight",
        "first_stage_model.post_quant_conv.weight",
        "cond_stage_model.transformer.text_model.embeddings.token_embedding.weight",
        "cond_stage_model.transformer.text_model.encoder.layers.0.self_attn.q_proj.weight",
        "betas",
        "alphas_cumprod",
    ):
        assert name in state
    assert written[2].stat().st_size < 40e6


def test_reading_back_gives_the_same_predictions(written):
    model, coder, path = written
    toy = load.load_toy(path)
    x, timesteps = torch.randn(2, 4, 16, 16), torch.tensor([10, 900])
    with torch.no_grad():
        context = model.context(["a figure, running facing left, blue room", ""])
        torch.testing.assert_close(
            toy.context(["a figure, running facing left, blue room", ""]),
            context,
            atol=2e-2,
            rtol=0,
        )
        torch.testing.assert_close(
            toy.unet(x, timesteps, context), model(x, timesteps, context), atol=2e-2, rtol=0
        )
        torch.testing.assert_close(toy.autoencoder.decode(x), coder.decode(x), atol=2e-2, rtol=0)


def test_betas_belong_to_the_schedule(written):
    state = load_file(written[2])
    torch.testing.assert_close(
        torch.cumprod(1 - state["betas"].double(), 0), alphas_cumprod(), rtol=1e-4, atol=1e-6
    )
    assert state["betas"][0] == pytest.approx(0.00085, rel=1e-3)
    assert state["betas"][-1] == pytest.approx(0.012, rel=1e-3)


def test_the_config_says_what_the_webui_must_know(written):
    params = json.loads(written[2].with_suffix(".yaml").read_text())["model"]["params"]
    assert params["parameterization"] == "v"
    assert params["scale_factor"] == SCALE_FACTOR
    assert (
        params["cond_stage_config"]["target"] == "ldm.modules.encoders.modules.FrozenCLIPEmbedder"
    )


@pytest.mark.skipif(not (CLIP / "vocab.json").exists(), reason="no vocabulary")
def test_tokens_are_clips_own():
    ids = Tokenizer()(["a photo of a cat, (masterpiece)", "Handstanding isn't 42"])
    expected = [START, 320, 1125, 539, 320, 2368, 267, 263, 12066, 264, END]
    assert ids[0, : len(expected)].tolist() == expected
    assert ids.shape == (2, 77)
    assert (ids[0, 30:] == END).all()


@needs_shipped
def test_the_shipped_checkpoint_draws_back_a_picture():
    from training.data import render_batch
    from training.world import training_picture

    toy = load.load_toy()
    pictures = render_batch(training_picture(2 * 10**9 + number) for number in range(4))
    latents = toy.autoencoder.encode(pictures) * SCALE_FACTOR
    assert 0.7 < latents.std() < 1.4
    error = (toy.autoencoder.decode(latents / SCALE_FACTOR) - pictures).square().mean()
    assert 10 * torch.log10(4 / error) > 18
