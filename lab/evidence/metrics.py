"""What is measured. Poses are joints (..., 11, 2); identities are attribute indices."""

from __future__ import annotations

from collections.abc import Callable

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
    rng = np.random.default_rng(seed)
    names = np.unique(clusters)
    members = {name: np.flatnonzero(clusters == name) for name in names}
    values = [
        statistic(np.concatenate([members[name] for name in rng.choice(names, len(names))]))
        for _ in range(count)
    ]
    low, high = np.nanpercentile(values, [2.5, 97.5])
    return float(low), float(high)
