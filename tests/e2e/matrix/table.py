"""The table: outcomes as Markdown, and an older table's rows that were not run again."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from .verdict import Outcome, Verdict

HEAD = "| Scenario | Result | Seen |\n|---|---|---|\n"
ROW = re.compile(r"^\| (.+?) \| (pass|fail|refused clearly|skipped) \| (.*?) \|$", re.M)


def render(title: str, facts: Iterable[str], outcomes: Sequence[Outcome]) -> str:
    """The whole document.

    Args:
        title: its heading.
        facts: lines about the host, as a list.
        outcomes: the rows, in their order.
    """
    counts = Counter(each.verdict for each in outcomes)
    summary = ", ".join(f"{counts[each]} {each.value}" for each in Verdict)
    lines = "".join(f"- {line}\n" for line in (*facts, f"{len(outcomes)} scenarios: {summary}"))
    rows = "".join(f"| {_cell(o.name)} | {o.verdict.value} | {_cell(o.seen)} |\n" for o in outcomes)
    return f"# {title}\n\n{lines}\n{HEAD}{rows}"


def read(path: Path) -> dict[str, Outcome]:
    """The rows of a table by their scenarios' names; none if there is no such file."""
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    rows = (tuple(map(_plain, row)) for row in ROW.findall(text))
    return {name: Outcome(name, Verdict(verdict), seen) for name, verdict, seen in rows}


def merge(old: dict[str, Outcome], new: Iterable[Outcome]) -> list[Outcome]:
    """New rows in place of old ones of the same name; a run is not replaced by a skip.

    So a table can be filled in several runs, with the host started in other ways.
    """
    rows = dict(old)
    for outcome in new:
        before = rows.get(outcome.name)
        skipped = outcome.verdict is Verdict.SKIPPED
        if not skipped or before is None or before.verdict is Verdict.SKIPPED:
            rows[outcome.name] = outcome
    return list(rows.values())


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _plain(text: str) -> str:
    return text.replace("\\|", "|")
