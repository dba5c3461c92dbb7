"""The Forge family: Forge, reForge, Forge Classic, Forge Neo and their kin.

Their UNets have ldm's modules and names, so the core's hooks fit, and their transformers call an
attention by name; what differs is how models are held, moved and called.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Hashable
from typing import Any

import torch
from modules import launch_utils, sd_samplers_common
from torch import Tensor, nn

from ..core.injection import Row
from ..core.levels import NoiseSchedule, flow_sigma
from ..core.reference import Conditioning, UNetForward
from ..core.session import RowKinds
from ..errors import LafiError
from .alone import alone
from .transformers import CHOOSE, refuse_unknown
from .webui import WebUIHost

# What changes a block's activations as a whole also changes the reference's; patches of attention
# are made for the target's rows.
BLOCK_PATCHES = ("input_block_patch", "input_block_patch_after_skip", "output_block_patch")


# What some of the family call themselves.
NAMES = {"neo": "Forge Neo", "classic": "Forge Classic"}
# Distilled guidance of the self-test's calls: what Flux dev's users begin with.
GUIDANCE = 3.5
# Above the highest level of flow matching, 1, and what samplers may add to it (churn).
HIGHEST = 1.5
# What UNets (True) and transformers (False) may predict.
PREDICTIONS = {True: ("eps", "v"), False: ("flow",)}
# Made for the target's rows and size (ControlNet's tile_colorfix adds the picture's own colours).
OF_TARGET = ("patches_replace", "block_modifiers", "block_inner_modifiers")


def is_unet(network: nn.Module) -> bool:
    """Whether a network has a decoder; any other is a transformer."""
    return hasattr(network, "output_blocks")


class ForgeHost(WebUIHost):
    """See `lafi.hosts.base.Host`."""

    @property
    def name(self) -> str:
        says = sys.modules.get("modules_forge.forge_version")
        named = NAMES.get(getattr(says, "version", ""))
        if named is None:
            return f"Forge family {launch_utils.git_tag()}"
        return f"{named} {getattr(says, 'release', '')}".rstrip()

    def model(self) -> Any:
        model = super().model()
        # It begins with a stand-in that has nothing of a model, or None for everything.
        if getattr(model, "forge_objects", None) is None:
            raise LafiError("no_model", "no checkpoint is loaded.", "Choose one first.")
        return model

    def patcher(self) -> Any:
        """The host's holder of the UNet."""
        return self.model().forge_objects.unet

    def unet(self) -> nn.Module:
        holder = self.patcher().model
        unet: nn.Module = holder.diffusion_model
        if not is_unet(unet):
            refuse_unknown(type(self.model()).__name__, holder)
        return unet

    def model_key(self) -> tuple:
        model, unet = self.model(), self.unet()
        checkpoint = getattr(model, "sd_model_hash", None)
        # Forge Neo's refiner may read its weights into the same UNet.
        replaced = getattr(sd_samplers_common, "ORIGINAL_CHECKPOINT", None)
        return (id(unet), checkpoint, replaced, id(model.forge_objects.vae.first_stage_model))

    def patches(self) -> Hashable | None:
        patcher = self.patcher()
        options = patcher.model_options.get("transformer_options", {})
        # Closures do not tell what they hold.
        patches = options.get("patches", {})
        if options.get("group_norm_wrapper") or any(map(patches.get, BLOCK_PATCHES)):
            return None
        return (
            str(getattr(self.model(), "current_lora_hash", "")),
            str(getattr(patcher, "patches_uuid", "")),
            # By file and strength, also those that other extensions have added.
            tuple(map(repr, getattr(patcher, "lora_patches", ()))),
        )

    def forward(self) -> UNetForward:
        return forge_forward

    def predictor(self) -> Any:
        """What links timesteps, noise levels and predictions."""
        model = self.patcher().model
        found = getattr(model, "predictor", None) or getattr(model, "model_sampling", None)
        if not hasattr(found, "sigmas"):
            raise LafiError(
                "unsupported_model",
                f"{type(model).__name__} has no schedule of noise levels.",
                CHOOSE,
            )
        return found

    def prediction(self) -> str:
        kind, predictor = self._predicts(), self.predictor()
        middle = len(predictor.sigmas) // 2
        level = predictor.sigmas[middle : middle + 1]
        read = float(predictor.timestep(level))
        # CosXL predicts velocity too, but its UNet reads logarithms of noise levels.
        expected = middle if kind != "flow" else self._multiplier() * float(level)
        known = kind in PREDICTIONS[is_unet(self.unet())]
        if not known or abs(read - expected) > (1e-3 * expected if kind == "flow" else 0.5):
            raise LafiError(
                "unsupported_model",
                "the checkpoint predicts neither noise nor velocity by timestep (flow, EDM).",
                "Choose an eps- or v-prediction checkpoint, or switch LAFI off.",
            )
        return kind

    def _predicts(self) -> str:
        """Asked by example, since the hosts of this family name their predictions differently."""
        predictor = self.predictor()
        one = torch.ones((1, 1, 1, 1))
        level = torch.ones(1)
        reads = float(predictor.calculate_input(level, one))
        answers = float(predictor.calculate_denoised(level, one, torch.zeros_like(one)))
        known = {(0.7071, -1.0): "eps", (0.7071, -0.7071): "v", (1.0, -1.0): "flow"}
        return known.get((round(reads, 4), round(answers, 4)), "")

    def _multiplier(self) -> float:
        """What a transformer reads for the level 1."""
        return float(self.predictor().timestep(torch.ones(1)))

    def schedule(self) -> NoiseSchedule:
        sigmas = self.predictor().sigmas
        if self._predicts() == "flow":
            return NoiseSchedule.from_flow(sigmas, self._multiplier())
        return NoiseSchedule(sigmas)

    def sigma(self, denoiser: Any, level: Tensor) -> float:
        highest = float(level.max())
        if self._predicts() != "flow":
            return highest
        if highest > HIGHEST:
            # Forge's schedule type Automatic takes timesteps of Flux for levels.
            raise LafiError(
                "unsupported_sampler",
                f"the schedule's noise levels do not fit the model (up to {highest:g}, not 1).",
                "Choose the schedule type Simple, or switch LAFI off.",
            )
        return flow_sigma(highest)

    def row_kinds(self, params: Any) -> RowKinds:
        def kinds(rows: int, kwargs: dict) -> list[Row]:
            options = kwargs["transformer_options"]
            # A chunk is all pictures, with one part of their prompts.
            chunks, pictures = options["cond_or_uncond"], options["sigmas"].shape[0]
            parts = [chunks[:number].count(chunk) for number, chunk in enumerate(chunks)]

            def kind(row: int) -> Row:
                # Tiles stand one after the other, each with all chunks.
                chunk, picture = divmod(row, pictures)
                tile, chunk = divmod(chunk, len(chunks))
                return Row(chunks[chunk] == 0, picture, (tile, parts[chunk]))

            return [kind(row) for row in range(rows)]

        return kinds

    def reserve(self, p: Any, nbytes: int) -> None:
        # Another object each time: the host resets its own between the passes.
        patcher = self.patcher().clone()
        patcher.add_extra_preserved_memory_during_sampling(nbytes)
        self.model().forge_objects.unet = patcher

    def resume(self) -> None:
        package = type(self.patcher()).__module__.partition(".")[0]
        management = "backend.memory_management"
        if package != "backend":
            management = "ldm_patched.modules.model_management"
        sys.modules[management].load_model_gpu(self.patcher())

    def evaluate(self, x: Tensor, timesteps: Tensor, conditioning: Conditioning) -> Tensor:
        self.resume()
        model = self.patcher().model
        concat, rows, read = conditioning.concat, x.shape[0], float(timesteps[0])
        extra = {} if conditioning.vector is None else {"y": conditioning.vector}
        if getattr(model.diffusion_model, "guidance_embed", False):
            extra["guidance"] = torch.full((rows,), GUIDANCE, device=x.device)
        options = {"cond_or_uncond": [0], "sigmas": timesteps, "cond_mark": torch.zeros(rows)}
        # The host's own call wants noise levels and unscaled latents, and gives clean ones.
        if self._predicts() == "flow":
            level, scale = read / self._multiplier(), 1.0
        else:
            level = self.schedule().sigma(read)
            scale = math.sqrt(1 + level**2)
        return model.apply_model(
            x * scale,
            torch.full((rows,), level, device=x.device),
            c_concat=concat,
            c_crossattn=conditioning.context,
            transformer_options=options,
            **extra,
        )


def forge_forward(
    unet: nn.Module, x: Tensor, timesteps: Tensor, conditioning: Conditioning, kwargs: dict
) -> Tensor:
    """The network class's own forward for cond rows: no control, no patches of attention."""
    rows = x.shape[0]
    target = kwargs.get("transformer_options", {})
    patches = {
        name: value for name, value in target.get("patches", {}).items() if name in BLOCK_PATCHES
    }
    options = {name: value for name, value in target.items() if name not in OF_TARGET} | {
        "patches": patches,
        "cond_or_uncond": [0],
        "cond_mark": torch.zeros(rows, device=x.device),
        "cond_indices": list(range(rows)),
        "uncond_indices": [],
        "sigmas": target["sigmas"][:1].expand(rows),
    }
    extra = {} if conditioning.vector is None else {"y": conditioning.vector.to(x)}
    if kwargs.get("guidance") is not None:
        # Distilled guidance is the run's, not the text's.
        extra["guidance"] = kwargs["guidance"][:1].expand(rows)
    with alone(unet, x):
        return type(unet).forward(
            unet,
            x,
            timesteps,
            context=conditioning.context.to(x),
            control=None,
            transformer_options=options,
            **extra,
        )
