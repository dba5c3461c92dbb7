"""From judged pictures to rows of the table."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..training.judges import Verdict, answers_of
from ..world import WALLS
from . import metrics
from .run import Trial


@dataclass(frozen=True)
class Judged:
    """A method's pictures, judged: flat over trials, prompts and seeds."""

    verdict: Verdict
    trials: list[Trial]
    seeds: int

    def wanted(self) -> list:
        """The picture that each sample was to be."""
        return [each for trial in self.trials for each in trial.wanted for _ in range(self.seeds)]


COLUMNS = {
    "identity": "chance-corrected share of right attributes",
    "same character": "at most two of ten attributes wrong",
    "along the limbs": "colours of shirt and trousers read without a network, mean share right",
    "pose": "action and facing as the prompt says",
    "PCK": "joints near the prompt's pose",
    "leak index": "-1 the prompt's pose, +1 the reference's",
    "leak slope": "share of the way to the reference's pose",
    "wall": "wall colour as the prompt says",
    "scene leak": "wall colour of the reference",
    "defects": "pictures with a defect",
    "usable": "same character, pose right, no defect",
}


def scores(judged: Judged) -> dict[str, np.ndarray]:
    """Per sample (n,), every column but the slope; the slope's two sums stand under its parts."""
    verdict, wanted = judged.verdict, judged.wanted()
    truth = {name: np.asarray(value) for name, value in answers_of(wanted).items()}
    first = [t.reference for t in judged.trials for _ in t.wanted for _ in range(judged.seeds)]
    made = metrics.align(verdict.keypoints)
    target = np.stack([_pose(picture) for picture in wanted])
    reference = metrics.align(np.asarray(answers_of(first)["keypoints"], float))
    choices = verdict.choices
    pose = (choices["action"] == truth["action"]) & (choices["facing"] == truth["facing"])
    same = metrics.identity_right(choices, truth)
    fit = np.mean([verdict.limbs[name] == truth[name] for name in verdict.limbs], 0)
    walls = np.array([list(WALLS).index(picture.scene.wall) for picture in first])
    pull = reference - target
    return {
        "identity": metrics.attribute_accuracy(choices, truth),
        "same character": same,
        "along the limbs": fit,
        "pose": pose,
        "action": choices["action"] == truth["action"],
        "facing": choices["facing"] == truth["facing"],
        "PCK": metrics.pck(made, target),
        "leak index": metrics.leak_index(made, target, reference),
        "slope above": ((made - target) * pull).sum((1, 2)),
        "slope below": (pull**2).sum((1, 2)),
        "wall": choices["wall"] == truth["wall"],
        "scene leak": choices["wall"] == walls,
        "defects": choices["defect"] == 1,
        "usable": same & pose & (choices["defect"] == 0),
        **{f"attribute {n}": _match(choices[n], truth[n]) for n in metrics.JUDGED},
    }


def column(values: dict[str, np.ndarray], name: str, at: np.ndarray) -> float:
    """A column's value over the samples `at`."""
    if name == "leak slope":
        return float(values["slope above"][at].sum() / values["slope below"][at].sum())
    return float(np.nanmean(np.asarray(values[name], float)[at]))


def row(
    values: dict[str, np.ndarray], clusters: np.ndarray
) -> dict[str, tuple[float, float, float]]:
    """Every column: value and 95 % interval over references."""
    everything = np.arange(len(clusters))
    result = {}
    for name in (*COLUMNS, *(n for n in values if n.startswith(("attribute", "action", "facing")))):
        low, high = metrics.bootstrap(lambda at, name=name: column(values, name, at), clusters)
        result[name] = (column(values, name, everything), low, high)
    return result


def differences(
    values: dict[str, np.ndarray], base: dict[str, np.ndarray], clusters: np.ndarray, name: str
) -> tuple[float, float, float]:
    """Paired difference to another method on the same references, prompts and seeds."""
    everything = np.arange(len(clusters))

    def gap(at: np.ndarray) -> float:
        return column(values, name, at) - column(base, name, at)

    return (gap(everything), *metrics.bootstrap(gap, clusters))


def markdown(
    rows: dict[str, dict[str, tuple[float, float, float]]], names: list[str], signed: bool = False
) -> str:
    """A table with intervals, of differences if `signed`."""
    form = "{:+.2f} [{:+.2f}, {:+.2f}]" if signed else "{:.2f} [{:.2f}, {:.2f}]"
    lines = ["| method | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    for method, values in rows.items():
        cells = [form.format(*values[name]) for name in names]
        lines.append(f"| {method} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _match(found: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    return np.where(wanted >= 0, found == wanted, np.nan)


_POSES: dict[tuple[str, str], np.ndarray] = {}


def _pose(picture) -> np.ndarray:
    placement = picture.figures[0].placement
    key = (placement.action, placement.facing)
    if key not in _POSES:
        _POSES[key] = metrics.canonical(*key)
    return _POSES[key]
