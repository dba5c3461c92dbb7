"""The page of a report: words from `page.md`, every figure from the report and the recipe."""

from __future__ import annotations

import json
import math
import re
import shutil
from collections.abc import Callable
from pathlib import Path

from lafi.core.recorder import BACKGROUND_SHARE

from ..training.export import CHECKPOINT
from ..world import CHOICES
from ..world.captions import NAMED
from .measure import stem
from .methods import DEFAULT, PAPER
from .rows import METHODS
from .table import markdown

TEMPLATE = Path(__file__).with_name("page.md")
RECIPE = "recipe.json"
MAIN = ["identity", "same character", "along the limbs", "action", "facing", "defects", "usable"]
LEAKS = ["leak slope", "leak index", "wall", "scene leak"]
EXPLORED = ["identity", "same character", "defects", "usable", "leak slope", "wall"]
COMPARED = ["identity", "leak slope", "pose", "usable"]
GRIDS = {DEFAULT.name: "grid-default.png", PAPER.name: "grid-paper.png"}
NAMES = {method.name for method in METHODS}
NONE = "Not measured."


def publish(out: Path, documents: Path, model: Path) -> None:
    """The page of a run's folder `out`, its report and pictures, as documents."""
    report = json.loads((out / "evidence.json").read_text())
    (documents / "evidence").mkdir(parents=True, exist_ok=True)
    pictures = {f"grid-{stem(name)}.png": to for name, to in GRIDS.items()}
    for name, to in (pictures | {n: n for n in ("pareto.png", "samples.png")}).items():
        shutil.copyfile(out / name, documents / "evidence" / to)
    (documents / "evidence.json").write_text(json.dumps(report, indent=1) + "\n")
    (documents / "evidence.md").write_text(write(report, model))


def write(report: dict, model: Path) -> str:
    """The page as Markdown.

    `{{COLUMN of ROW}}` in the template is one figure of the report; other words are parts of the
    page.

    Args:
        model: the model's folder, for its recipe.
    """
    parts = _parts(report, model)

    def filled(each: re.Match) -> str:
        column, found, name = each[1].partition(" of ")
        return _figure(report, name, column) if found else parts[each[1]]()

    return re.sub(r"\{\{([^{}]+)\}\}", filled, TEMPLATE.read_text())


def _figure(report: dict, name: str, column: str) -> str:
    if name not in NAMES:
        raise KeyError(f"page.md names no row of the table: {name}")
    if name not in report["rows"]:
        return "(not measured)"
    return f"{report['rows'][name][column][0]:.2f}"


def _parts(report: dict, model: Path) -> dict[str, Callable[[], str]]:
    recipe = json.loads((model / RECIPE).read_text()) if (model / RECIPE).exists() else {}
    whole = {n: r for n, r in report["rows"].items() if not _explores(report, n)}
    part = {n: r for n, r in report["rows"].items() if _explores(report, n)}
    counts = report["counts"]
    attributes = [f"attribute {name}" for name in CHOICES]
    return {
        "identity": lambda: ", ".join(f"{n} ({len(c)})" for n, c in CHOICES.items()),
        "cut-out share": lambda: f"{100 * BACKGROUND_SHARE:.0f} %",
        "named": lambda: f"{100 * NAMED:.0f} %",
        "size": lambda: f"{(model / CHECKPOINT).stat().st_size / 1e6:.0f} MB",
        "decibels": lambda: str(recipe.get("autoencoder, dB", {}).get("0.0", "?")),
        "training": lambda: _training(recipe),
        "judges": lambda: _judges(report["judges"]),
        "gates": lambda: _gates(report),
        "goal": lambda: _goal(report),
        "count": lambda: _count(report, whole),
        "part": lambda: _count(report, part),
        "main": lambda: markdown(whole, MAIN, counts),
        "leaks": lambda: markdown(whole, LEAKS, counts),
        "attributes": lambda: _shares(whole, attributes),
        "differences": lambda: _differences(report, whole),
        "explored": lambda: _explored(report, part),
        "stride": lambda: _strides(report["stride"]),
        "counterfactual": lambda: _grids(report["counterfactual"]),
    }  # fmt: skip


def _explores(report: dict, name: str) -> bool:
    return name not in _whole_rows(report)


def _whole_rows(report: dict) -> list[str]:
    most = max((math.prod(count) for count in report["counts"].values()), default=0)
    return [name for name, count in report["counts"].items() if math.prod(count) == most]


def _count(report: dict, rows: dict) -> str:
    if not rows:
        return NONE
    references, prompts, seeds = report["counts"][next(iter(rows))]
    return (
        f"{references} {report['split']} references x {prompts} prompts x {seeds} "
        f"{'seed' if seeds == 1 else 'seeds'} = {references * prompts * seeds} pictures a row, "
        f"{report['steps']} DDIM steps, guidance 3 where nothing else is said."
    )


def _training(recipe: dict) -> str:
    if not recipe:
        return NONE
    stage = recipe["stages"]["diffusion"]
    start = recipe.get("start")
    begun = " from nothing" if start is None else f" from the weights of an earlier run (`{start}`)"
    return (
        f"Training: {stage['steps']} steps, {stage['pictures']} pictures, "
        f"{stage['seconds'] / 60:.0f} minutes on {recipe['device']}, threads: "
        f"{recipe['threads']}, torch {recipe['torch']}, begun{begun}."
    )


# ---- the goal -----------------------------------------------------------------------------------


