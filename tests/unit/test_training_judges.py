"""Colours along the limbs are read where joints are known; damage changes pictures."""

from collections import Counter
from random import Random

import numpy as np
import pytest
import torch

from lab.training import export, load
from lab.training.damage import damage
from lab.training.data import render_batch
from lab.training.judges import ABSENT, HEADS, Judges, answers_of, ceiling, judge
from lab.training.palette import lab, limb_colours
from lab.world import CHOICES, KEYPOINTS, draw_picture

PICTURES = [draw_picture(Random(number), shape=(16, 16)) for number in range(150)]
WHOLE = render_batch(PICTURES)


def test_lab_of_known_colours():
    colours = lab(np.array([[1.0, 1, 1], [0, 0, 0], [1, 0, 0]]))
    expected = [[100, 0, 0], [0, 0, 0], [53.24, 80.09, 67.20]]
    np.testing.assert_allclose(colours, expected, atol=0.05)


@pytest.mark.parametrize("noise", [0, 0.1])
def test_colours_along_the_limbs_are_read(noise):
    truth = answers_of(PICTURES)
    cells = WHOLE + noise * torch.randn(WHOLE.shape, generator=torch.Generator().manual_seed(0))
    found = limb_colours(cells, truth["keypoints"].numpy())
    for name in ("shirt", "trousers"):
        assert (found[name] == truth[name].numpy()).mean() >= 0.95


def test_keypoints_somewhere_else_read_next_to_nothing():
    truth = answers_of(PICTURES)
    found = limb_colours(WHOLE, np.zeros((len(PICTURES), len(KEYPOINTS), 2)))
    assert (found["shirt"] == truth["shirt"].numpy()).mean() < 0.4


def test_damage_shows_and_is_of_every_kind():
    rng = Random(0)
    broken = torch.stack([damage(picture, rng) for picture in PICTURES])
    assert broken.shape == WHOLE.shape
    changed = (broken != WHOLE).any(1).sum((1, 2))
    assert (changed >= 3).float().mean() > 0.9
    sizes = Counter(int(min(count // 8, 4)) for count in changed)
    assert len(sizes) > 2  # from a few cells to half a figure


def test_verdicts_have_an_answer_for_every_picture():
    torch.manual_seed(0)
    verdict = judge(Judges(), WHOLE[:3])
    assert verdict.keypoints.shape == (3, len(KEYPOINTS), 2)
    asked = {name for kind in HEADS.values() for name in kind} - {"keypoints"}
    assert set(verdict.choices) == asked
    assert {*CHOICES, "action", "facing", "wall", "place", "defect"} == asked
    for name, answers in verdict.choices.items():
        assert answers.shape == (3,)
        size = next(kind[name] for kind in HEADS.values() if name in kind)
        assert ((answers >= 0) & (answers < size)).all()
    assert {name: each.shape for name, each in verdict.limbs.items()} == {
        "shirt": (3,),
        "trousers": (3,),
    }


def test_the_truth_of_a_bare_head_has_no_hats_colour():
    truth = answers_of(PICTURES)
    bare = truth["hat"] == CHOICES["hat"].index("none")
    assert bare.any()
    assert ((truth["hat_colour"] == ABSENT) == bare).all()
    assert truth["keypoints"].shape == (len(PICTURES), len(KEYPOINTS), 2)


def test_untrained_judges_are_no_better_than_chance():
    torch.manual_seed(0)
    found = ceiling(Judges(), 40)
    assert found["shirt"] < 0.5
    assert found["keypoint error, cells"] > 1
    assert {*CHOICES, "false defects", "defects found", "shirt along the limbs"} <= set(found)


@pytest.mark.skipif(not (export.TARGET / export.JUDGES).exists(), reason="no trained judges yet")
def test_the_shipped_judges_read_held_out_renders():
    found = ceiling(load.load_judges(), 200)
    for name in ("shirt", "trousers", "action", "facing", "wall"):
        assert found[name] > 0.95, name
    assert found["keypoint error, cells"] < 0.7
    assert found["false defects"] < 0.1
    assert found["defects found"] > 0.45
