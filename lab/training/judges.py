"""The judges: small networks trained on renders only, never on samples.

- `who`: the ten attributes of an identity.
- `how`: keypoints, action and facing.
- `scene`: wall and place.
- `defects`: whether a picture of one figure is whole: no missing or strange part, no second figure.

`lab.training.palette` reads colours along the limbs, so that no single network decides.
"""

from __future__ import annotations

import itertools
from dataclasses import asdict, dataclass
from random import Random

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..world import (
    ACTIONS,
    CHOICES,
    FACINGS,
    GROUNDS,
    KEYPOINTS,
    WALLS,
    Picture,
    draw_picture,
    joints_of,
)
from .damage import damage
from .data import render_batch
from .palette import limb_colours
from .runs import Stage, device, learning_rate, log, on_gpu

SEED, FIRST = 2, 3 * 10**9  # of torch; the seed of the first batch of pictures
SIDE = 16  # cells of a judged picture, both ways
HEADS: dict[str, dict[str, int]] = {
    "who": {name: len(choices) for name, choices in CHOICES.items()},
    "how": {"action": len(ACTIONS), "facing": len(FACINGS), "keypoints": 2 * len(KEYPOINTS)},
    "scene": {"wall": len(WALLS), "place": len(GROUNDS)},
    "defects": {"defect": 2},
}
MARGIN = 4  # keypoints may lie so many cells outside
ABSENT = -100  # no answer: what cross entropy ignores
DEFECT_MARGIN = 2.0  # logits, in favour of a whole figure
MOST_NOISE = 0.12  # of what the judges see in training, in units of -1..1


class Judge(nn.Module):
    """A small convolutional network with one linear head per question; (B, 3, 16, 16) in."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for index, (narrow, wide) in enumerate(itertools.pairwise((3, 32, 64, 96, 96))):
            layers += [nn.Conv2d(narrow, wide, 3, 1, 1), nn.BatchNorm2d(wide), nn.ReLU()]
            if index in (1, 2):
                layers += [nn.MaxPool2d(2)]
        self.trunk = nn.Sequential(*layers, nn.Flatten(), nn.Linear(96 * 16, 192), nn.ReLU())
        self.heads = nn.ModuleDict(
            {name: nn.Linear(192, size) for name, size in HEADS[kind].items()}
        )

    def forward(self, cells: Tensor) -> dict[str, Tensor]:
        features = self.trunk(cells)
        return {name: head(features) for name, head in self.heads.items()}


class Judges(nn.Module):
    """All four judges."""

    def __init__(self) -> None:
        super().__init__()
        self.each = nn.ModuleDict({kind: Judge(kind) for kind in HEADS})

    def forward(self, cells: Tensor) -> dict[str, Tensor]:
        """Logits per question, and `keypoints` as (B, 11, 2) in cells."""
        answers = {k: v for judge in self.each.values() for k, v in judge(cells).items()}
        share = answers["keypoints"].unflatten(1, (-1, 2))
        answers["keypoints"] = share * (SIDE / 2 + MARGIN) + SIDE / 2
        return answers


@dataclass(frozen=True)
class Verdict:
    """What the judges say of pictures.

    Attributes:
        choices: question to (B,) indices: attributes, action, facing, wall, place, defect.
        keypoints: (B, 11, 2) in cells.
        limbs: `shirt` and `trousers` to (B,) indices, read along arms and legs.
    """

    choices: dict[str, np.ndarray]
    keypoints: np.ndarray
    limbs: dict[str, np.ndarray]


@torch.no_grad()
def judge(judges: Judges, cells: Tensor) -> Verdict:
    """Judges pictures of one figure, (B, 3, 16, 16) colours of cells in -1..1."""
    judges.eval()
    batches = [judges(each.to(device())) for each in cells.split(64)]
    answers = {name: torch.cat([each[name] for each in batches]).cpu() for name in batches[0]}
    keypoints = answers.pop("keypoints").numpy()
    whole, broken = answers.pop("defect").unbind(1)
    choices = {name: logits.argmax(1).numpy() for name, logits in answers.items()}
    choices["defect"] = (broken - whole > DEFECT_MARGIN).int().numpy()
    return Verdict(choices, keypoints, limb_colours(cells, keypoints))


def answers_of(pictures: list[Picture]) -> dict[str, Tensor]:
    """The true answers for pictures of one figure; an absent hat's colour is `ABSENT`."""
    truth: dict[str, list] = {
        name: [] for kind in HEADS for name in HEADS[kind] if name != "defect"
    }
    for picture in pictures:
        figure = picture.figures[0]
        for name, value in asdict(figure.identity).items():
            absent = name == "hat_colour" and figure.identity.hat == "none"
            truth[name].append(ABSENT if absent else CHOICES[name].index(value))
        truth["action"].append(ACTIONS.index(figure.placement.action))
        truth["facing"].append(FACINGS.index(figure.placement.facing))
        truth["wall"].append(list(WALLS).index(picture.scene.wall))
        truth["place"].append(list(GROUNDS).index(picture.scene.place))
        truth["keypoints"].append(torch.from_numpy(joints_of(figure.placement)))
    return {
        name: torch.stack(values) if name == "keypoints" else torch.tensor(values)
        for name, values in truth.items()
    }


