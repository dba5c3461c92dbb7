"""The main loop: the host's order of hooks, passes and pictures."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, field
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate

from . import extra_networks, scripts, sd_samplers_common, sd_samplers_kdiffusion, shared
from .sd_models import model_data


@dataclass(repr=False)
class StableDiffusionProcessing:
    """A request and its state; scripts hang their own on it."""

    prompt: Any = "a knight runs"
    negative_prompt: str = ""
    seed: int = 1
    subseed: int = -1
    subseed_strength: float = 0
    steps: int = 5
    cfg_scale: float = 3.0
    width: int = 128
    height: int = 128
    batch_size: int = 1
    n_iter: int = 1
    do_not_save_grid: bool = False
    outpath_grids: str = ""
    sampler_name: str = "Euler"
    denoising_strength: float = 0.75
    override_settings: dict[str, Any] = field(default_factory=dict)
    extra_generation_params: dict[str, Any] = field(default_factory=dict)
    scripts: Any = None
    script_args: list[Any] = field(default_factory=list)
    is_hr_pass: bool = False
    sampler: Any = None
    iteration: int = 0
    batch_index: int = 0
    disable_extra_networks: bool = False
    extra_network_data: Any = None
    all_prompts: list[str] = field(default_factory=list)
    all_negative_prompts: list[str] = field(default_factory=list)
    all_seeds: list[int] = field(default_factory=list)
    all_subseeds: list[int] = field(default_factory=list)
    prompts: list[str] = field(default_factory=list)
    negative_prompts: list[str] = field(default_factory=list)
    comments: dict[str, int] = field(default_factory=dict)

    def comment(self, text: str) -> None:
        """Something to say below the pictures."""
        self.comments[text] = 1

    def setup_prompts(self) -> None:
        """One for each picture."""
        count = self.batch_size * self.n_iter
        given = self.prompt
        self.all_prompts = list(given) if isinstance(given, list) else [given] * count
        self.all_negative_prompts = [self.negative_prompt] * count
        self.all_seeds = [self.seed + n * (not self.subseed_strength) for n in range(count)]
        self.all_subseeds = [self.subseed + n for n in range(count)]

    def parse_extra_network_prompts(self) -> None:
        """Of the batch that comes next."""
        self.prompts, self.extra_network_data = extra_networks.parse_prompts(self.prompts)

    def sample(self, x: Tensor, c: Tensor, uc: Tensor) -> Tensor:
        """All passes of one batch, from noise x (B, 4, h, w)."""
        raise NotImplementedError

    def before_sampling(self, x: Tensor, c: Tensor, uc: Tensor) -> None:
        """The scripts' hook before each pass; Forge calls it twice before a hires pass."""
        calls = 2 if self.is_hr_pass and hasattr(model_data.sd_model, "forge_objects") else 1
        for _ in range(calls if self.scripts else 0):
            self.scripts.process_before_every_sampling(p=self, x=x, noise=x, c=c, uc=uc)


@dataclass(repr=False)
class StableDiffusionProcessingTxt2Img(StableDiffusionProcessing):
    """From noise; with hires fix a second pass at twice the size."""

    enable_hr: bool = False
    hr_scale: float = 2.0
    hr_prompt: str = ""
    hr_negative_prompt: str = ""
    hr_extra_network_data: Any = None
    hr_prompts: list[str] = field(default_factory=list)
    all_hr_prompts: list[str] = field(default_factory=list)

    def setup_prompts(self) -> None:
        super().setup_prompts()
        if self.enable_hr:
            self.all_hr_prompts = [self.hr_prompt or each for each in self.all_prompts]

    def parse_extra_network_prompts(self) -> None:
        super().parse_extra_network_prompts()
        if self.enable_hr:
            first = self.iteration * self.batch_size
            self.hr_prompts = self.all_hr_prompts[first : first + self.batch_size]
            parsed = extra_networks.parse_prompts(self.hr_prompts)
            self.hr_prompts, self.hr_extra_network_data = parsed

    def sample(self, x: Tensor, c: Tensor, uc: Tensor) -> Tensor:
        self.is_hr_pass = False
        self.sampler = sd_samplers_kdiffusion.create_sampler(self.sampler_name)
        self.before_sampling(x, c, uc)
        samples: Tensor = self.sampler.sample(self, x, c, uc)
        if not self.enable_hr:
            return samples
        self.is_hr_pass = True
        self.sampler = sd_samplers_kdiffusion.create_sampler(self.sampler_name)
        samples = interpolate(samples, scale_factor=self.hr_scale)
        noise = _noise([self.seed] * len(x), *samples.shape[-2:])
        if not self.disable_extra_networks:
            extra_networks.activate(self, self.hr_extra_network_data)
        self.before_sampling(samples, c, uc)
        samples = self.sampler.sample_img2img(self, samples, noise, c, uc)
        self.is_hr_pass = False
        return samples


@dataclass(repr=False)
class StableDiffusionProcessingImg2Img(StableDiffusionProcessing):
    """From a picture."""

    init_images: list[Image.Image] = field(default_factory=list)

    def sample(self, x: Tensor, c: Tensor, uc: Tensor) -> Tensor:
        self.sampler = sd_samplers_kdiffusion.create_sampler(self.sampler_name)
        picture = self.init_images[0].resize((self.width, self.height)).convert("RGB")
        pixels = torch.tensor(list(picture.tobytes())).float().view(1, *picture.size[::-1], 3)
        pixels = pixels.permute(0, 3, 1, 2) / 255
        init = sd_samplers_common.images_tensor_to_samples(pixels).expand(len(x), -1, -1, -1)
        self.before_sampling(init, c, uc)
        samples: Tensor = self.sampler.sample_img2img(self, init, x, c, uc)
        return samples


