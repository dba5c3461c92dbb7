"""Scenarios beside other extensions; each is skipped where that extension is not installed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ..pictures import REFERENCE
from .facts import Facts
from .features import START, hires
from .scenario import Fields, Queue, Scenario

PANORAMA: Fields = {"width": 512}
SIX: Fields = {"batch_size": 2, "n_iter": 3}
LISTED: Fields = {"ad_script_names": "dynamic_prompting,dynamic_thresholding,lafi"}
LAYERS = "(SD1.5) Only Generate Transparent Image (Attention Injection)"
REGIONS = "a knight BREAK a red wizard BREAK a blue dragon"


@dataclass(frozen=True)
class Neighbour:
    """Another extension's script, switched on.

    Attributes:
        name: of the scenario.
        script: its title, as the host lists it, in small letters.
        values: its arguments by label, or by position where a label is empty or stands twice.
        payload, lafi, route, options, passes, refusals, inner: as in `Scenario`.
        off: the arguments that switch it off, if it is on by itself.
    """

    name: str
    script: str
    values: dict[str | int, Any]
    payload: Fields = field(default_factory=dict)
    lafi: Fields = field(default_factory=dict)
    route: str = "txt2img"
    options: Fields = field(default_factory=dict)
    passes: int = 1
    refusals: tuple[str, ...] = ()
    off: dict[str | int, Any] = field(default_factory=dict)
    inner: int = 0

    def scenario(self, facts: Facts) -> Scenario:
        """For a host, skipped if it has no such script."""
        if (self.route, self.script) not in facts.scripts:
            return Scenario(self.name, skip=f"the host has no script {self.script}")
        try:
            on, off = (
                {self.script: {"args": facts.arguments(self.script, self.route, values)}}
                for values in (self.values, self.off)
            )
        except KeyError as error:  # another version of it
            return Scenario(self.name, skip=str(error.args[0]))
        return Scenario(
            self.name,
            self.payload,
            self.lafi,
            self.route,
            self.options,
            beside=on,
            apart=off if self.off else {},
            passes=self.passes,
            refusals=self.refusals,
            inner=self.inner,
        )


def adetailer(**more: Any) -> dict[str | int, Any]:
    """ADetailer's arguments: a detector with random weights finds boxes in any picture."""
    return {0: True, 1: False, 2: {"ad_model": "random_yolov8n.pt", "ad_mask_k": 1} | more}


def controlnet(module: str, **more: Any) -> dict[str | int, Any]:
    """ControlNet's arguments: one unit that looks at the starting picture's colours."""
    unit = {"enabled": True, "module": module, "image": START["init_images"][0]}
    return {0: unit | more}


# Two frames, the fewest that move.
MOVING = {"model": "mm_sd15_v3.safetensors", "enable": True, "video_length": 2, "batch_size": 2}
NO_REMBG = {"remove_bg": False, "reinforce_fg": False}
REGIONAL: dict[str | int, Any] = {0: True, "Divide Ratio": "1,1,1"}

NEIGHBOURS = (
    Neighbour("ADetailer", "adetailer", adetailer()),
    Neighbour("ADetailer, batch count 3", "adetailer", adetailer(), {"n_iter": 3}, passes=3),
    Neighbour("ADetailer, batch 2x3", "adetailer", adetailer(), SIX, passes=3),
    # Listed, LAFI acts in ADetailer's own passes too.
    Neighbour("ADetailer, LAFI listed", "adetailer", adetailer(), options=LISTED, inner=1),
    Neighbour(
        "ADetailer, LAFI listed, batch count 3",
        "adetailer",
        adetailer(),
        {"n_iter": 3},
        options=LISTED,
        passes=3,
        inner=3,
    ),
    Neighbour(
        "ADetailer, LAFI listed, batch 2x3",
        "adetailer",
        adetailer(),
        SIX,
        options=LISTED,
        passes=3,
        inner=6,
    ),
    Neighbour(
        "ControlNet reference_only",
        "controlnet",
        controlnet("reference_only"),
        refusals=("attention_replaced",),
    ),
    Neighbour(
        "ControlNet reference_only, strength 1, fidelity 0, nothing cut out",
        "controlnet",
        controlnet("reference_only"),
        lafi={"strength": 1, "fidelity": 0, "cutout": "off"},
    ),
    Neighbour(
        "Regional Prompter, attention",
        "regional prompter",
        REGIONAL | {"Generation Mode": "Attention"},
        {"prompt": REGIONS},
    ),
    Neighbour(
        "Regional Prompter, latent",
        "regional prompter",
        REGIONAL | {"Generation Mode": "Latent"},
        {"prompt": REGIONS},
    ),
    Neighbour("Forge Couple", "forge couple", {"Enable": True}, {"prompt": "a knight\na wizard"}),
    *(
        Neighbour(
            f"Tiled Diffusion, {method}",
            "tiled diffusion",
            {
                0: True,
                "Method": method,
                "Latent tile width": 32,
                "Latent tile height": 32,
                "Latent tile overlap": 8,
            },
            PANORAMA,
        )
        for method in ("MultiDiffusion", "Mixture of Diffusers")
    ),
    Neighbour(
        "Dynamic Prompts, batch count 3",
        "dynamic prompts v2.17.1",
        {0: True},
        {"prompt": "a {knight|wizard|dragon} in a {forest|town}", "n_iter": 3},
        passes=3,
        # It is on by itself.
        off={0: False},
    ),
    Neighbour(
        "Dynamic Thresholding",
        "dynamic thresholding (cfg scale fix)",
        {"Enable Dynamic Thresholding (CFG Scale Fix)": True},
        {"cfg_scale": 20},
    ),
    Neighbour("FreeU", "freeu", {0: True}),
    Neighbour("Self-attention guidance", "self attention guidance", {0: True}),
    Neighbour("CD Tuner", "cd tuner", {0: True, "Detail(d1)": 5}),
    Neighbour("NegPiP", "negpip", {0: True}, {"prompt": "a knight, (forest:-1.2)"}),
    Neighbour("Kohya Hires.fix", "kohya hires.fix", {"Enable extension": True}, PANORAMA),
    # It is on by itself, too.
    Neighbour(
        "LoRA block weight",
        "lora block weight",
        {1: True},
        {"prompt": "a knight <lora:tiny_lora:1:lbw=OUTD>"},
        off={1: False},
    ),
    Neighbour(
        "AnimateDiff",
        "animatediff",
        {0: MOVING},
        refusals=("unsupported_unet",),
    ),
    Neighbour(
        "IC-Light",
        "ic light",
        {0: {"enabled": True, "model_type": "iclight_sd15_fc", "input_fg": REFERENCE} | NO_REMBG},
        refusals=("unsupported_model",),
    ),
    Neighbour(
        "LayerDiffuse",
        "layerdiffuse",
        {"Enabled": True, "Method": LAYERS},
        refusals=("attention_replaced",),
    ),
)