def batch_size() -> int:
    """Pictures of a step; each is seen whole and damaged."""
    return on_gpu(256, otherwise=64)


def train(minutes: float) -> Judges:
    """Trains all judges on renders with noise, whole ones and damaged ones."""
    torch.manual_seed(SEED)
    count = batch_size()
    judges = Judges().to(device())
    optimizer = torch.optim.AdamW(judges.parameters(), 2e-3, weight_decay=1e-2)
    stage = Stage("judges", minutes, judges=judges, optimizer=optimizer)
    for step in stage.steps():
        learning_rate(optimizer, 2e-3, step, stage.progress)
        rng = Random(FIRST + step)
        pictures = [draw_picture(rng, shape=(SIDE, SIDE)) for _ in range(count)]
        whole = _noised(render_batch(pictures), rng).to(device())
        broken = torch.stack([damage(picture, rng) for picture in pictures])
        broken = _noised(broken, rng).to(device())
        judges.train()
        answers = judges(whole)
        losses = _losses(answers, {k: v.to(device()) for k, v in answers_of(pictures).items()})
        found = judges.each["defects"](torch.cat([whole, broken]))["defect"]
        is_broken = (torch.arange(2 * count, device=device()) >= count).long()
        loss = sum(losses.values()) + F.cross_entropy(found, is_broken)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 50 == 0:
            log.info("judges step %d loss %.3f %.0f s", step, loss.item(), stage.seconds)
    return judges


def _noised(cells: Tensor, rng: Random) -> Tensor:
    return cells + rng.uniform(0, MOST_NOISE) * torch.randn_like(cells)


def _losses(answers: dict[str, Tensor], truth: dict[str, Tensor]) -> dict[str, Tensor]:
    losses = {
        name: F.cross_entropy(answers[name], wanted, ignore_index=ABSENT)
        for name, wanted in truth.items()
        if name != "keypoints"
    }
    losses["keypoints"] = F.smooth_l1_loss(answers["keypoints"], truth["keypoints"])
    return losses


def ceiling(judges: Judges, count: int = 400) -> dict[str, float]:
    """What the judges get right on held-out renders: accuracy per question, the mean keypoint error
    in cells, and how often they see a defect."""
    rng = Random(4 * 10**9)
    pictures = [draw_picture(rng, held_out=True, shape=(SIDE, SIDE)) for _ in range(count)]
    whole = render_batch(pictures)
    broken = torch.stack([damage(picture, rng) for picture in pictures])
    verdict, truth = judge(judges, whole), answers_of(pictures)
    result = {}
    for name, found in (verdict.choices | _renamed(verdict.limbs)).items():
        if name != "defect":
            wanted = truth[name.removesuffix(" along the limbs")].numpy()
            result[name] = float((found == wanted)[wanted >= 0].mean())
    error = np.linalg.norm(verdict.keypoints - truth["keypoints"].numpy(), axis=-1)
    result["keypoint error, cells"] = float(error.mean())
    result["false defects"] = float(verdict.choices["defect"].mean())
    result["defects found"] = float(judge(judges, broken).choices["defect"].mean())
    return result


def _renamed(limbs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {f"{name} along the limbs": found for name, found in limbs.items()}
