"""From nothing to a checkpoint, judges and a recipe; and on from where it was stopped."""

import itertools
import json
from argparse import Namespace
from types import SimpleNamespace

import pytest
import torch

from lab.training import autoencoder, export, judges, make, runs
from lab.training.load import load_judges, load_model
from lab.world import training_pictures


@pytest.fixture
def small(monkeypatch, tmp_path):
    """State files in a folder of the test's own, tiny batches, and a clock that a step moves."""
    for module in (runs, make):
        monkeypatch.setattr(module, "RUNS", tmp_path)
    ticks = itertools.count(step=0.1)
    monkeypatch.setattr(runs, "time", SimpleNamespace(monotonic=lambda: next(ticks)))
    monkeypatch.setattr(make.diffusion, "batch", lambda step: training_pictures(step, 768))
    monkeypatch.setattr(make.diffusion, "draw_grid", lambda *_: None)
    monkeypatch.setattr(judges, "batch_size", lambda: 8)
    monkeypatch.setattr(judges, "ceiling", lambda panel: {"shirt": 0.5})
    monkeypatch.setattr(autoencoder, "quality", lambda coder, noise, batches: 50.0)
    return tmp_path


def options(**changes):
    minutes = {"decoder": 0.001, "diffusion": 0.001, "judges": 0.001}
    others = {"start": None, "threads": torch.get_num_threads(), "compile": False}
    return Namespace(**(minutes | others | changes))


def test_everything_from_nothing_and_on(small):
    made = small / "model"
    make.make(options(), made)
    load_model(made / export.CHECKPOINT)
    load_judges(made / export.JUDGES)
    first = json.loads((made / "recipe.json").read_text())["stages"]
    make.make(options(judges=0.005), made)  # the other stages' budgets are spent
    recipe = json.loads((made / "recipe.json").read_text())
    assert recipe["stages"]["judges"]["steps"] > first["judges"]["steps"]
    for name in ("decoder", "diffusion"):
        assert recipe["stages"][name] == first[name]
    assert recipe["torch"] == torch.__version__
    assert recipe["start"] is None
    assert recipe["autoencoder, dB"]["0.0"] == 50.0
    judged = recipe["stages"]["judges"]
    assert judged["pictures"] == 8 * judged["steps"]
    drawn = sum(len(training_pictures(n, 768)) for n in range(first["diffusion"]["steps"]))
    assert first["diffusion"]["pictures"] == drawn > 0
    assert {stage["torch seed"] for stage in recipe["stages"].values()} == {0, 1, 2}
