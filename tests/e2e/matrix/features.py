"""Scenarios of more than one pass, and of the host's scripts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..pictures import LEFT_HALF, SCENE
from .facts import Facts
from .sampling import absent
from .scenario import Fields, Scenario

START: Fields = {"init_images": [SCENE], "denoising_strength": 0.75}
PAINT = START | {"mask": LEFT_HALF, "mask_blur": 4, "inpainting_fill": 1}
WHOLE, ONLY_MASKED = {"inpaint_full_res": False}, {"inpaint_full_res": True}

# name -> fields of an img2img request
IMG2IMG: dict[str, Fields] = {
    **{
        f"img2img, denoising {strength}": START | {"denoising_strength": strength}
        for strength in (0.1, 0.4, 0.75, 1.0)
    },
    "img2img, batch 2x2": START | {"batch_size": 2, "n_iter": 2},
    "img2img, cropped": START | {"resize_mode": 1, "width": 264, "height": 200},
    "img2img, filled": START | {"resize_mode": 2, "width": 264, "height": 200},
    "img2img, latent upscale": START | {"resize_mode": 3, "width": 320, "height": 320},
    "inpaint, whole picture": PAINT | WHOLE,
    "inpaint, only masked": PAINT | ONLY_MASKED | {"inpaint_full_res_padding": 16},
    "inpaint, not masked": PAINT | ONLY_MASKED | {"inpainting_mask_invert": 1},
    **{
        f"inpaint, fill {name}": PAINT | WHOLE | {"inpainting_fill": k}
        for k, name in ((0, "blurred"), (2, "noise"), (3, "nothing"))
    },
    "inpaint, batch 2x2": PAINT | WHOLE | {"batch_size": 2, "n_iter": 2},
}


def scenarios(facts: Facts) -> Iterator[Scenario]:
    """All of this kind that the host can be asked for."""
    yield from _hires(facts)
    for name, payload in IMG2IMG.items():
        yield Scenario(name, payload, route="img2img", passes=payload.get("n_iter", 1))
    yield from _checkpoints(facts)
    yield from _scripts(facts)


def hires(facts: Facts, **payload: Any) -> Fields:
    """The fields of a request with hires fix."""
    fields = {
        "enable_hr": True,
        "hr_scale": 1.5,
        # In every host's list, latent upscalers are not.
        "hr_upscaler": "None",
        "hr_second_pass_steps": 4,
        "denoising_strength": 0.7,
        "width": facts.size // 2,
        "height": facts.size // 2,
    }
    # Hosts that have it leave the negative prompt out of the second pass by default.
    if "hr_cfg" in facts.fields:
        fields["hr_cfg"] = 7
    # And fail without this one.
    if "hr_additional_modules" in facts.fields:
        fields["hr_additional_modules"] = ["Use same choices"]
    return fields | payload


def _hires(facts: Facts) -> Iterator[Scenario]:
    yield Scenario("hires", hires(facts), passes=2)
    yield Scenario("hires, latent upscaler", hires(facts, hr_upscaler="Latent"), passes=2)
    yield Scenario("hires, batch 2x2", hires(facts, batch_size=2, n_iter=2), passes=4)
    resized = {"hr_resize_x": facts.size + 8, "hr_resize_y": facts.size - 56}
    yield Scenario("hires, another size and shape", hires(facts, **resized), passes=2)
    for passes in ("first", "hires"):
        yield Scenario(f"hires, passes {passes}", hires(facts), {"passes": passes})
    other = next((name for name in facts.samplers if name not in ("Euler", "Euler a")), None)
    yield Scenario("hires, another sampler", hires(facts, hr_sampler_name=other), passes=2)
    prompt = {"hr_prompt": "a wizard by a lake", "hr_negative_prompt": ""}
    yield Scenario("hires, another prompt", hires(facts, **prompt), passes=2)
    merging = {"token_merging_ratio_hr": 0.5}
    yield Scenario(
        "hires, token merging",
        hires(facts),
        # Merged tokens have no place in a mask.
        {"cutout": "off"},
        options=merging,
        passes=2,
        skip=absent(facts, merging),
    )
    tiles = {"hypertile_enable_unet_secondpass": True, "hypertile_max_tile_unet": 64}
    yield Scenario(
        "hires, HyperTile", hires(facts), options=tiles, passes=2, skip=absent(facts, tiles)
    )


def _checkpoints(facts: Facts) -> Iterator[Scenario]:
    skip = "" if facts.checkpoints else "the host has only one checkpoint"
    other = facts.checkpoints[0] if facts.checkpoints else ""
    change = hires(facts, hr_checkpoint_name=other)
    yield Scenario("hires, another checkpoint", change, passes=2, skip=skip)
    # Of three steps the refiner would have the last one alone, which is past the cutoff.
    refiner = {"refiner_checkpoint": other, "refiner_switch_at": 0.5, "steps": 4}
    yield Scenario("refiner", refiner, passes=2, skip=skip)
    twice = refiner | {"batch_size": 2, "n_iter": 2}
    yield Scenario("refiner, batch 2x2", twice, passes=3, skip=skip)
    for name in facts.checkpoints[:4]:
        title = name.partition(" [")[0]
        # Only those for text-to-image and inpainting have what LAFI needs.
        yield Scenario(
            f"checkpoint {title}",
            options={"sd_model_checkpoint": name},
            refusals=("unsupported_model",),
        )


def _scripts(facts: Facts) -> Iterator[Scenario]:
    # Of a script's several runs `last-run` tells the last; the pictures show whether all acted.
    yield _xyz(facts, "X/Y/Z, the host's own axis", "CFG Scale", "4, 9")
    yield _xyz(facts, "X/Y/Z, LAFI's axis", "[LAFI] Cutoff", "40, 80")
    yield _xyz(facts, "X/Y/Z, prompt S/R", "Prompt S/R", "knight, wizard")
    yield _script(
        facts,
        "prompts from file",
        "prompts from file or textbox",
        {"List of prompt inputs": "a knight sleeping\n--prompt 'a wizard' --steps 4 --width 128"},
    )
    matrix = {"prompt": "a knight|in a forest|at night"}
    yield _script(facts, "prompt matrix", "prompt matrix", {}, matrix)
    # Four tiles; the starting picture is 256 pixels wide.
    scale = 2 * facts.size / 256
    upscale = {"Tile overlap": 0, "Scale Factor": scale, "Upscaler": "Lanczos"}
    yield _script(facts, "SD upscale", "sd upscale", upscale, START, "img2img")
    yield _script(facts, "loopback", "loopback", {"Loops": 2}, START, "img2img")
    sides = {"Pixels to expand": 64, "Outpainting direction": ["left"]}
    yield _script(facts, "outpainting mk2", "outpainting mk2", sides, PAINT, "img2img")


def _xyz(facts: Facts, name: str, axis: str, values: str) -> Scenario:
    """Two cells of one axis, each a picture."""
    arguments = {each["label"]: each for each in facts.scripts.get(("txt2img", "x/y/z plot"), [])}
    axes = arguments.get("X type", {}).get("choices") or []
    if axis not in axes:
        return Scenario(name, skip=f"the host has no X/Y/Z axis {axis}")
    chosen = {"X type": axes.index(axis), "X values": values, "Y type": 0, "Z type": 0}
    chosen |= {"Draw legend": False, "Include Sub Images": True}
    return _script(facts, name, "x/y/z plot", chosen)


def _script(
    facts: Facts,
    name: str,
    script: str,
    values: Fields,
    payload: Fields | None = None,
    route: str = "txt2img",
) -> Scenario:
    if (route, script) not in facts.scripts:
        return Scenario(name, skip=f"the host has no script {script}")
    fields = (payload or {}) | facts.script(script, route, values)
    return Scenario(name, fields, route=route)
