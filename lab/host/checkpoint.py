"""Reads an SD 1.x checkpoint into ldm's own classes, as a WebUI does.

A configuration beside the checkpoint (NAME.yaml for NAME.safetensors, ldm's format) says what
differs from SD 1.5; without one it is SD 1.5.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import safetensors.torch
from omegaconf import OmegaConf
from torch import Tensor

from ..errors import LabError
from .clip import ClipText
from .model import Model, build_unet, build_vae, sd_alphas_cumprod

PIXEL = Path(__file__).parents[1] / "model" / "pixel.safetensors"  # the one that LAFI brings
SD15 = {
    "parameterization": "eps",
    "scale_factor": 0.18215,
    "unet_config": {
        "params": {"model_channels": 320, "channel_mult": [1, 2, 4, 4], "context_dim": 768}
    },
    "first_stage_config": {
        "params": {"ddconfig": {"ch": 128, "ch_mult": [1, 2, 4, 4], "num_res_blocks": 2}}
    },
}


def load_checkpoint(path: Path) -> Model:
    """The model in a safetensors file.

    Raises:
        LabError: when the file is missing, or not of SD 1.x's layout.
    """
    try:
        weights = safetensors.torch.load_file(path)
    except FileNotFoundError:
        raise LabError(f"--checkpoint: there is no file {path}.") from None
    except (OSError, safetensors.SafetensorError) as error:
        raise LabError(f"--checkpoint: {path} is no safetensors file ({error}).") from None
    config = _config(path)
    try:
        unet = build_unet(**config["unet_config"]["params"])
        unet.load_state_dict(part_of(weights, "model.diffusion_model."))
        vae = build_vae(**config["first_stage_config"]["params"]["ddconfig"])
        vae_weights = part_of(weights, "first_stage_model.").items()
        # Some files still hold the loss that the autoencoder was trained with.
        vae.load_state_dict({name: w for name, w in vae_weights if not name.startswith("loss.")})
        text = ClipText(part_of(weights, "cond_stage_model.transformer.text_model."))
    except (KeyError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:160]
        raise LabError(
            f"--checkpoint: {path} has not SD 1.x's layout ({reason}). "
            "SD 2.x and SDXL run in a WebUI: see --url."
        ) from None
    alphas = weights.get("alphas_cumprod", sd_alphas_cumprod()).float()
    return Model(unet, vae, text, alphas, config["parameterization"], True, config["scale_factor"])


def _config(path: Path) -> dict:
    beside = path.with_suffix(".yaml")
    if not beside.exists():
        return SD15
    try:
        loaded = OmegaConf.to_container(OmegaConf.load(beside))
        config = loaded["model"]["params"]
        return {**SD15, **{name: config[name] for name in SD15 if name in config}}
    except Exception as error:  # whatever a YAML reader raises
        raise LabError(f"--checkpoint: {beside} cannot be read ({error}).") from error


def part_of(weights: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The weights whose names begin with `prefix`, without it, in float32."""
    return {
        name.removeprefix(prefix): value.float()
        for name, value in weights.items()
        if name.startswith(prefix)
    }
