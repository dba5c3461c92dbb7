"""Scenarios of one sampling pass: samplers, schedulers, steps, prompts, sizes, options."""

from __future__ import annotations

from collections.abc import Iterator

from ..pictures import CUT_OUT
from .facts import Facts
from .scenario import Fields, Scenario

LONG = ", ".join(["a knight walking in a forest", "morning light", "tall old trees"] * 8)

# name -> fields of the request
REQUESTS: dict[str, Fields] = {
    "1 step": {"steps": 1},
    "2 steps": {"steps": 2},
    "3 steps": {"steps": 3},
    "4 steps": {"steps": 4},
    "CFG 1": {"cfg_scale": 1},
    "CFG 1, batch size 2": {"cfg_scale": 1, "batch_size": 2},
    "CFG 30": {"cfg_scale": 30},
    "size 264x200": {"width": 264, "height": 200},
    "size 328x136": {"width": 328, "height": 136},
    "size 64x64": {"width": 64, "height": 64},
    "tiling": {"tiling": True},
    "variation seed": {"subseed": 5, "subseed_strength": 0.3},
    "seed resized from another size": {"seed_resize_from_w": 192, "seed_resize_from_h": 128},
    "AND": {"prompt": "a knight :1.2 AND a forest :0.8"},
    "AND, batch size 2": {"prompt": "a knight AND a forest", "batch_size": 2},
    "BREAK": {"prompt": "a knight BREAK a forest BREAK morning light"},
    "[a:b:0.5]": {"prompt": "a [knight:wizard:0.5] in a forest"},
    "[a|b]": {"prompt": "a [knight|wizard] in a forest"},
    "emphasis": {"prompt": "a (knight:1.4) in a [forest]"},
    "long prompt": {"prompt": LONG},
    "long prompt, batch size 2": {"prompt": LONG, "batch_size": 2},
    "long negative prompt": {"negative_prompt": LONG},
    "no prompts": {"prompt": "", "negative_prompt": ""},
    "CFG rescale by eta, s_churn": {"sampler_name": "Euler", "eta": 0.7, "s_churn": 0.3},
}

# name -> (batch size, batch count)
BATCHES = {f"batch {size}x{count}": (size, count) for size, count in ((2, 1), (1, 3), (2, 3))}

# name -> LAFI's fields, each with a batch of two
SETTINGS: dict[str, Fields] = {
    "stream noise": {"stream": "noise"},
    "stream denoise": {"stream": "denoise"},
    "strength 1, fidelity 0": {"strength": 1, "fidelity": 0},
    "strength 0.5, fidelity 0.5": {"strength": 0.5, "fidelity": 0.5},
    "refresh 1": {"refresh": 1},
    "refresh 3": {"refresh": 3},
    "cut-out reference": {"image": CUT_OUT},
    "layers all": {"layers": "all"},
    "start 20, cutoff 60": {"start": 20, "cutoff": 60},
}

HYPERTILE = {"hypertile_enable_unet": True, "hypertile_max_tile_unet": 64}

# name -> the host's options
OPTIONS: dict[str, Fields] = {
    "token merging 0.5": {"token_merging_ratio": 0.5},
    "HyperTile": HYPERTILE,
    "CLIP skip 2": {"CLIP_stop_at_last_layers": 2},
    "random numbers of the CPU": {"randn_source": "CPU"},
    "random numbers of NVIDIA": {"randn_source": "NV"},
    "cond and uncond padded": {"pad_cond_uncond": True},
    "cond and uncond one by one": {"batch_cond_uncond": False},
    "negative guidance left out at low noise": {"s_min_uncond": 2.0},
    "early negative guidance left out": {"skip_early_cond": 0.3},
    "quantised timesteps": {"enable_quantization": True},
    "seed delta of ancestral noise": {"eta_noise_seed_delta": 31337},
    "second-last sigma left out": {"always_discard_next_to_last_sigma": True},
    "cross-attention upcast to float32": {"upcast_attn": True},
    "old emphasis": {"emphasis": "No norm"},
    "UniPC of order 2": {"uni_pc_order": 2},
}

# As AUTOMATIC1111 titles them; other hosts choose by a flag.
ATTENTION = (
    "None",
    "sdp-no-mem - scaled dot product without memory efficient attention",
    "sdp - scaled dot product",
    "sub-quadratic",
    "V1 - original v1",
    "InvokeAI",
    "Doggettx",
)


def scenarios(facts: Facts) -> Iterator[Scenario]:
    """All of this kind that the host can be asked for."""
    yield Scenario("plain request")
    for name in facts.samplers:
        yield Scenario(f"sampler {name}", {"sampler_name": name})
    sampler = "DPM++ 2M" if "DPM++ 2M" in facts.samplers else None
    for name in facts.schedulers:
        yield Scenario(f"scheduler {name}", {"scheduler": name, "sampler_name": sampler})
    for name, payload in REQUESTS.items():
        yield Scenario(name, payload)
    for name, (size, count) in BATCHES.items():
        yield Scenario(name, {"batch_size": size, "n_iter": count}, passes=count)
    for name, lafi in SETTINGS.items():
        yield Scenario(name, {"batch_size": 2}, lafi)
    yield from _with_options(facts)


def _with_options(facts: Facts) -> Iterator[Scenario]:
    for name, options in OPTIONS.items():
        yield Scenario(name, options=options, skip=absent(facts, options))
    # Merged tokens have no place in a mask: one that somebody gave is refused.
    merging = OPTIONS["token merging 0.5"]
    yield Scenario(
        "token merging 0.5, cut-out reference",
        lafi={"image": CUT_OUT},
        options=merging,
        refusals=("mask_does_not_fit",),
        skip=absent(facts, merging),
    )
    merged = {"batch_size": 2, "width": 2 * facts.size}
    yield Scenario(
        "HyperTile, batch size 2, wide", merged, options=HYPERTILE, skip=absent(facts, HYPERTILE)
    )
    name = "cross_attention_optimization"
    for title in ATTENTION:
        chosen = {name: title}
        yield Scenario(
            f"attention {title.partition(' - ')[0]}",
            {"batch_size": 2},
            options=chosen,
            lasting=True,
            skip=absent(facts, chosen),
        )


def absent(facts: Facts, options: Fields) -> str:
    """Why a host cannot run with these options; empty if it can."""
    missing = [name for name in options if name not in facts.options]
    return f"the host has no option {', '.join(missing)}" if missing else ""
