"""The counterfactual grid: prompt and seed stay, the reference's identity and pose change.

What of the made picture then varies with the reference's pose is leak, whatever the right pose
would have been; what varies with its identity is transfer.
"""

from __future__ import annotations

from dataclasses import replace
from random import Random

import numpy as np
import torch

from ..training.judges import Judges, judge
from ..world import ACTIONS, Figure, Picture, draw_identity, draw_picture
from .methods import Method
from .metrics import JUDGED, align, eta_squared
from .run import Sampler
from .trials import SHAPE, SIDES, Trial

SIDE, PROMPTS = 4, 2


def counterfactual(
    sampler: Sampler, panel: Judges, method: Method, seed: int = 7
) -> dict[str, float]:
    """Shares of variance (eta squared), means over prompts, and what chance alone would give.

    Returns:
        `pose by pose`: leak; `attributes by identity`: transfer; `chance`: either for no effect.
    """
    rng = Random(seed)
    base = draw_picture(rng, held_out=True, shape=SHAPE, facing=SIDES[0])
    identities = [draw_identity(rng, held_out=True) for _ in range(SIDE)]
    actions = rng.sample(ACTIONS, SIDE + PROMPTS)
    figure = base.figures[0]
    place = replace(figure.placement, x=8)
    wanted = tuple(
        Picture((Figure(figure.identity, replace(place, action=action)),), base.scene)
        for action in actions[SIDE:]
    )
    made = []
    for identity in identities:
        for action in actions[:SIDE]:
            reference = Picture((Figure(identity, replace(place, action=action)),), base.scene)
            made.append(sampler.run(method, Trial(reference, wanted), [seed]))
    return _shares(panel, torch.stack(made))


def _shares(panel: Judges, made: torch.Tensor) -> dict[str, float]:
    """Of pictures (identities * poses, prompts, 3, H, W), identities outermost."""
    who, pose = np.repeat(np.arange(SIDE), SIDE), np.tile(np.arange(SIDE), SIDE)
    leak, transfer = [], []
    for prompt in range(PROMPTS):
        verdict = judge(panel, made[:, prompt])
        joints = align(verdict.keypoints).reshape(SIDE * SIDE, -1)
        hot = [np.eye(len(JUDGED[n]))[verdict.choices[n]] for n in JUDGED]
        leak.append(eta_squared(joints, pose))
        transfer.append(eta_squared(np.concatenate(hot, 1), who))
    return {
        "pose by pose": float(np.mean(leak)),
        "attributes by identity": float(np.mean(transfer)),
        "chance": (SIDE - 1) / (SIDE**2 - 1),
    }
