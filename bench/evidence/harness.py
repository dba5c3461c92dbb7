"""Identity against pose leak, for every method, on the toy model: runs and writes it all."""

from __future__ import annotations

import argparse
import json
import logging
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from training.data import render_batch, tile, to_bytes
from training.export import TARGET
from training.judges import ceiling, judge
from training.load import load_judges, load_toy

from . import gates, plots
from .counterfactual import counterfactual
from .methods import GRIDS, METHODS
from .run import Sampler, Trial, draw_trials
from .table import COLUMNS, Judged, markdown, row, scores

log = logging.getLogger("evidence")
DEVELOPMENT, FINAL = 101, 202  # seeds of the references
MAIN = ["identity", "same character", "colour fit", "pose", "PCK", "defects", "usable"]
LEAKS = ["leak index", "leak slope", "wall", "scene leak"]


def main(arguments: list[str] | None = None) -> None:
    """Parses the command line, samples, judges and writes."""
    parser = argparse.ArgumentParser(prog="python3 -m bench.evidence", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a handful of pictures, for CI")
    parser.add_argument("--references", type=int, default=40)
    parser.add_argument("--prompts", type=int, default=5, help="per reference")
    parser.add_argument("--seeds", type=int, default=3, help="per prompt")
    parser.add_argument("--steps", type=int, default=16)
    parser.add_argument("--split", choices=("development", "held-out"), default="development")
    parser.add_argument("--methods", nargs="*", help="only those whose names hold one of these")
    parser.add_argument("--toy", type=Path, default=TARGET, help="folder of the trained model")
    parser.add_argument("--out", type=Path, default=Path("evidence"))
    options = parser.parse_args(arguments)
    if options.quick:
        options.references, options.prompts, options.seeds, options.steps = 2, 2, 1, 4
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    options.out.mkdir(parents=True, exist_ok=True)
    report = measure(options)
    (options.out / "evidence.json").write_text(json.dumps(report, indent=1))
    (options.out / "evidence.md").write_text(summary(report))
    log.info("wrote %s", options.out / "evidence.md")


def measure(options: argparse.Namespace) -> dict:
    """Gates, ceilings and all rows; pictures go to `options.out`."""
    toy = load_toy(options.toy / "toy.safetensors")
    panel = load_judges(options.toy / "judges.safetensors")
    count = 4 if options.quick else 64
    report: dict = {
        "references": options.references, "prompts": options.prompts, "seeds": options.seeds,
        "steps": options.steps, "split": options.split,
        "uniform attention": gates.uniform_attention(toy, count),
        "teacher-forced": gates.teacher_forced(toy, count // 2),
        "judges": ceiling(panel, 20 if options.quick else 400),
        "rows": {}, "attributes": {},
    }  # fmt: skip
    seed = DEVELOPMENT if options.split == "development" else FINAL
    held_out = options.split == "held-out"
    trials = draw_trials(options.references, options.prompts, seed, held_out)
    sampler = Sampler(toy, options.steps)
    gallery = {}
    for method in METHODS:
        if options.methods and not any(part in method.name for part in options.methods):
            continue
        begun = time.monotonic()
        pictures = torch.cat([sampler.run(method, trial, range(options.seeds)) for trial in trials])
        judged = Judged(judge(panel, pictures), trials, options.seeds)
        values = row(scores(judged), judged.clusters())
        report["rows"][method.name] = {name: values[name] for name in COLUMNS}
        report["attributes"][method.name] = {n: v for n, v in values.items() if n not in COLUMNS}
        gallery[method.name] = pictures
        (options.out / "evidence.json").write_text(json.dumps(report, indent=1))
        log.info(
            "%s: %.0f s, usable %.2f", method.name, time.monotonic() - begun, values["usable"][0]
        )
    report["counterfactual"] = {
        method.name: counterfactual(sampler, panel, method)
        for method in METHODS
        if method.name in GRIDS and method.name in report["rows"]
    }
    plots.pareto(report["rows"], options.out / "pareto.png")
    _gallery(gallery, trials, options)
    return report


def _gallery(
    pictures: dict[str, torch.Tensor], trials: list[Trial], options: argparse.Namespace
) -> None:
    """A picture per method: references on the left, then the prompts' first seeds."""
    shown = min(6, len(trials))
    references = to_bytes(render_batch([trial.reference for trial in trials[:shown]]))
    for name, each in pictures.items():
        grid = to_bytes(each).reshape(
            len(trials), options.prompts, options.seeds, *references.shape[1:]
        )
        rows = np.concatenate([references[:, None], grid[:shown, :, 0]], 1)
        image = tile(rows.reshape(-1, *references.shape[1:]), options.prompts + 1)
        stem = "".join(c if c.isalnum() else "-" for c in name)
        Image.fromarray(image).save(options.out / f"grid-{stem}.png")


def summary(report: dict) -> str:
    """The report in words and tables."""
    pictures = report["references"] * report["prompts"] * report["seeds"]
    uniform = ", ".join(f"t={t}: {100 * v:+.1f} %" for t, v in report["uniform attention"].items())
    forced = "\n".join(
        f"| {kind} | " + " | ".join(_forced_cell(kind, *cell) for cell in by.values()) + " |"
        for kind, by in report["teacher-forced"].items()
    )
    times = " | ".join(f"t={time}" for time in report["teacher-forced"]["none"])
    judges = ", ".join(f"{name} {value:.2f}" for name, value in report["judges"].items())
    grids = "; ".join(
        f"{name}: pose by the reference's pose {v['pose by pose']:.2f}, "
        f"attributes by its identity {v['attributes by identity']:.2f}"
        for name, v in report["counterfactual"].items()
    )
    return f"""{report["references"]} {report["split"]} references x {report["prompts"]} prompts x \
{report["seeds"]} seeds = {pictures} pictures per row, {report["steps"]} DDIM steps. \
Intervals: 95 %, bootstrap over references.

Gate (a), growth of the loss under uniform self-attention: {uniform}.

Gate (b), teacher-forced: the loss without a reference, and how a reference changes it:

| reference | {times} |
|---{"|---" * len(report["uniform attention"])}|
{forced}

Judges on held-out renders: {judges}.

{markdown(report["rows"], MAIN)}

{markdown(report["rows"], LEAKS)}

Counterfactual grid, shares of variance (chance {1 / 5:.2f}): {grids}.
"""


def _forced_cell(kind: str, value: float, low: float, high: float) -> str:
    if kind == "none":
        return f"{value:.4f}"
    return f"{100 * value:+.1f} % [{100 * low:+.1f}, {100 * high:+.1f}]"
