"""The checkpoint: written with SD 1.x's names, read back to the same weights; the shipped one."""

import json
from random import Random

import pytest
import torch
from safetensors.torch import load_file

from lab.host.model import sd_alphas_cumprod
from lab.host.tokenizer import END, LENGTH, START, Tokenizer
from lab.training import export, load
from lab.training.autoencoder import decode_cells
from lab.training.data import render_batch, to_latents
from lab.training.diffusion import Model
from lab.training.nets import SCALE_FACTOR, Autoencoder
from lab.training.text import TextModel, known_tokens
from lab.world import caption, draw_picture, training_caption, training_pictures

SHIPPED = export.TARGET / export.CHECKPOINT
needs_shipped = pytest.mark.skipif(not SHIPPED.exists(), reason="no trained checkpoint yet")
CAPTIONS = ["a figure, running facing left, blue room", ""]


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    torch.manual_seed(0)
    model = Model()
    for parameter in model.parameters():  # zero-initialised layers would hide a mix-up
        torch.nn.init.normal_(parameter, std=0.02)
    coder = Autoencoder()
    return model, coder, export.export(model, coder, tmp_path_factory.mktemp("model"))


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
    read = load.load_model(path)
    x, timesteps = torch.randn(2, 4, 16, 16), torch.tensor([10, 900])
    close = {"atol": 2e-2, "rtol": 0}
    with torch.no_grad():
        context = model.context(CAPTIONS)
        torch.testing.assert_close(read.context(CAPTIONS), context, **close)
        torch.testing.assert_close(
            read.unet(x, timesteps, context), model(x, timesteps, context), **close
        )
        small = x[:, :, :4, :4]
        torch.testing.assert_close(read.autoencoder.decode(small), coder.decode(small), **close)
    torch.testing.assert_close(read.alphas_cumprod, sd_alphas_cumprod())


def test_betas_belong_to_the_schedule(written):
    state = load_file(written[2])
    torch.testing.assert_close(
        torch.cumprod(1 - state["betas"].double(), 0).float(),
        sd_alphas_cumprod(),
        rtol=1e-4,
        atol=1e-6,
    )
    assert state["betas"][0] == pytest.approx(0.00085, rel=1e-3)
    assert state["betas"][-1] == pytest.approx(0.012, rel=1e-3)


def test_the_config_says_what_the_webui_must_know(written):
    params = json.loads(written[2].with_suffix(".yaml").read_text())["model"]["params"]
    assert params["parameterization"] == "v"
    assert params["scale_factor"] == SCALE_FACTOR
    text = params["cond_stage_config"]
    assert text["target"] == "ldm.modules.encoders.modules.FrozenCLIPEmbedder"
    # Seen from the WebUI's folder, where the extension lies in extensions/lafi.
    folder = export.TARGET.parents[1] / text["params"]["version"].removeprefix("extensions/lafi/")
    assert {"vocab.json", "merges.txt", "config.json"} <= {each.name for each in folder.iterdir()}


def test_tokens_are_clips_own():
    ids = Tokenizer()(["a photo of a cat, (masterpiece)", "Handstanding isn't 42"])
    expected = [START, 320, 1125, 539, 320, 2368, 267, 263, 12066, 264, END]
    assert ids[0, : len(expected)].tolist() == expected
    assert ids.shape == (2, LENGTH)
    assert (ids[0, 30:] == END).all()


def test_captions_have_known_tokens_only_and_fit():
    tokenizer = Tokenizer()
    known = known_tokens(tokenizer)
    texts = [
        text
        for number in range(150)
        for picture in training_pictures(number, 512)
        for text in (training_caption(picture, Random(number)), caption(picture, named=True))
    ]
    ids = tokenizer(texts)
    assert torch.isin(ids, known).all()
    assert (ids[:, -1] == END).all()  # none was cut


def test_the_whole_vocabulary_reads_captions_as_training_does():
    torch.manual_seed(0)
    tokenizer = Tokenizer()
    small, whole = TextModel(known_tokens(tokenizer)), TextModel()
    whole.load_state_dict(small.whole())
    ids = tokenizer(CAPTIONS)
    torch.testing.assert_close(whole(ids), small(ids))


@needs_shipped
def test_the_shipped_checkpoint_draws_back_a_picture():
    read = load.load_model()
    cells = render_batch([draw_picture(Random(n), shape=(16, 16)) for n in range(4)])
    made = decode_cells(read.autoencoder, to_latents(cells) / SCALE_FACTOR).clamp(-1, 1)
    assert 10 * torch.log10(4 / (made - cells).square().mean()) > 35
