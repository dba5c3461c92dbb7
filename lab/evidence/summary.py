"""The report of a run in words and tables."""

from __future__ import annotations

from .methods import DEFAULT, PLAIN
from .table import markdown

MAIN = ["identity", "same character", "along the limbs", "pose", "PCK", "defects", "usable"]
COMPARED = ["identity", "leak slope", "pose", "usable"]  # columns with paired differences
LEAKS = ["leak index", "leak slope", "wall", "scene leak"]


def summary(report: dict) -> str:
    """Markdown of a report."""
    pictures = report["references"] * report["prompts"] * report["seeds"]
    differences = "\n\n".join(
        f"Paired differences to `{base}`:\n\n" + markdown(rows, COMPARED, signed=True)
        for base, rows in report["differences"].items()
    )
    return f"""{report["references"]} {report["split"]} references x {report["prompts"]} prompts x \
{report["seeds"]} seeds = {pictures} pictures per row, {report["steps"]} DDIM steps. \
Intervals: 95 %, bootstrap over references.

{_gates(report)}

{_judges(report["judges"])}

{markdown(report["rows"], MAIN)}

{markdown(report["rows"], LEAKS)}

{differences}

{_strides(report.get("stride", {}))}Counterfactual grid, shares of variance \
(chance {1 / 5:.2f}): {_grids(report["counterfactual"])}.
"""


def _gates(report: dict) -> str:
    uniform = ", ".join(f"t={t}: {100 * v:+.1f} %" for t, v in report["uniform attention"].items())
    flipped = ", ".join(f"t={t}: {v:+.4f}" for t, v in report["flipped facing"].items())
    forced = "\n".join(
        f"| {kind} | " + " | ".join(_forced_cell(kind, *cell) for cell in by.values()) + " |"
        for kind, by in report["teacher-forced"].items()
    )
    times = " | ".join(f"t={time}" for time in report["teacher-forced"]["none"])
    return f"""Gate (a), growth of the loss under uniform self-attention: {uniform}.

Gate (b), teacher-forced: the loss without a reference, and how a reference changes it:

| reference | {times} |
|---{"|---" * len(report["uniform attention"])}|
{forced}

Gate (d), growth of the loss when the caption has the other facing: {flipped}.

Gate (c), identity with LAFI's default less identity without: {_gate_c(report)}."""


def _gate_c(report: dict) -> str:
    gain = report["differences"].get(PLAIN, {}).get(DEFAULT.name)
    return (
        "not measured" if gain is None else "{:+.2f} [{:+.2f}, {:+.2f}]".format(*gain["identity"])
    )


def _judges(ceiling: dict[str, float]) -> str:
    lines = ["| judges on held-out renders | |", "|---|---|"]
    lines += [f"| {question} | {value:.2f} |" for question, value in ceiling.items()]
    return "\n".join(lines)


def _grids(counterfactual: dict[str, dict[str, float]]) -> str:
    return "; ".join(
        f"{name}: pose by the reference's pose {v['pose by pose']:.2f}, "
        f"attributes by its identity {v['attributes by identity']:.2f}"
        for name, v in counterfactual.items()
    )


def _strides(changes: dict[str, dict[int, float]]) -> str:
    if not changes:
        return ""
    cells = "; ".join(
        f"{name}: " + ", ".join(f"{every}: {100 * v:.0f} %" for every, v in by.items())
        for name, by in changes.items()
    )
    return f"Change of the picture by *Refresh*, relative to LAFI's own: {cells}.\n\n"


def _forced_cell(kind: str, value: float, low: float, high: float) -> str:
    if kind == "none":
        return f"{value:.4f}"
    return f"{100 * value:+.1f} % [{100 * low:+.1f}, {100 * high:+.1f}]"
