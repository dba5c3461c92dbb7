"""From judged pictures to rows of the table."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ..training.judges import Verdict, answers_of
from ..world import WALLS
from . import metrics
from .trials import Trial

Figure = tuple[float, float, float]  # a value and its interval


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


def column(values: dict[str, np.ndarray], name: str) -> metrics.Ratio:
    """A column as sums over pictures."""
    if name == "leak slope":
        return metrics.Ratio(values["slope above"], values["slope below"])
    return metrics.Ratio.mean(np.asarray(values[name], float))


def row(values: dict[str, np.ndarray], clusters: np.ndarray) -> dict[str, Figure]:
    """Every column: value and 95 % interval over references."""
    parts = (n for n in values if n.startswith(("attribute", "action", "facing")))
    found = {name: column(values, name) for name in (*COLUMNS, *parts)}
    return {
        name: (each.value(), *metrics.interval(each.resampled(clusters)))
        for name, each in found.items()
    }


def differences(
    values: dict[str, np.ndarray],
    base: dict[str, np.ndarray],
    clusters: np.ndarray,
    name: str,
    within: np.ndarray,
) -> Figure:
    """Paired difference to another method on the same references, prompts and seeds.

    Args:
        within: (n,) where these pictures are among the other method's.
    """
    one, other = column(values, name), column(base, name).at(within)
    gaps = one.resampled(clusters) - other.resampled(clusters)
    return (one.value() - other.value(), *metrics.interval(gaps))


def markdown(
    rows: dict[str, dict[str, Figure]],
    names: list[str],
    counts: dict[str, list[int]],
    signed: bool = False,
) -> str:
    """A table with intervals, of differences if `signed`.

    Args:
        counts: each row's references, prompts and seeds.
    """
    form = "{:+.2f} [{:+.2f}, {:+.2f}]" if signed else "{:.2f} [{:.2f}, {:.2f}]"
    lines = ["| method | n | " + " | ".join(names) + " |", "|---" * (len(names) + 2) + "|"]
    for method, values in rows.items():
        cells = [str(math.prod(counts[method])), *(form.format(*values[name]) for name in names)]
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
