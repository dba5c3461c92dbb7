"""AUTOMATIC1111 WebUI 1.8 to 1.10: ldm and sgm UNets behind the WebUI's own attention."""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from modules import devices, launch_utils, sd_hijack, sd_unet, shared
from modules.hypernetworks import hypernetwork
from torch import Tensor, nn

from ..core.injection import Row
from ..core.levels import NoiseSchedule
from ..core.reference import Conditioning
from ..core.session import RowKinds
from ..errors import LafiError
from .identity import sample, tensors_of
from .webui import WebUIHost


class A1111Host(WebUIHost):
    """See `lafi.hosts.base.Host`."""

    @property
    def name(self) -> str:
        return f"A1111 {launch_utils.git_tag()}"

    def unet(self) -> nn.Module:
        if sd_unet.current_unet is not None:
            raise LafiError(
                "unsupported_unet",
                f"the UNet is replaced by {sd_unet.current_unet.option.label}.",
                "Set SD Unet to None in the settings, or switch LAFI off.",
            )
        return self.model().model.diffusion_model

    def model_key(self) -> tuple:
        from modules import sd_vae

        model = self.model()
        return (id(self.unet()), model.sd_model_hash, sd_vae.loaded_vae_file)

    def patches(self) -> Hashable | None:
        # Networks are merged into the weights when a layer first runs, too late for a look at them.
        networks = getattr(sys.modules.get("networks"), "loaded_networks", ())
        hypernetworks = tuple(map(_hypernetwork_key, shared.loaded_hypernetworks))
        optimizer = sd_hijack.model_hijack.optimization_method
        free_u = sys.modules.get("lib_free_u.global_state")
        return (
            tuple(map(_network_key, networks)),
            hypernetworks,
            optimizer,
            self.upcast_attention(),
            # FreeU stands in the UNet's own code, with its numbers and the step beside it.
            (repr(getattr(free_u, "instance", "")), getattr(free_u, "current_sampling_step", 0)),
        )

    def prediction(self) -> str:
        return self.model().parameterization

    def schedule(self) -> NoiseSchedule:
        return NoiseSchedule.from_alphas(self.model().alphas_cumprod)

    def sigma(self, denoiser: Any, level: Tensor) -> float:
        highest = float(level.max())
        # Samplers of the timestep family (DDIM, PLMS, UniPC) hand over timesteps.
        if hasattr(denoiser.inner_model, "sigmas"):
            return highest
        return self.schedule().sigma(highest)

    def row_kinds(self, params: Any) -> RowKinds:
        conds, total = params.text_cond.shape[0], params.x.shape[0]
        pictures = total - conds or conds
        parts = _parts(params.denoiser, conds, pictures)
        cond = [Row(True, picture, part) for picture in range(pictures)
                for part in range(parts[picture])]  # fmt: skip
        uncond = [Row(False, picture) for picture in range(total - conds)]
        rows = _EvaluationRows(cond + uncond)
        rows.follow(params.denoiser.inner_model)
        return rows

    def encode(self, pixels: Tensor) -> Tensor:
        try:
            return super().encode(pixels)
        except LafiError:
            if devices.dtype_vae == torch.float32:
                raise
        # Half precision turns some VAEs (SDXL's first) to NaN.
        with self._precise_vae():
            return super().encode(pixels)

    @contextmanager
    def _precise_vae(self) -> Iterator[None]:
        vae, dtype = self.model().first_stage_model, devices.dtype_vae
        devices.dtype_vae = torch.float32
        try:
            vae.to(torch.float32)
            with devices.without_autocast():
                yield
        finally:
            devices.dtype_vae = dtype
            vae.to(dtype)

    def evaluate(self, x: Tensor, timesteps: Tensor, conditioning: Conditioning) -> Tensor:
        context, vector = conditioning.context, conditioning.vector
        cond: dict[str, Any] = {"c_crossattn": [context]}
        if vector is not None:
            cond = {"crossattn": context, "vector": vector}
        concat = conditioning.concat
        # A checkpoint that reads no more channels is handed this much all the same.
        cond["c_concat"] = [x.new_zeros(x.shape[0], 5, 1, 1) if concat is None else concat]
        precision = devices.without_autocast if devices.unet_needs_upcast else devices.autocast
        with torch.no_grad(), precision():
            return self.model().apply_model(x, timesteps, cond)

    def reserve(self, p: Any, nbytes: int) -> None:
        """Nothing: only Forge plans memory ahead."""

    def resume(self) -> None:
        """Nothing: A1111 brings its UNet back by itself."""

    def context_hook(self) -> Callable[[Tensor], tuple[Tensor, Tensor]] | None:
        loaded = shared.loaded_hypernetworks
        if not loaded:
            return None
        return lambda context: hypernetwork.apply_hypernetworks(loaded, context)


class _EvaluationRows:
    """The rows of one evaluation: cond rows of all pictures first, as many for each as its prompt
    has parts, then uncond rows, made in one call of the denoiser or in several. Each of them may be
    made in tiles, which have all of its rows once more.
    """

    def __init__(self, rows: list[Row]) -> None:
        self._rows = rows
        self._part, self._begun, self._seen = rows, 0, 0

    def __call__(self, rows: int, kwargs: dict) -> list[Row]:
        first, self._seen = self._seen, self._seen + rows
        return [self._row(*divmod(row, len(self._part))) for row in range(first, self._seen)]

    def _row(self, tile: int, number: int) -> Row:
        row = self._part[number]
        return row._replace(part=(tile, row.part))

    def follow(self, denoiser: Any) -> None:
        """Counts a denoiser's calls, until this object is gone."""
        if not isinstance(denoiser, nn.Module):
            return
        here = weakref.ref(self)

        def before(module: nn.Module, args: tuple) -> None:
            rows = here()
            if rows is not None and args:
                rows.begin(args[0].shape[0])

        weakref.finalize(self, denoiser.register_forward_pre_hook(before).remove)

    def begin(self, rows: int) -> None:
        """A call with the next rows of the evaluation."""
        begun, self._begun = self._begun, self._begun + rows
        self._part, self._seen = self._rows[begun : self._begun] or self._rows, 0


def _parts(denoiser: Any, conds: int, pictures: int) -> list[int]:
    """How many cond rows each picture has: one, or one for each part of a prompt with AND."""
    given = getattr(getattr(denoiser, "sampler", None), "sampler_extra_args", None) or {}
    parts = [len(each) for each in getattr(given.get("cond"), "batch", ())]
    if (len(parts), sum(parts)) == (pictures, conds):
        return parts
    rows = [row * pictures // conds for row in range(conds)]
    return [rows.count(picture) for picture in range(pictures)]


def _network_key(network: Any) -> tuple:
    # Block weights are multiplied into its tensors.
    parts = (each for _, part in sorted(network.modules.items()) for each in tensors_of(part))
    scales = (network.unet_multiplier, network.dyn_dim, getattr(network, "mtime", None))
    return (network.name, *scales, sample(parts))


def _hypernetwork_key(network: hypernetwork.Hypernetwork) -> tuple:
    multipliers = {module.multiplier for pair in network.layers.values() for module in pair}
    return (network.name, network.filename, *sorted(multipliers))
