"""The judges: small networks trained on renders only, never on samples; and a colour fit.

- `who`: the nine attributes of an identity.
- `how`: keypoints, action and facing.
- `scene`: wall and place.
- `defects`: whether a picture of one figure is whole: no missing or strange part, no second figure.

`palette_fit` reads colours at the keypoints in CIELAB, so that no single network decides.
"""

from __future__ import annotations

import itertools
from dataclasses import asdict, dataclass
from random import Random

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .data import render_batch, to_tensor
from .draw import KEYPOINTS, render
from .nets import Autoencoder
from .runs import Stage, device, learning_rate, log, on_gpu
from .world import (
    ACTIONS,
    CLOTHES,
    FACINGS,
    GROUNDS,
    IDENTITY_CHOICES,
    SIZE,
    TROUSERS,
    WALLS,
    Picture,
    draw_picture,
)

HEADS: dict[str, dict[str, int]] = {
    "who": {name: len(choices) for name, choices in IDENTITY_CHOICES.items()},
    "how": {"action": len(ACTIONS), "facing": 2, "keypoints": 2 * len(KEYPOINTS)},
    "scene": {"wall": len(WALLS), "place": len(GROUNDS)},
    "defects": {"defect": 2},
}
MARGIN = 24  # keypoints may lie this many pixels outside
DEFECT_MARGIN = 1.3  # logits; about one whole training render in twenty lies above
DECODED = 1500  # renders that went through the autoencoder, kept for the whole training


class Judge(nn.Module):
    """A small convolutional network with one linear head per question; (B, 3, 128, 128) in."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        widths = (3, 24, 48, 64, 96)
        layers: list[nn.Module] = [nn.AvgPool2d(2)]
        for index, (narrow, wide) in enumerate(itertools.pairwise(widths)):
            layers += [nn.Conv2d(narrow, wide, 3, 2, 1), nn.BatchNorm2d(wide), nn.ReLU()]
            if index >= 1:
                layers += [nn.Conv2d(wide, wide, 3, 1, 1), nn.BatchNorm2d(wide), nn.ReLU()]
        self.trunk = nn.Sequential(*layers, nn.Flatten(), nn.Linear(96 * 16, 192), nn.ReLU())
        self.heads = nn.ModuleDict(
            {name: nn.Linear(192, size) for name, size in HEADS[kind].items()}
        )

    def forward(self, pixels: Tensor) -> dict[str, Tensor]:
        features = self.trunk(pixels)
        return {name: head(features) for name, head in self.heads.items()}


class Judges(nn.Module):
    """All four judges."""

    def __init__(self) -> None:
        super().__init__()
        self.each = nn.ModuleDict({kind: Judge(kind) for kind in HEADS})

    def forward(self, pixels: Tensor) -> dict[str, Tensor]:
        """Logits per question, and `keypoints` as (B, 11, 2) in pixels."""
        answers = {k: v for judge in self.each.values() for k, v in judge(pixels).items()}
        share = answers["keypoints"].unflatten(1, (-1, 2))
        answers["keypoints"] = share * (SIZE / 2 + MARGIN) + SIZE / 2
        return answers


@dataclass(frozen=True)
class Verdict:
    """What the judges say of pictures.

    Attributes:
        choices: question to (B,) indices: attributes, action, facing, wall, place, defect.
        keypoints: (B, 11, 2) in pixels.
        shirt, trousers: (B,) indices by the colour fit in CIELAB.
    """

    choices: dict[str, np.ndarray]
    keypoints: np.ndarray
    shirt: np.ndarray
    trousers: np.ndarray


@torch.no_grad()
def judge(judges: Judges, pixels: Tensor) -> Verdict:
    """Judges pictures (B, 3, 128, 128) in -1..1."""
    judges.eval()
    batches = [judges(each.to(device())) for each in pixels.split(32)]
    answers = {name: torch.cat([each[name] for each in batches]).cpu() for name in batches[0]}
    keypoints = answers.pop("keypoints").numpy()
    whole, broken = answers.pop("defect").unbind(1)
    choices = {name: logits.argmax(1).numpy() for name, logits in answers.items()}
    choices["defect"] = (broken - whole > DEFECT_MARGIN).int().numpy()
    shirt, trousers = palette_fit(pixels, keypoints)
    return Verdict(choices, keypoints, shirt, trousers)


def palette_fit(pixels: Tensor, keypoints: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The nearest shirt and trouser colours, (B,) indices into CLOTHES and TROUSERS.

    Sleeves and legs are read along the limbs between their joints, where no pattern lies: the
    median in CIELAB, then the nearest of the palette.
    """
    pictures = lab((pixels.permute(0, 2, 3, 1).numpy() + 1) / 2)
    index = {name: i for i, name in enumerate(KEYPOINTS)}
    chest = [
        ("neck", "near elbow", 0.75),
        ("near elbow", "near hand", 0.4),
        ("neck", "near elbow", 0.9),
    ]
    legs = [
        ("hip", "near knee", 0.6),
        ("near knee", "near foot", 0.2),
        ("near knee", "near foot", 0.5),
    ]
    found = []
    for limbs, palette in ((chest, CLOTHES), (legs, TROUSERS)):
        colours = lab(np.array(list(palette.values()))[:, None] / 255)[:, 0]
        spots = np.stack(
            [(1 - s) * keypoints[:, index[a]] + s * keypoints[:, index[b]] for a, b, s in limbs], 1
        )
        found.append(_nearest(pictures, spots, colours))
    return found[0], found[1]


