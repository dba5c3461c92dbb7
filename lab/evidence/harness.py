"""``python3 -m lab.evidence``: gates, every row of the table, the plot and the grids."""

from __future__ import annotations

import argparse
import json
import logging
from pathlib import Path

from ..training.export import TARGET
from ..training.judges import ceiling
from . import gates, plots
from .measure import Runner, measured
from .methods import DEFAULT, GRIDS, METHODS, ORACLE, PAPER, PEERS, PLAIN
from .summary import COMPARED, summary
from .table import differences, row

log = logging.getLogger("evidence")


def main(arguments: list[str] | None = None) -> None:
    """Parses the command line, samples, judges and writes."""
    options = _parser().parse_args(arguments)
    if options.quick:
        options.references, options.prompts, options.seeds, options.steps = 2, 2, 1, 4
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    options.out.mkdir(parents=True, exist_ok=True)
    report = measure(options)
    (options.out / "evidence.json").write_text(json.dumps(report, indent=1))
    (options.out / "evidence.md").write_text(summary(report))
    log.info("wrote %s", options.out / "evidence.md")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python3 -m lab.evidence", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a handful of pictures, for CI")
    parser.add_argument("--references", type=int, default=40)
    parser.add_argument("--prompts", type=int, default=5, help="per reference")
    parser.add_argument("--seeds", type=int, default=3, help="per prompt")
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--split", choices=("development", "held-out"), default="development")
    names = {method.name: method for method in METHODS}
    parser.add_argument("--methods", nargs="*", choices=names, default=list(names), metavar="NAME")
    parser.add_argument("--jobs", type=int, default=1, help="processes, of one core each")
    parser.add_argument("--model", type=Path, default=TARGET, help="folder of the trained model")
    parser.add_argument("--out", type=Path, default=Path("evidence"))
    return parser


def measure(options: argparse.Namespace) -> dict:
    """Gates, ceilings and all rows; pictures go to `options.out`."""
    runner = Runner(options)
    count = 4 if options.quick else 64
    names = ("references", "prompts", "seeds", "steps", "split")
    report: dict = {name: getattr(options, name) for name in names} | {
        "uniform attention": gates.uniform_attention(runner.model, count),
        "teacher-forced": gates.teacher_forced(runner.model, count // 2),
        "flipped facing": gates.flipped_facing(runner.model, count),
        "judges": ceiling(runner.panel, 20 if options.quick else 400),
        "plain": PLAIN,
        "oracle": ORACLE,
        "default": DEFAULT.name,
        "peers": [each.name for each in PEERS],
        "rows": {},
        "differences": {},
    }
    chosen = [method for method in METHODS if method.name in options.methods]
    scores = {}
    for name, found in measured(runner, options, chosen):
        scores[name] = found
        report["rows"][name] = row(found, runner.clusters)
        log.info("%s: usable %.2f", name, report["rows"][name]["usable"][0])
    for base in [each for each in (PLAIN, PAPER.name, DEFAULT.name) if each in scores]:
        report["differences"][base] = {
            name: {c: differences(found, scores[base], runner.clusters, c) for c in COMPARED}
            for name, found in scores.items()
            if name != base
        }
    report["counterfactual"] = {
        each.name: runner.counterfactual(each) for each in chosen if each.name in GRIDS
    }
    if any(method.refresh != 1 for method in chosen):
        report["stride"] = runner.stride(2 if options.quick else 10)
    plots.pareto(report["rows"], options.out / "pareto.png")
    return report