class Processed:
    """What a request made: `latents` (4, h, w), `images` and `infotexts`, one for each picture.

    The host's infotexts are texts; those of the stub's own pictures are dicts of what scripts said.
    """

    def __init__(
        self,
        p: StableDiffusionProcessing,
        images_list: list[Image.Image] | None = None,
        seed: int = -1,
        info: str = "",
        subseed: int | None = None,
        all_prompts: list[str] | None = None,
        all_negative_prompts: list[str] | None = None,
        all_seeds: list[int] | None = None,
        all_subseeds: list[int] | None = None,
        index_of_first_image: int = 0,
        infotexts: list[Any] | None = None,
    ) -> None:
        self.p, self.seed, self.subseed, self.info = p, seed, subseed, info
        self.latents: list[Tensor] = []
        self.images = [] if images_list is None else images_list
        self.infotexts = [] if infotexts is None else infotexts
        self.index_of_first_image = index_of_first_image
        self.extra_generation_params = p.extra_generation_params
        self.comments = "".join(f"{comment}\n" for comment in p.comments)
        self.all_prompts = all_prompts or p.all_prompts
        self.all_negative_prompts = all_negative_prompts or p.all_negative_prompts
        self.all_seeds = all_seeds or p.all_seeds
        self.all_subseeds = all_subseeds or p.all_subseeds


def fix_seed(p: StableDiffusionProcessing) -> None:
    """Draws the seeds that are -1."""
    p.seed = random.randrange(2**32) if p.seed == -1 else p.seed
    p.subseed = random.randrange(2**32) if p.subseed == -1 else p.subseed


def create_infotext(
    p: StableDiffusionProcessing,
    all_prompts: list[str],
    all_seeds: list[int],
    all_subseeds: list[int],
    index: int | None = None,
    all_negative_prompts: list[str] | None = None,
) -> str:
    """The text that the host writes into a picture."""
    at = index or 0
    params = {"Steps": p.steps, "Seed": all_seeds[at], "Size": f"{p.width}x{p.height}"}
    skip = shared.opts.CLIP_stop_at_last_layers
    params |= {"Clip skip": skip if skip > 1 else None} | p.extra_generation_params
    said = ", ".join(f"{key}: {_quote(value)}" for key, value in params.items() if value)
    negative = (all_negative_prompts or [""])[at]
    return f"{all_prompts[at]}\n" + (f"Negative prompt: {negative}\n" if negative else "") + said


def _quote(value: Any) -> str:
    text = str(value)
    return json.dumps(text, ensure_ascii=False) if set(",\n:") & set(text) else text


def process_images(p: StableDiffusionProcessing) -> Processed:
    """Makes the pictures; the settings that the request overrides are put back."""
    if p.scripts is not None:
        p.scripts.before_process(p)
    opts = shared.opts
    stored = {key: opts.data[key] for key in p.override_settings if key in opts.data}
    try:
        for key, value in p.override_settings.items():
            opts.set(key, value)
        return process_images_inner(p)
    finally:
        opts.data.update(stored)


@torch.no_grad()
def process_images_inner(p: StableDiffusionProcessing) -> Processed:
    """The loop over the batches."""
    model = model_data.sd_model
    p.setup_prompts()
    processed = Processed(p)
    if p.scripts is not None:
        p.scripts.process(p)
    for n in range(p.n_iter):
        p.iteration = n
        shared.state.skipped = False
        if shared.state.interrupted or shared.state.stopping_generation:
            break
        if hasattr(model, "forge_objects"):
            model.forge_objects = model.forge_objects_original.shallow_copy()
        seeds = [p.seed + n * p.batch_size + i for i in range(p.batch_size)]
        p.prompts = p.all_prompts[n * p.batch_size : (n + 1) * p.batch_size]
        p.negative_prompts = [p.negative_prompt] * p.batch_size
        p.parse_extra_network_prompts()
        if not p.disable_extra_networks:
            extra_networks.activate(p, p.extra_network_data)
        if p.scripts is not None:
            p.scripts.process_batch(p, batch_number=n)
        c = model.get_learned_conditioning(p.prompts)
        uc = model.get_learned_conditioning([p.negative_prompt] * p.batch_size)
        torch.manual_seed(seeds[0])  # the host's own noise, too, moves the global state
        samples = p.sample(_noise(seeds, p.height // 8, p.width // 8), c, uc)
        if p.scripts is not None:
            p.scripts.postprocess_batch(p, samples, batch_number=n)
        for p.batch_index, sample in enumerate(samples):
            _finish(p, processed, sample)
        shared.state.job_no += 1
    if not p.disable_extra_networks and p.extra_network_data:
        extra_networks.deactivate(p, p.extra_network_data)
    processed.extra_generation_params = p.extra_generation_params
    if p.scripts is not None:
        p.scripts.postprocess(p, processed)
    return processed


def _finish(p: StableDiffusionProcessing, processed: Processed, sample: Tensor) -> None:
    pixels = (model_data.sd_model.decode_first_stage(sample[None])[0] + 1) / 2
    array = (pixels.clamp(0, 1) * 255).byte().permute(1, 2, 0).contiguous().numpy()
    argument = scripts.PostprocessImageArgs(Image.fromarray(array))
    if p.scripts is not None:
        p.scripts.postprocess_image(p, argument)
    processed.latents.append(sample)
    processed.images.append(argument.image)
    processed.infotexts.append({k: v for k, v in p.extra_generation_params.items() if v})


def _noise(seeds: list[int], height: int, width: int) -> Tensor:
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    return torch.stack([torch.randn(4, height, width, generator=each) for each in generators])