def _nearest(pictures: np.ndarray, spots: np.ndarray, colours: np.ndarray) -> np.ndarray:
    near = np.stack(np.meshgrid([-1, 0, 1], [-1, 0, 1]), -1).reshape(-1, 2)
    at = (spots[:, :, None].round().astype(int) + near).clip(0, SIZE - 1).reshape(len(spots), -1, 2)
    rows = np.arange(len(pictures))[:, None]
    median = np.median(pictures[rows, at[..., 1], at[..., 0]], 1)
    return np.linalg.norm(median[:, None] - colours, axis=-1).argmin(1)


def lab(rgb: np.ndarray) -> np.ndarray:
    """sRGB (..., 3) in 0..1 to CIELAB (D65)."""
    rgb = np.clip(rgb, 0, 1)
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    to_xyz = np.array(
        [
            [0.4124564, 0.3575761, 0.1804375],
            [0.2126729, 0.7151522, 0.0721750],
            [0.0193339, 0.1191920, 0.9503041],
        ]
    )
    xyz = linear @ to_xyz.T / np.array([0.95047, 1.0, 1.08883])
    f = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.stack(
        [116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])], -1
    )


def answers_of(pictures: list[Picture]) -> dict[str, Tensor]:
    """The true answers for pictures of one figure; an absent hat's colour is -100 (ignored)."""
    from .draw import joints_of

    truth: dict[str, list] = {
        name: [] for kind in HEADS for name in HEADS[kind] if name != "defect"
    }
    for picture in pictures:
        placement, identity = picture.placements[0], asdict(picture.identity)
        for name, choices in IDENTITY_CHOICES.items():
            absent = name == "hat_colour" and identity["hat"] == "none"
            truth[name].append(-100 if absent else choices.index(identity[name]))
        truth["action"].append(ACTIONS.index(placement.action))
        truth["facing"].append(FACINGS.index(placement.facing))
        truth["wall"].append(list(WALLS).index(picture.scene.wall))
        truth["place"].append(list(GROUNDS).index(picture.scene.place))
        truth["keypoints"].append(torch.from_numpy(joints_of(placement)).float())
    return {
        name: torch.stack(values) if name == "keypoints" else torch.tensor(values)
        for name, values in truth.items()
    }


@dataclass(frozen=True)
class Renders:
    """Pictures of one figure, drawn whole (B, 3, 128, 128), and the same with a defect."""

    pictures: list[Picture]
    whole: Tensor
    broken: Tensor

    @classmethod
    def draw(cls, count: int, rng: Random) -> Renders:
        """New ones from the training world."""
        pictures = [draw_picture(rng) for _ in range(count)]
        broken = torch.stack([damage(picture, rng) for picture in pictures])
        return cls(pictures, render_batch(pictures), broken)

    def take(self, count: int, rng: Random) -> Renders:
        """Some of them."""
        at = rng.sample(range(len(self.pictures)), count)
        return Renders([self.pictures[i] for i in at], self.whole[at], self.broken[at])

    def softened(self, rng: Random) -> Renders:
        """With blur and noise."""
        return Renders(self.pictures, soften(self.whole, rng), soften(self.broken, rng))

    def decoded(self, autoencoder: Autoencoder) -> Renders:
        """As the autoencoder gives them back: what a perfect sample would look like."""
        whole, broken = (autoencoder.roundtrip(each) for each in (self.whole, self.broken))
        return Renders(self.pictures, whole, broken)


