"""What is measured. Poses are joints (..., 11, 2); identities are attribute indices."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..world import CHOICES, Placement, joints_of

PCK = 0.25  # of the pose's root mean square radius
JUDGED = CHOICES
IDENTITY_RIGHT = 2  # attributes that may be wrong in a picture that counts as the same character


def canonical(action: str, facing: str) -> np.ndarray:
    """The pose (11, 2) that a prompt asks for: the mean over its small differences, aligned."""
    poses = [joints_of(Placement(action, facing, 8, 14, wobble)) for wobble in range(32)]
    return align(np.mean(poses, 0))


def align(joints: np.ndarray) -> np.ndarray:
    """Joints without position and size: mean 0, root mean square radius 1."""
    centred = joints - joints.mean(-2, keepdims=True)
    radius = np.sqrt((centred**2).sum(-1).mean(-1))[..., None, None]
    return centred / np.maximum(radius, 1e-6)


def distance(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Mean distance between joints."""
    return np.linalg.norm(a - b, axis=-1).mean(-1)


def pck(made: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Share of the joints within `PCK` of where they belong."""
    return (np.linalg.norm(made - target, axis=-1) < PCK).mean(-1)


def leak_index(made: np.ndarray, target: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """-1 where the prompt's pose is met, +1 where the reference's is copied."""
    apart = distance(target, reference)
    return (distance(made, target) - distance(made, reference)) / apart


def leak_slope(made: np.ndarray, target: np.ndarray, reference: np.ndarray) -> float:
    """How far poses are drawn from the prompt's to the reference's: 0 not at all, 1 copied."""
    pull = reference - target
    return float(((made - target) * pull).sum() / (pull**2).sum())


def attribute_accuracy(found: dict[str, np.ndarray], wanted: dict[str, np.ndarray]) -> np.ndarray:
    """Chance-corrected share of right attributes per picture; unknown ones (-100) are left out."""
    scores, known = [], []
    for name, choices in JUDGED.items():
        chance = 1 / len(choices)
        scores.append(((found[name] == wanted[name]) - chance) / (1 - chance))
        known.append(wanted[name] >= 0)
    return np.where(known, scores, 0).sum(0) / np.sum(known, 0)


def identity_right(found: dict[str, np.ndarray], wanted: dict[str, np.ndarray]) -> np.ndarray:
    """Whether at most `IDENTITY_RIGHT` attributes are wrong."""
    wrong = sum((found[n] != wanted[n]) & (wanted[n] >= 0) for n in JUDGED)
    return wrong <= IDENTITY_RIGHT


def eta_squared(values: np.ndarray, groups: np.ndarray) -> float:
    """Share of the values' variance (n, d) that lies between groups (n,)."""
    centred = values - values.mean(0)
    between = 0.0
    for group in np.unique(groups):
        member = centred[groups == group]
        between += len(member) * float((member.mean(0) ** 2).sum())
    total = float((centred**2).sum())
    return between / total if total > 0 else 0.0


def bootstrap(
    statistic: Callable[[np.ndarray], float], clusters: np.ndarray, count: int = 1000, seed: int = 0
) -> tuple[float, float]:
    """A 95 % interval of a statistic of picture indices, resampling whole clusters (references)."""
    names = np.unique(clusters)
    members = [np.flatnonzero(clusters == name) for name in names]
    values = [
        statistic(np.concatenate([members[each] for each in drawn]))
        for drawn in _drawn(len(names), count, seed)
    ]
    low, high = np.nanpercentile(values, [2.5, 97.5])
    return float(low), float(high)


@dataclass(frozen=True)
class Ratio:
    """A column of the table as two sums over pictures (n,), of which it is the quotient.

    A mean is one, too: of the values, and of how many there are.
    """

    above: np.ndarray
    below: np.ndarray

    @classmethod
    def mean(cls, values: np.ndarray) -> Ratio:
        """Of the values that are numbers."""
        known = ~np.isnan(values)
        return cls(np.where(known, values, 0), known.astype(float))

    def value(self) -> float:
        """Over all pictures."""
        return float(_quotient(self.above.sum(), self.below.sum()))

    def at(self, pictures: np.ndarray) -> Ratio:
        """Of some pictures."""
        return Ratio(self.above[pictures], self.below[pictures])

    def resampled(self, clusters: np.ndarray, count: int = 1000, seed: int = 0) -> np.ndarray:
        """(count,) values of samples of whole clusters, always the same ones."""
        names, group = np.unique(clusters, return_inverse=True)
        sums = [np.bincount(group, each, len(names)) for each in (self.above, self.below)]
        drawn = _drawn(len(names), count, seed)
        above, below = (each[drawn].sum(1) for each in sums)
        return _quotient(above, below)


def interval(values: np.ndarray) -> tuple[float, float]:
    """The middle 95 % of resampled values."""
    if np.isnan(values).all():
        return float("nan"), float("nan")
    low, high = np.nanpercentile(values, [2.5, 97.5])
    return float(low), float(high)


@functools.cache
def _drawn(clusters: int, count: int, seed: int) -> np.ndarray:
    """(count, clusters) which clusters each sample has."""
    rng = np.random.default_rng(seed)
    return np.stack([rng.choice(clusters, clusters) for _ in range(count)])


def _quotient(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(above) / np.asarray(below)
