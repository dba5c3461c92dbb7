"""Samples and judges method after method, on as many cores as are wanted; stops and resumes."""

from __future__ import annotations

import argparse
import json
import multiprocessing
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import astuple

import numpy as np
import torch
from PIL import Image

from ..training.data import render_batch, tile, to_bytes
from ..training.diffusion import draw_grid
from ..training.export import CHECKPOINT, JUDGES
from ..training.judges import ceiling, judge
from ..training.load import load_judges, load_model
from ..world import CELL
from . import gates
from .counterfactual import counterfactual
from .methods import Method
from .rows import GRIDS, METHODS
from .run import Sampler
from .stride import stride
from .table import Judged, scores
from .trials import Count, draw_trials

DEVELOPMENT, FINAL = 101, 202  # seeds of the references
SHOWN = 6  # references in a grid of samples
MEASURES = ("gates", "judges", "samples", "counterfactual", "stride")  # beside the rows
Scores = dict[str, np.ndarray]


class Runner:
    """The model, the judges and the trials of a run."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.model = load_model(options.model / CHECKPOINT)
        self.panel = load_judges(options.model / JUDGES)
        held_out, whole = options.split == "held-out", options.whole
        seed = FINAL if held_out else DEVELOPMENT
        self.trials = draw_trials(whole.references, whole.prompts, seed, held_out)
        self._sampler = Sampler(self.model, options.steps)

    def __call__(self, what: Method | str) -> dict:
        """A method's scores (n,), or what one of `MEASURES` says."""
        if isinstance(what, Method):
            return self._row(what)
        answer: dict = getattr(self, f"_{what}")()
        return answer

    def _row(self, method: Method) -> Scores:
        """Samples all trials, and draws the grid."""
        count = count_of(method, self.options)
        trials, seeds = count.of(self.trials), range(count.seeds)
        pictures = torch.cat([self._sampler.run(method, trial, seeds) for trial in trials])
        self._grid(method.name, pictures, count)
        return scores(Judged(judge(self.panel, pictures), trials, len(seeds)))

    def _gates(self) -> dict:
        count = 4 if self.options.quick else 64
        return {
            "uniform attention": gates.uniform_attention(self.model, count),
            "teacher-forced": gates.teacher_forced(self.model, count // 2),
            "flipped facing": gates.flipped_facing(self.model, count),
        }

    def _judges(self) -> dict[str, float]:
        return ceiling(self.panel, 20 if self.options.quick else 400)

    def _samples(self) -> dict:
        draw_grid(self.model, self.options.out / "samples.png")
        return {}

    def _counterfactual(self) -> dict[str, dict[str, float]]:
        return {
            each.name: counterfactual(self._sampler, self.panel, each)
            for each in METHODS
            if each.name in GRIDS
        }

    def _stride(self) -> dict[str, dict[int, float]]:
        part = Count(2 if self.options.quick else 6, 2, 1).at_most(self.options.whole)
        return stride(self._sampler, part.of(self.trials))

    def _grid(self, name: str, pictures: torch.Tensor, count: Count) -> None:
        """Draws references on the left, then the prompts' first seeds."""
        references = to_bytes(render_batch([trial.reference for trial in self.trials[:SHOWN]]))
        made = to_bytes(pictures).reshape(*astuple(count), *references.shape[1:])[:SHOWN, :, 0]
        rows = np.concatenate([references[: len(made), None], made], 1)
        image = tile(rows.reshape(-1, *references.shape[1:]), count.prompts + 1)
        _enlarged(image).save(self.options.out / f"grid-{stem(name)}.png")


def count_of(method: Method, options: argparse.Namespace) -> Count:
    """How many pictures a method's row has."""
    whole: Count = options.whole
    return whole if method.whole else options.part.at_most(whole)


def stem(name: str) -> str:
    """A method's name as a file's."""
    return "".join(c if c.isalnum() else "-" for c in name)


def _enlarged(image: np.ndarray) -> Image.Image:
    small = Image.fromarray(image)
    size = (small.width * CELL, small.height * CELL)
    return small.resize(size, Image.Resampling.NEAREST)


def measured(options: argparse.Namespace, tasks: Sequence[Method | str]) -> Iterator[dict | None]:
    """Of each task, in their order, `answer` (as `Runner` gives it) and the CPU `seconds` that it
    took; None where the time was up before.

    Answers are kept in the folder, with all that they depend on: a run that was stopped goes on.
    """
    if options.jobs == 1:
        _start(options)
        yield from map(_work, tasks)
        return
    context = multiprocessing.get_context("spawn")
    with context.Pool(options.jobs, _start, (options,)) as pool:
        yield from pool.imap(_work, tasks)


_runner: Runner  # of a worker process


def _start(options: argparse.Namespace) -> None:
    global _runner
    torch.set_num_threads(1)
    _runner = Runner(options)


def _work(task: Method | str) -> dict | None:
    kept = _Kept(task, _runner.options)
    if kept.read() is None and time.time() < _runner.options.deadline:
        begun = time.process_time()
        answer = _runner(task)
        kept.write(answer, time.process_time() - begun)
    return kept.read()


class _Kept:
    """An answer on disk."""

    def __init__(self, task: Method | str, options: argparse.Namespace) -> None:
        name = task.name if isinstance(task, Method) else task
        self._path = options.out / "kept" / f"{stem(name)}.json"
        count = count_of(task, options) if isinstance(task, Method) else options.whole
        files = [options.model / each for each in (CHECKPOINT, JUDGES)]
        question = [
            re.sub(r" at 0x\w+", "", str(task)), count, options.steps, options.split,
            options.quick, [each.stat().st_mtime for each in files],
        ]  # fmt: skip
        self._question = str(question)

    def read(self) -> dict | None:
        """The answer, if it was given to the same question."""
        if not self._path.exists():
            return None
        kept: dict = json.loads(self._path.read_text())
        return kept if kept["question"] == self._question else None

    def write(self, answer: dict, seconds: float) -> None:
        """Keeps it, whole or not at all."""
        plain = {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in answer.items()}
        kept = {"question": self._question, "seconds": round(seconds, 1), "answer": plain}
        self._path.parent.mkdir(parents=True, exist_ok=True)
        half = self._path.with_suffix(".half")
        half.write_text(json.dumps(kept))
        half.replace(self._path)