# What Forge and Forge Neo bring themselves.
INTEGRATED = (
    Neighbour(
        "MultiDiffusion Integrated",
        "multidiffusion integrated",
        {0: True, "Tile Width": 256, "Tile Height": 256},
        START | {"width": 384, "height": 256},
        route="img2img",
    ),
    Neighbour(
        "FreeU Integrated",
        "freeu integrated (sd 1.x, sd 2.x, sdxl)",
        {0: True, "B1": 1.4, "B2": 1.6, "S1": 0.9, "S2": 0.2},
    ),
    Neighbour(
        "SelfAttentionGuidance Integrated",
        "selfattentionguidance integrated (sd 1.x, sd 2.x, sdxl)",
        {0: True},
    ),
    Neighbour(
        "PerturbedAttentionGuidance Integrated",
        "perturbedattentionguidance integrated",
        {0: True},
    ),
    Neighbour("Kohya HRFix Integrated", "kohya hrfix integrated", {0: True}),
    Neighbour(
        "DynamicThresholding Integrated",
        "dynamicthresholding (cfg-fix) integrated",
        {0: True},
        {"cfg_scale": 20},
    ),
    Neighbour(
        "LatentModifier Integrated",
        "latentmodifier integrated",
        {0: True, "Sharpness Multiplier": 10},
    ),
    Neighbour(
        "StyleAlign Integrated",
        "stylealign integrated",
        {0: True},
        {"batch_size": 2},
        refusals=("attention_replaced",),
    ),
)


def scenarios(facts: Facts) -> Iterator[Scenario]:
    """All of this kind."""
    for each in (*NEIGHBOURS, *INTEGRATED):
        yield each.scenario(facts)
    with_hires = Neighbour("ADetailer, hires", "adetailer", adetailer(), hires(facts), passes=2)
    yield with_hires.scenario(facts)
    yield _control_model(facts)
    yield Queue("Agent Scheduler", skip="" if facts.queue else "the host has no Agent Scheduler")
    yield _ultimate(facts)


def _control_model(facts: Facts) -> Scenario:
    name = "ControlNet with a model, batch count 2"
    if not facts.controls:
        return Scenario(name, skip="the host has no ControlNet model")
    unit = controlnet("none", model=facts.controls[0])
    return Neighbour(name, "controlnet", unit, {"n_iter": 2}, passes=2).scenario(facts)


def _ultimate(facts: Facts) -> Scenario:
    name, script = "Ultimate SD upscale", "ultimate sd upscale"
    if ("img2img", script) not in facts.scripts:
        return Scenario(name, skip=f"the host has no script {script}")
    # Four tiles of the 256 pixels wide starting picture; choices go by their index.
    values = {"Tile width": facts.size, "Tile height": facts.size, "Scale": 2 * facts.size / 256}
    choices = {"Upscaler": 0, "Type": 0, 13: 0, "Target size type": 2}
    fields = facts.script(script, "img2img", values | choices)
    return Scenario(name, START | fields, route="img2img")