def _goal(report: dict) -> str:
    """The issue's figures, met or missed by how much."""
    rows = report["rows"]
    named = {each: rows.get(report[each]) for each in ("plain", "oracle", "default")}
    peers = {name: rows[name]["usable"] for name in report["peers"] if name in rows}
    if not peers or None in named.values():
        return NONE
    default, plain, oracle = named["default"], named["plain"], named["oracle"]
    best = max(peers, key=lambda name: peers[name][0])
    apart = default["usable"][1] > peers[best][2]
    lines = [
        _wanted("text oracle's identity at least 0.8", oracle["identity"][0], 0.8),
        _wanted(
            "identity at least 90 % of the text oracle's",
            default["identity"][0], 0.9 * oracle["identity"][0],
        ),
        _wanted(
            "leak slope at most 0.05 above plain's",
            default["leak slope"][0], plain["leak slope"][0] + 0.05, most=True,
        ),
        _wanted("the prompt's wall kept in at least 0.95", default["wall"][0], 0.95),
        _wanted(
            f"usable at least twice any peer's (most: {best}, {peers[best][0]:.2f}); "
            f"intervals {'apart' if apart else 'not apart'}",
            default["usable"][0], 2 * peers[best][0],
        ),
        _wanted("plain pictures' action right in at least 0.97", plain["action"][0], 0.97),
        _wanted("plain pictures' facing right in at least 0.95", plain["facing"][0], 0.95),
        _wanted("plain pictures with a defect: at most 0.05", plain["defects"][0], 0.05, most=True),
    ]  # fmt: skip
    return "\n".join(
        ["| LAFI's default, or the model | is | wanted | |", "|---|---|---|---|", *lines]
    )


def _wanted(what: str, value: float, bound: float, most: bool = False) -> str:
    short = value - bound if most else bound - value
    verdict = "met" if short <= 0 else f"missed by {short:.2f}"
    return f"| {what} | {value:.2f} | {bound:.2f} | {verdict} |"


# ---- tables -------------------------------------------------------------------------------------


def _shares(rows: dict, names: list[str]) -> str:
    head = [name.removeprefix("attribute ").replace("_", " ") for name in names]
    lines = ["| method | " + " | ".join(head) + " |", "|---" * (len(names) + 1) + "|"]
    for method, values in rows.items():
        cells = [f"{values[name][0]:.2f}" for name in names]
        lines.append(f"| {method} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _differences(report: dict, rows: dict) -> str:
    tables = []
    for base, gaps in report["differences"].items():
        shown = {name: gaps[name] for name in rows if name in gaps}
        tables.append(
            f"To `{base}`:\n\n" + markdown(shown, COMPARED, report["counts"], signed=True)
        )
    return "\n\n".join(tables) or NONE


def _explored(report: dict, rows: dict) -> str:
    """With the paired difference of identity and usable to the default."""
    gaps = report["differences"].get(report["default"], {})
    head = [*EXPLORED, "identity, less the default's", "usable, less the default's"]
    lines = ["| method | n | " + " | ".join(head) + " |", "|---" * (len(head) + 2) + "|"]
    for name, values in rows.items():
        cells = [str(math.prod(report["counts"][name]))]
        cells += ["{:.2f} [{:.2f}, {:.2f}]".format(*values[each]) for each in EXPLORED]
        cells += [
            "{:+.2f} [{:+.2f}, {:+.2f}]".format(*gaps[name][each]) if name in gaps else "-"
            for each in ("identity", "usable")
        ]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines) if rows else NONE


def _judges(ceiling: dict[str, float] | None) -> str:
    if not ceiling:
        return NONE
    lines = ["| judges on held-out renders | |", "|---|---|"]
    lines += [f"| {question} | {value:.2f} |" for question, value in ceiling.items()]
    return "\n".join(lines)


def _gates(report: dict) -> str:
    found = report["gates"]
    if not found:
        return NONE
    uniform = ", ".join(f"t={t}: {100 * v:+.1f} %" for t, v in found["uniform attention"].items())
    flipped = ", ".join(f"t={t}: {v:+.4f}" for t, v in found["flipped facing"].items())
    forced = "\n".join(
        f"| {kind} | " + " | ".join(_forced_cell(kind, *cell) for cell in by.values()) + " |"
        for kind, by in found["teacher-forced"].items()
    )
    times = " | ".join(f"t={time}" for time in found["teacher-forced"]["none"])
    return f"""Gate (a), growth of the loss under uniform self-attention: {uniform}.

Gate (b), teacher-forced: the loss without a reference, and how a reference changes it:

| reference | {times} |
|---{"|---" * len(found["uniform attention"])}|
{forced}

Gate (c), identity with LAFI's default less identity without: {_gate_c(report)}.

Gate (d), growth of the loss when the caption has the other facing: {flipped}.

Gate (e), identity of the text oracle, in the table below; the goal was 0.8."""


def _forced_cell(kind: str, value: float, low: float, high: float) -> str:
    if kind == "none":
        return f"{value:.4f}"
    return f"{100 * value:+.1f} % [{100 * low:+.1f}, {100 * high:+.1f}]"


def _gate_c(report: dict) -> str:
    gain = report["differences"].get(report["plain"], {}).get(report["default"])
    return (
        "not measured" if gain is None else "{:+.2f} [{:+.2f}, {:+.2f}]".format(*gain["identity"])
    )


def _grids(found: dict[str, dict[str, float]] | None) -> str:
    if not found:
        return NONE
    return (
        "; ".join(
            f"{name}: pose by the reference's pose {v['pose by pose']:.2f}, attributes by its "
            f"identity {v['attributes by identity']:.2f} (chance {v['chance']:.2f})"
            for name, v in found.items()
        )
        + "."
    )


def _strides(found: dict[str, dict[str, float]] | None) -> str:
    if not found:
        return NONE
    cells = "; ".join(
        f"{name}: " + ", ".join(f"{every}: {100 * v:.0f} %" for every, v in by.items())
        for name, by in found.items()
    )
    return f"Change of the picture by *Refresh*, relative to LAFI's own: {cells}."
