"""The colour fit reads true colours where joints are known; damage changes pictures."""

from random import Random

import numpy as np
import torch

from training.data import render_batch
from training.judges import Judges, answers_of, damage, judge, lab, palette_fit
from training.world import draw_picture

PICTURES = [draw_picture(Random(number)) for number in range(40)]


def test_lab_of_known_colours():
    colours = lab(np.array([[1.0, 1, 1], [0, 0, 0], [1, 0, 0]]))
    expected = [[100, 0, 0], [0, 0, 0], [53.24, 80.09, 67.20]]
    np.testing.assert_allclose(colours, expected, atol=0.05)


def test_the_colour_fit_reads_shirts_and_trousers():
    truth = answers_of(PICTURES)
    shirt, trousers = palette_fit(render_batch(PICTURES), truth["keypoints"].numpy())
    assert (shirt == truth["shirt"].numpy()).mean() > 0.95
    assert (trousers == truth["trousers"].numpy()).mean() > 0.95


def test_damage_shows():
    whole = render_batch(PICTURES)
    rng = Random(0)
    broken = torch.stack([damage(picture, rng) for picture in PICTURES])
    changed = ((whole - broken).abs().amax(1) > 0.1).float().mean((1, 2))
    assert (changed > 0.005).float().mean() > 0.9


def test_verdicts_have_an_answer_for_every_picture():
    torch.manual_seed(0)
    verdict = judge(Judges(), render_batch(PICTURES[:3]))
    assert verdict.keypoints.shape == (3, 11, 2)
    assert all(answers.shape == (3,) for answers in verdict.choices.values())
    assert {"shirt", "action", "facing", "wall", "place", "defect"} <= set(verdict.choices)
