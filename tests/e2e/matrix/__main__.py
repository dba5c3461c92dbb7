"""``python3 -m tests e2e --url URL --matrix FILE [--only WORD]...``."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path

from ..client import WebUI
from ..conftest import connect
from . import faults, features, neighbours, sampling
from .facts import Facts
from .runner import run
from .scenario import Scenario
from .table import merge, read, render
from .verdict import Outcome, Verdict


def main() -> int:
    """Runs the scenarios; 1 if one of them failed."""
    parser = argparse.ArgumentParser(prog="python3 -m tests e2e", description=__doc__)
    parser.add_argument("--url", required=True, help="user:password@ before the host for a login")
    parser.add_argument("--matrix", required=True, type=Path, metavar="FILE")
    parser.add_argument(
        "--only", action="append", default=[], help="a regular expression over scenarios' names"
    )
    parser.add_argument("--title", default="The matrix", help="the table's heading")
    arguments = parser.parse_args()
    webui = connect(arguments.url)
    webui.generate(steps=1)  # the Forge family loads a checkpoint only then
    facts = Facts.ask(webui)
    chosen = [each for each in scenarios(facts) if _wanted(each, arguments.only)]
    outcomes = []
    for number, scenario in enumerate(chosen, 1):
        outcome = run(scenario, webui)
        outcomes.append(outcome)
        print(f"[{number}/{len(chosen)}] {_line(outcome)}", flush=True)
        # After each: what is done stays done, however the rest ends.
        rows = merge(read(arguments.matrix), outcomes)
        arguments.matrix.write_text(
            render(arguments.title, about(webui, facts), rows), encoding="utf-8"
        )
    return any(outcome.verdict is Verdict.FAIL for outcome in outcomes)


def scenarios(facts: Facts) -> Iterator[Scenario]:
    """All that there are."""
    for kind in (sampling, features, neighbours, faults):
        yield from kind.scenarios(facts)


def about(webui: WebUI, facts: Facts) -> list[str]:
    """Lines that say what was tested."""
    last, options = webui.last_run(), webui.get("/sdapi/v1/options")
    others = [f"{name} {commit}" for name, commit in facts.commits.items() if commit]
    return [
        f"{last.get('host', 'no run yet')}, {last.get('family', '')}, LAFI "
        f"{webui.get('/lafi/v1/version')['version']}, {date.today().isoformat()}",
        f"checkpoint {options.get('sd_model_checkpoint')}, {webui.size}x{webui.size}, "
        f"{webui.steps} steps, {webui.sampler}",
        f"other extensions: {', '.join(others) or 'none'}",
    ]


def _wanted(scenario: Scenario, only: list[str]) -> bool:
    return not only or any(re.search(word, scenario.name, re.IGNORECASE) for word in only)


def _line(outcome: Outcome) -> str:
    return f"{outcome.verdict.value.upper()} {outcome.name}: {outcome.seen}"


if __name__ == "__main__":
    sys.exit(main())
