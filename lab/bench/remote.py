"""The cost in a running WebUI: seconds on the wall, or CPU seconds of its process.

Plain, LAFI and, where it is installed, ControlNet's reference_only take turns, so that a busy
machine slows all of them alike.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tqdm import tqdm

from ..host.remote import RemoteHost, to_base64


def measure(
    url: str, pid: int | None, batches: list[int], steps: int, repeats: int
) -> dict[str, Any]:
    """Ratios to plain for each batch size.

    Args:
        url: address of the WebUI.
        pid: its process, to count CPU seconds; None for the clock on the wall.
    """
    webui = RemoteHost(url)
    clock = _clock(pid)
    seconds: dict[str, Any] = {}
    schemes = _schemes(webui)
    for batch in batches:
        spent: dict[str, list[float]] = {name: [] for name in schemes}
        for round_ in tqdm(range(repeats + 1), f"batch {batch}"):
            for name, scripts in schemes.items():
                if name == "LAFI, first picture":
                    webui.call("/lafi/v1/bank/clear", {})
                begun = clock()
                webui.call("/sdapi/v1/txt2img", _request(batch, steps, scripts))
                if round_:  # the first round warms up
                    spent[name].append(clock() - begun)
        seconds[f"batch {batch}"] = {name: _summary(spent, name) for name in schemes}
    return {
        "device": f"{url}, {steps} steps, 256x256",
        "multiply-adds": {},
        "seconds": seconds,
    }


def _summary(spent: dict[str, list[float]], name: str) -> dict[str, float]:
    ratios = sorted(mine / plain for mine, plain in zip(spent[name], spent["plain"], strict=True))
    return {"median": statistics.median(ratios), "lowest": ratios[0], "highest": ratios[-1]}


def _request(batch: int, steps: int, scripts: dict[str, Any]) -> dict[str, Any]:
    return {
        "prompt": "a boy running",
        "steps": steps,
        "width": 256,
        "height": 256,
        "seed": 1,
        "batch_size": batch,
        "cfg_scale": 7,
        "sampler_name": "Euler",
        "alwayson_scripts": scripts,
    }


def _schemes(webui: RemoteHost) -> dict[str, dict[str, Any]]:
    image = reference()
    lafi = {"LAFI": {"args": [{"image": image}]}}
    schemes = {"plain": {}, "LAFI, first picture": lafi, "LAFI, later pictures": lafi}
    installed = {name.lower() for name in webui.call("/sdapi/v1/scripts")["txt2img"]}
    if "controlnet" in installed:
        # The window is LAFI's own, so that the difference is in the work alone.
        unit = {
            "enabled": True,
            "module": "reference_only",
            "model": "None",
            "image": image,
            "guidance_start": 0.0,
            "guidance_end": 0.8,
            "weight": 1.0,
        }
        schemes["ControlNet reference_only"] = {"ControlNet": {"args": [unit]}}
    return schemes


def reference(seed: int = 0) -> str:
    """A picture of smooth coloured noise, base64."""
    pixels = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), np.uint8)
    return to_base64(Image.fromarray(pixels).resize((256, 256), Image.Resampling.BICUBIC))


def _clock(pid: int | None) -> Callable[[], float]:
    """CPU seconds of the WebUI's process, which other processes on the machine do not change."""
    if pid is None:
        return time.perf_counter
    ticks = os.sysconf("SC_CLK_TCK")

    def cpu_seconds() -> float:
        # The fields after the name in brackets; user and system time are the 12th and 13th of them.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / ticks

    return cpu_seconds
