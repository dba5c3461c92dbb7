"""All stages one after the other, and the recipe of what came of them."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from ..world import training_pictures
from . import autoencoder, diffusion, export, judges
from .load import load_judges, load_model
from .runs import RUNS, device, log

NOISES = (0.0, 0.1, 0.3)  # on latents, at which the autoencoder is measured


def make(arguments: argparse.Namespace, folder: Path = export.TARGET) -> None:
    """Runs the stages, each for its minutes, and writes checkpoint, judges and recipe.json."""
    if arguments.threads or device().type == "cpu":
        torch.set_num_threads(arguments.threads or 1)
    RUNS.mkdir(exist_ok=True)
    folder.mkdir(parents=True, exist_ok=True)
    coder = autoencoder.build()
    autoencoder.train_decoder(coder, arguments.decoder)
    model = diffusion.train(arguments.diffusion, arguments.start, arguments.compile)
    log.info("wrote %s", export.export(model, coder, folder))
    export.export_judges(judges.train(arguments.judges), folder)
    written = recipe(arguments, folder)
    (folder / "recipe.json").write_text(json.dumps(written, indent=2) + "\n")
    for name, value in written["autoencoder, dB"].items():
        log.info("autoencoder, noise %s on latents: %.1f dB", name, value)
    for question, value in written["judges on held-out renders"].items():
        log.info("judges on held-out renders: %s %.3f", question, value)


def recipe(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """How the files in `folder` came to be, and how good they are."""
    coder = load_model(folder / export.CHECKPOINT).autoencoder.to(device())
    panel = load_judges(folder / export.JUDGES).to(device())
    found = judges.ceiling(panel)
    return {
        "torch": torch.__version__,
        "device": device().type,
        "threads": torch.get_num_threads(),
        "start": arguments.start.name if arguments.start else None,
        "compiled": arguments.compile,
        "stages": _stages(),
        "autoencoder, dB": {
            str(noise): round(autoencoder.quality(coder, noise, 4), 2) for noise in NOISES
        },
        "judges on held-out renders": {name: round(value, 4) for name, value in found.items()},
    }


def _stages() -> dict[str, dict[str, Any]]:
    """Seconds, steps, pictures drawn and seeds of each stage; its state file tells."""
    pictures: dict[str, Callable[[int], int]] = {
        "decoder": lambda step: len(training_pictures(autoencoder.FIRST + step)),
        "diffusion": lambda step: len(diffusion.batch(step)),
        "judges": lambda step: judges.batch_size(),
    }
    stages = {}
    for (name, drawn), of in zip(pictures.items(), (autoencoder, diffusion, judges), strict=True):
        state = torch.load(RUNS / f"{name}.pt", map_location="cpu", weights_only=True)
        stages[name] = {
            "seconds": round(state["seconds"]),
            "steps": state["step"],
            "pictures": sum(map(drawn, range(state["step"]))),
            "torch seed": of.SEED,
            "first batch": of.FIRST,
        }
    return stages