def train(autoencoder: Autoencoder, minutes: float) -> Judges:
    """Trains all judges on renders: two thirds blurred and noised, one third decoded."""
    torch.manual_seed(2)
    batch = on_gpu(192, otherwise=48)
    judges = Judges().to(device())
    optimizer = torch.optim.AdamW(judges.parameters(), 1e-3, weight_decay=1e-2)
    decoded = Renders.draw(DECODED, Random(5 * 10**9)).decoded(autoencoder)
    stage = Stage("judges", minutes, judges=judges, optimizer=optimizer)
    for step in stage.steps():
        learning_rate(optimizer, 1e-3, step, stage.progress)
        rng = Random(3 * 10**9 + step)
        fresh = Renders.draw(batch - batch // 3, rng).softened(rng)
        stored = decoded.take(batch // 3, rng)
        pictures = fresh.pictures + stored.pictures
        whole = torch.cat([fresh.whole, stored.whole]).to(device())
        broken = torch.cat([fresh.broken, stored.broken]).to(device())
        judges.train()
        answers = judges(whole)
        losses = _losses(answers, {k: v.to(device()) for k, v in answers_of(pictures).items()})
        found = judges.each["defects"](torch.cat([whole, broken]))["defect"]
        is_broken = (torch.arange(2 * batch, device=device()) >= batch).long()
        loss = sum(losses.values()) + F.cross_entropy(found, is_broken)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 50 == 0:
            log.info("judges step %d loss %.3f %.0f s", step, loss.item(), stage.seconds)
    return judges


def _losses(answers: dict[str, Tensor], truth: dict[str, Tensor]) -> dict[str, Tensor]:
    losses = {
        name: F.cross_entropy(answers[name], wanted)
        for name, wanted in truth.items()
        if name != "keypoints"
    }
    losses["keypoints"] = F.smooth_l1_loss(answers["keypoints"] / 8, truth["keypoints"] / 8)
    return losses


def soften(pixels: Tensor, rng: Random) -> Tensor:
    """Blur and noise, as an autoencoder's pictures have them."""
    share = rng.choice((1.0, 0.5, 0.33))
    if share < 1:
        small = F.interpolate(pixels, scale_factor=share, mode="area")
        pixels = F.interpolate(small, size=pixels.shape[-2:], mode="bilinear")
    return pixels + rng.uniform(0, 0.08) * torch.randn_like(pixels)


def damage(picture: Picture, rng: Random) -> Tensor:
    """The picture drawn with a defect: a part erased, doubled or moved, two identities mixed, or a
    second figure; (3, 128, 128)."""
    base = render(picture)
    pixels, joints = to_tensor(base.pixels), base.figures[0].joints
    kind = rng.randrange(4)
    if kind == 0:  # a second figure, or half of two
        return to_tensor(render(draw_picture(rng, 2, picture.identity)).pixels)
    if kind == 1:  # one body of two identities
        other = render(Picture(draw_picture(rng).identity, picture.placements, picture.scene))
        middle = int(joints[rng.randrange(3), 1].clip(20, SIZE - 20))
        pixels[:, middle:] = to_tensor(other.pixels)[:, middle:]
        return pixels
    centre = joints[rng.randrange(len(KEYPOINTS))]
    size = rng.randrange(16, 30)
    x, y = (int(c) for c in (centre - size / 2).clip(0, SIZE - size))
    if kind == 2:  # a part erased: the empty scene shows
        empty = to_tensor(render(Picture(picture.identity, (), picture.scene)).pixels)
        pixels[:, y : y + size, x : x + size] = empty[:, y : y + size, x : x + size]
        return pixels
    part = pixels[:, y : y + size, x : x + size].clone()  # a part somewhere else
    x, y = rng.randrange(SIZE - size), rng.randrange(SIZE - size)
    pixels[:, y : y + size, x : x + size] = part
    return pixels


def ceiling(
    judges: Judges, autoencoder: Autoencoder, count: int = 400
) -> dict[str, dict[str, float]]:
    """What the judges get right on unseen renders, `drawn` and `decoded`: accuracy per question,
    the mean keypoint error in pixels, and how often they see a defect."""
    rng = Random(4 * 10**9)
    pictures = [draw_picture(rng, held_out=True) for _ in range(count)]
    broken = torch.stack([damage(picture, rng) for picture in pictures])
    drawn = Renders(pictures, render_batch(pictures), broken)
    return {
        name: score(judges, each.whole, pictures) | _defects(judges, each)
        for name, each in (("drawn", drawn), ("decoded", drawn.decoded(autoencoder)))
    }


def score(judges: Judges, pixels: Tensor, pictures: list[Picture]) -> dict[str, float]:
    """Accuracy per question of the judges on pictures whose truth is known."""
    verdict, truth = judge(judges, pixels), answers_of(pictures)
    result = {}
    for name, found in verdict.choices.items():
        if name != "defect":
            wanted = truth[name].numpy()
            result[name] = float((found == wanted)[wanted >= 0].mean())
    result["shirt by colour fit"] = float((verdict.shirt == truth["shirt"].numpy()).mean())
    result["trousers by colour fit"] = float((verdict.trousers == truth["trousers"].numpy()).mean())
    error = np.linalg.norm(verdict.keypoints - truth["keypoints"].numpy(), axis=-1)
    result["keypoint error, pixels"] = float(error.mean())
    return result


def _defects(judges: Judges, renders: Renders) -> dict[str, float]:
    found = judge(judges, torch.cat([renders.whole, renders.broken])).choices["defect"]
    count = len(renders.pictures)
    return {
        "false defects": float(found[:count].mean()),
        "defects found": float(found[count:].mean()),
    }
