"""The toy world: pictures named by numbers, closed-form joints, captions without identity."""

from dataclasses import replace
from random import Random

import numpy as np
import pytest

from training.draw import KEYPOINTS, PARTS, joints_of, render
from training.world import (
    ACTIONS,
    CLOTHES,
    IDENTITY_CHOICES,
    SIZE,
    Placement,
    caption,
    draw_identity,
    draw_picture,
    is_held_out,
    training_picture,
)


def test_a_number_names_a_picture_for_ever():
    assert training_picture(7) == training_picture(7)
    assert training_picture(7) != training_picture(8)
    assert (render(training_picture(7)).pixels == render(training_picture(7)).pixels).all()


@pytest.mark.parametrize("action", ACTIONS)
def test_every_part_of_a_figure_is_visible(action):
    picture = draw_picture(Random(3), action=action)
    drawn = render(replace(picture, identity=replace(picture.identity, hat="cap")), labels=True)
    assert drawn.pixels.shape == (SIZE, SIZE, 3)
    assert drawn.labels is not None
    assert set(np.unique(drawn.labels)) == set(range(len(PARTS)))


@pytest.mark.parametrize("action", ACTIONS)
def test_facing_mirrors_the_joints(action):
    right = Placement(action, "right", 64, 110, 90, 5)
    left = replace(right, facing="left")
    mirrored = joints_of(right) * [-1, 1] + [2 * 64, 0]
    np.testing.assert_allclose(joints_of(left), mirrored, atol=1e-9)


def test_joints_follow_position_and_size():
    small = Placement("running", "right", 40, 100, 50, 5)
    big = replace(small, x=60, ground=120, size=100)
    np.testing.assert_allclose(
        joints_of(big) - [60, 120], (joints_of(small) - [40, 100]) * 2, atol=1e-9
    )


def test_actions_are_far_apart_compared_with_their_own_spread():
    def poses(action):
        placements = [Placement(action, "right", 64, 110, 90, w) for w in range(8)]
        return np.stack([joints_of(each) for each in placements])

    means = {action: poses(action).mean(0) for action in ACTIONS}
    spread = max(np.linalg.norm(poses(a) - means[a], axis=-1).mean() for a in ACTIONS)
    for one in ACTIONS:
        for other in set(ACTIONS) - {one}:
            assert np.linalg.norm(means[one] - means[other], axis=-1).mean() > 2 * spread


def test_the_head_is_drawn_at_its_joint():
    picture = draw_picture(Random(1), action="standing")
    drawn = render(picture, labels=True)
    x, y = drawn.figures[0].joints[KEYPOINTS.index("head")].round().astype(int)
    assert drawn.labels is not None
    assert PARTS[drawn.labels[y, x]] in ("skin", "hair", "hat")


def test_captions_never_name_the_identity():
    words = {word for name in ("hair", "shirt") for word in IDENTITY_CHOICES[name]}
    words -= {"blue", "green", "pink", "yellow", "purple"}  # walls have these colours too
    for number in range(300):
        said = set(caption(training_picture(number)).replace(",", "").split())
        assert not said & (words | {"skin", "hair", "shirt", "trousers", "shoes"})


def test_the_oracle_names_all_of_it():
    picture = training_picture(3)
    said = caption(picture, oracle=True)
    assert f"{picture.identity.shirt} {picture.identity.pattern} shirt" in said


def test_held_out_identities_and_combinations_never_meet_training():
    for number in range(500):
        picture = training_picture(number)
        assert not picture.identity.held_out
        assert not any(is_held_out(each, picture.scene) for each in picture.placements)
    rng = Random(0)
    assert all(draw_identity(rng, held_out=True).held_out for _ in range(20))
    picture = draw_picture(rng, held_out=True)
    assert is_held_out(picture.placements[0], picture.scene)


def test_figures_of_one_picture_share_their_identity_and_its_colours():
    picture = next(p for p in map(training_picture, range(50)) if len(p.placements) == 2)
    drawn = render(picture, labels=True)
    assert drawn.labels is not None
    shirt = np.array(CLOTHES[picture.identity.shirt])
    pixels = drawn.pixels[drawn.labels == PARTS.index("shirt")].astype(int)
    assert (np.abs(pixels - shirt).sum(1) < 12).mean() > 0.1
