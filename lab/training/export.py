"""The trained model as one SD 1.x checkpoint with its config, in half precision."""

from __future__ import annotations

import json
from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor

from ..host.checkpoint import PIXEL
from ..host.model import sd_alphas_cumprod, sd_betas
from .diffusion import Model
from .judges import Judges
from .nets import AUTOENCODER, SCALE_FACTOR, UNET, Autoencoder

TARGET, CHECKPOINT, JUDGES = PIXEL.parent, PIXEL.name, "judges.safetensors"


def export(model: Model, autoencoder: Autoencoder, folder: Path = TARGET) -> Path:
    """Writes pixel.safetensors and pixel.yaml beside the tokenizer's files in `clip/`."""
    state = {
        **_prefixed("model.diffusion_model.", model.unet.state_dict()),
        **_prefixed("first_stage_model.", autoencoder.state_dict()),
        **_prefixed("cond_stage_model.transformer.text_model.", model.text.whole()),
    }
    half = {name: value.half().contiguous().clone().cpu() for name, value in state.items()}
    half |= {"betas": sd_betas().float(), "alphas_cumprod": sd_alphas_cumprod()}
    path = folder / CHECKPOINT
    save_file(half, path, {"format": "pt", "prediction": "v", "heads": str(UNET["num_heads"])})
    path.with_suffix(".yaml").write_text(
        json.dumps(config("extensions/lafi/lab/model/clip"), indent=2) + "\n"
    )
    return path


def export_judges(judges: Judges, folder: Path = TARGET) -> None:
    """Writes judges.safetensors."""
    state = {
        name: value.half() if value.is_floating_point() else value
        for name, value in judges.state_dict().items()
    }
    save_file(
        {name: value.contiguous().cpu() for name, value in state.items()},
        folder / JUDGES,
    )


def config(clip: str) -> dict:
    """The checkpoint's config as A1111 reads it; JSON, which is YAML too.

    Args:
        clip: folder of the tokenizer's files, seen from where the WebUI runs.
    """
    ldm = "ldm.modules"
    autoencoder = {"embed_dim": 4, "monitor": "val/rec_loss", "ddconfig": AUTOENCODER}
    autoencoder["lossconfig"] = {"target": "torch.nn.Identity"}
    params = {
        "parameterization": "v",
        "linear_start": 0.00085,
        "linear_end": 0.0120,
        "num_timesteps_cond": 1,
        "log_every_t": 200,
        "timesteps": 1000,
        "first_stage_key": "jpg",
        "cond_stage_key": "txt",
        "image_size": 64,
        "channels": 4,
        "cond_stage_trainable": False,
        "conditioning_key": "crossattn",
        "monitor": "val/loss_simple_ema",
        "scale_factor": SCALE_FACTOR,
        "use_ema": False,
        "unet_config": {"target": f"{ldm}.diffusionmodules.openaimodel.UNetModel", "params": UNET},
        "first_stage_config": {
            "target": "ldm.models.autoencoder.AutoencoderKL",
            "params": autoencoder,
        },
        "cond_stage_config": {
            "target": f"{ldm}.encoders.modules.FrozenCLIPEmbedder",
            "params": {"version": clip},
        },
    }
    target = "ldm.models.diffusion.ddpm.LatentDiffusion"
    return {"model": {"base_learning_rate": 1e-4, "target": target, "params": params}}


def _prefixed(prefix: str, state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {prefix + name: value for name, value in state.items()}
