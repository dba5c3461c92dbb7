"""Samples and judges method after method, on as many cores as are wanted."""

from __future__ import annotations

import argparse
import multiprocessing
from collections.abc import Iterable, Iterator

import numpy as np
import torch
from PIL import Image

from ..training.data import render_batch, tile, to_bytes
from ..training.export import CHECKPOINT, JUDGES
from ..training.judges import judge
from ..training.load import load_judges, load_model
from ..world import CELL
from .counterfactual import counterfactual
from .methods import Method
from .run import Sampler, draw_trials
from .stride import stride
from .table import Judged, scores

DEVELOPMENT, FINAL = 101, 202  # seeds of the references
SHOWN = 6  # references in a grid of samples
Scores = dict[str, np.ndarray]


class Runner:
    """The model, the judges and the trials of a run.

    Attributes:
        clusters: (n,) which reference each picture belongs to.
    """

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.model = load_model(options.model / CHECKPOINT)
        self.panel = load_judges(options.model / JUDGES)
        held_out = options.split == "held-out"
        seed = FINAL if held_out else DEVELOPMENT
        self.trials = draw_trials(options.references, options.prompts, seed, held_out)
        self.clusters = np.repeat(np.arange(options.references), options.prompts * options.seeds)
        self._sampler = Sampler(self.model, options.steps)

    def __call__(self, method: Method) -> tuple[str, Scores]:
        """Samples all trials, draws the grid, and returns the method's name and its scores (n,)."""
        seeds = range(self.options.seeds)
        pictures = torch.cat([self._sampler.run(method, trial, seeds) for trial in self.trials])
        self._grid(method.name, pictures)
        return method.name, scores(Judged(judge(self.panel, pictures), self.trials, len(seeds)))

    def counterfactual(self, method: Method) -> dict[str, float]:
        """The method's counterfactual grid."""
        return counterfactual(self._sampler, self.panel, method)

    def stride(self, references: int) -> dict[str, dict[int, float]]:
        """How far *Refresh* moves the pictures of the first few references."""
        return stride(self._sampler, self.trials[:references])

    def _grid(self, name: str, pictures: torch.Tensor) -> None:
        """Draws references on the left, then the prompts' first seeds."""
        options, trials = self.options, self.trials
        references = to_bytes(render_batch([trial.reference for trial in trials[:SHOWN]]))
        shape = (len(trials), options.prompts, options.seeds, *references.shape[1:])
        made = to_bytes(pictures).reshape(shape)[:SHOWN, :, 0]
        rows = np.concatenate([references[:, None], made], 1)
        image = tile(rows.reshape(-1, *references.shape[1:]), options.prompts + 1)
        stem = "".join(c if c.isalnum() else "-" for c in name)
        _enlarged(image).save(options.out / f"grid-{stem}.png")


def _enlarged(image: np.ndarray) -> Image.Image:
    small = Image.fromarray(image)
    size = (small.width * CELL, small.height * CELL)
    return small.resize(size, Image.Resampling.NEAREST)


def measured(
    runner: Runner, options: argparse.Namespace, methods: Iterable[Method]
) -> Iterator[tuple[str, Scores]]:
    """Names and scores of all methods, in their order."""
    if options.jobs == 1:
        yield from map(runner, methods)
        return
    context = multiprocessing.get_context("spawn")
    with context.Pool(options.jobs, _start, (options,)) as pool:
        yield from pool.imap(_work, methods)


_runner: Runner  # of a worker process


def _start(options: argparse.Namespace) -> None:
    global _runner
    torch.set_num_threads(1)
    _runner = Runner(options)


def _work(method: Method) -> tuple[str, Scores]:
    return _runner(method)
