"""``python3 -m lab.evidence``: gates, every row of the table, the plot and the grids.

Rows that claims rest on are measured on every picture, rows that explore on a part of them (the
first references, prompts and seeds, so that differences are paired all the same).
"""

from __future__ import annotations

import argparse
import json
import logging
import math
import time
from dataclasses import astuple
from pathlib import Path

import numpy as np

from ..training.export import TARGET
from . import page, plots
from .measure import MEASURES, Scores, count_of, measured
from .methods import DEFAULT, ORACLE, PAPER, PLAIN, Method
from .rows import METHODS, PEERS
from .table import Figure, differences, row
from .trials import Count

log = logging.getLogger("evidence")

COMPARED = ("identity", "leak slope", "pose", "usable")  # columns with paired differences
DOCUMENTS = Path(__file__).parents[2] / "docs"


def main(arguments: list[str] | None = None) -> None:
    """Parses the command line, samples, judges and writes."""
    options = _parser().parse_args(arguments)
    if options.quick:
        options.references, options.prompts, options.seeds, options.steps = 2, 2, 1, 4
    options.whole = Count(options.references, options.prompts, options.seeds)
    options.part = Count(*options.part)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    if options.write_docs:
        page.publish(options.out, options.docs, options.model)
        log.info("wrote %s", options.docs / "evidence.md")
        return
    options.out.mkdir(parents=True, exist_ok=True)
    options.deadline = time.time() + options.minutes * 60
    report = measure(options)
    (options.out / "evidence.json").write_text(json.dumps(report, indent=1) + "\n")
    plots.pareto(report["rows"], options.out / "pareto.png")
    (options.out / "evidence.md").write_text(page.write(report, options.model))
    log.info("wrote %s", options.out / "evidence.md")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python3 -m lab.evidence", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a handful of pictures, for CI")
    parser.add_argument("--references", type=int, default=40)
    parser.add_argument("--prompts", type=int, default=5, help="per reference")
    parser.add_argument("--seeds", type=int, default=3, help="per prompt")
    names = ("REFERENCES", "PROMPTS", "SEEDS")
    parser.add_argument(
        "--part", nargs=3, type=int, default=(16, 4, 1), metavar=names, help="of rows that explore"
    )
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--split", choices=("development", "held-out"), default="development")
    known = {method.name: method for method in METHODS}
    parser.add_argument("--methods", nargs="*", choices=known, default=list(known), metavar="NAME")
    parser.add_argument("--core", action="store_true", help="no rows that explore")
    parser.add_argument("--minutes", type=float, default=math.inf, help="begin nothing after these")
    parser.add_argument("--jobs", type=int, default=1, help="processes, of one core each")
    parser.add_argument("--model", type=Path, default=TARGET, help="folder of the trained model")
    parser.add_argument("--out", type=Path, default=Path("evidence"))
    parser.add_argument(
        "--write-docs", action="store_true", help="only make the documents, of what is in --out"
    )
    parser.add_argument("--docs", type=Path, default=DOCUMENTS)
    return parser


def measure(options: argparse.Namespace) -> dict:
    """Gates, ceilings and all rows; pictures go to `options.out`."""
    chosen = [
        method
        for method in METHODS
        if method.name in options.methods and (method.whole or not options.core)
    ]
    report: dict = {
        "split": options.split,
        "steps": options.steps,
        "plain": PLAIN,
        "oracle": ORACLE,
        "default": DEFAULT.name,
        "peers": [each.name for each in PEERS],
        "rows": {},
        "counts": {},
        "differences": {},
        "seconds": {},
    }
    scores: dict[str, Scores] = {}
    # What explores comes last, where the time may be up.
    exploring = [method for method in chosen if not method.whole]
    tasks = [*(method for method in chosen if method.whole), *MEASURES, *exploring]
    for task, done in zip(tasks, measured(options, tasks), strict=True):
        if isinstance(task, str):
            report[task] = done and done["answer"]
        elif done:
            _add(report, scores, task, done, count_of(task, options))
        else:
            log.info("%s: left out, the time is up", task.name)
    _compare(report, scores)
    return report


def _add(report: dict, scores: dict[str, Scores], method: Method, done: dict, count: Count) -> None:
    """A row of the table."""
    name = method.name
    scores[name] = {key: np.asarray(value) for key, value in done["answer"].items()}
    report["counts"][name] = list(astuple(count))
    report["rows"][name] = row(scores[name], count.clusters)
    report["seconds"][name] = round(done["seconds"] / count.pictures, 3)
    log.info(
        "%s: usable %.2f, %.2f s a picture",
        name, report["rows"][name]["usable"][0], report["seconds"][name],
    )  # fmt: skip


def _compare(report: dict, scores: dict[str, Scores]) -> None:
    """Paired differences to three rows that were measured on every picture, or on as many."""
    counts = {name: Count(*each) for name, each in report["counts"].items()}
    for base in [each for each in (PLAIN, PAPER.name, DEFAULT.name) if each in scores]:
        gaps: dict[str, dict[str, Figure]] = {}
        for name, found in scores.items():
            if name != base:
                within = counts[name].within(counts[base])
                gaps[name] = {
                    each: differences(found, scores[base], counts[name].clusters, each, within)
                    for each in COMPARED
                }
        report["differences"][base] = gaps
