"""Collects the measurements and shows them: a table for the terminal, a picture, plain data."""

from __future__ import annotations

import argparse
import platform
from pathlib import Path
from typing import Any

import torch
from PIL import Image, ImageDraw

from ..host.bundled import fused_attention
from . import cost, models

ROW, LABEL, SCALE = 22, 360, 160


def collect(options: argparse.Namespace) -> dict[str, Any]:
    """Everything that `options` ask for."""
    gpu = torch.cuda.is_available()
    results: dict[str, Any] = {
        "device": torch.cuda.get_device_name() if gpu else f"CPU, {platform.machine()}",
        "torch": torch.__version__,
        "evaluations": options.steps,
        "multiply-adds": {},
        "seconds": {},
    }
    with fused_attention():
        for shape in models.FULL:
            for batch in options.batch:
                counted = cost.count(shape, batch, options.steps)
                results["multiply-adds"][f"{shape.name}, batch {batch}"] = counted
        if options.count_only:
            return results
        full = gpu and not options.small
        for shape in models.FULL if full else models.SMALL:
            for batch in options.batch:
                dtype = torch.float16 if gpu else torch.float32
                bench = cost.Bench(shape, batch, "cuda" if gpu else "cpu", dtype)
                timing = cost.measure(bench, options.steps, options.repeats)
                results["seconds"][f"{shape.name}, batch {batch}"] = {
                    name: timing.summary(name) for name in timing.seconds
                }
    return results


def table(results: dict[str, Any]) -> str:
    """The results as text, ratios to plain sampling."""
    lines = [f"{results['device']}; ratios to plain sampling over a whole run, window 0-80 %"]
    for title, counted in results["multiply-adds"].items():
        lines.append(f"\n{title}: multiply-adds")
        lines += [f"  {name:32} {ratio:6.3f}" for name, ratio in counted.items()]
    for title, timed in results["seconds"].items():
        lines.append(f"\n{title}: seconds, median (lowest-highest); MiB held by the reference")
        lines += [
            f"  {name:32} {each['median']:6.3f} ({each['lowest']:.3f}-{each['highest']:.3f})"
            f"  {each.get('reference_mib', 0):8.1f}"
            for name, each in timed.items()
        ]
    return "\n".join(lines)


def draw(results: dict[str, Any], path: Path) -> Path:
    """The same as bars, in a picture."""
    bars: list[tuple[str, float | None]] = []
    for title, counted in results["multiply-adds"].items():
        bars += [(f"{title}: multiply-adds", None), *counted.items()]
    for title, timed in results["seconds"].items():
        bars += [(f"{title}: seconds", None)]
        bars += [(name, each["median"]) for name, each in timed.items()]
    highest = max(value for _, value in bars if value is not None)
    size = (LABEL + round(SCALE * highest) + 80, ROW * (len(bars) + 1))
    image = Image.new("RGB", size, "white")
    pen = ImageDraw.Draw(image)
    for number, (name, value) in enumerate(bars):
        top = ROW * number + ROW // 2
        pen.text((10 if value is None else 30, top), name, fill="black")
        if value is not None:
            right = LABEL + round(SCALE * value)
            color = "#888888" if name == "plain" or name.startswith("peer") else "#3366cc"
            pen.rectangle((LABEL, top, right, top + ROW // 2), fill=color)
            pen.text((right + 8, top), f"{value:.2f}", fill="black")
    image.save(path)
    return path
