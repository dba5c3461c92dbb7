"""The pixel world: pictures named by numbers, every attribute in sight, what captions say."""

import itertools
import zlib
from collections import Counter
from dataclasses import replace
from random import Random

import numpy as np
import pytest

from lab.world import (
    ACTIONS,
    CHOICES,
    FACINGS,
    KEYPOINTS,
    Figure,
    Identity,
    Picture,
    Placement,
    Scene,
    caption,
    draw_identity,
    draw_picture,
    is_held_out,
    joints_of,
    render,
    training_caption,
    training_pictures,
)
from lab.world.draw import empty_scene, with_identities
from lab.world.picture import SHAPES

ROOM = Scene("grey", "room", 12)
SOMEBODY = Identity(
    skin="tan", hair="red", hair_shape="short", hat="cap", hat_colour="green", shirt="blue",
    pattern="plain", trousers="navy", shoes="white", bag="grey",
)  # fmt: skip
# A bag on the back lies over the spots; whatever else differs shows from every side.
UNSEEN = {("back", "pattern", frozenset(("plain", "spotted")))}
BATCHES = [training_pictures(number, 1024) for number in range(200)]
TRAINING = list(itertools.chain(*BATCHES))
DRAWN, SAID = 0x8EF30D2E, 0xE7DAD42A


def shown(identity, placement):
    return render(Picture((Figure(identity, placement),), ROOM))


def test_a_number_names_its_pictures_for_ever():
    assert training_pictures(7) == training_pictures(7)
    assert training_pictures(7) != training_pictures(8)
    # A model belongs to the world it was trained on: what changes these makes a new model needful.
    drawn = b"".join(render(picture).tobytes() for picture in TRAINING)
    assert zlib.crc32(drawn) == DRAWN
    said = "\n".join(training_caption(each, Random(n)) for n, each in enumerate(TRAINING))
    assert zlib.crc32(said.encode()) == SAID


@pytest.mark.parametrize("facing", FACINGS)
@pytest.mark.parametrize("action", ACTIONS)
def test_every_attribute_shows_in_every_action_from_every_side(action, facing):
    for wobble in range(2):
        placement = Placement(action, facing, 8, 14, wobble)
        for name, choices in CHOICES.items():
            drawn = {c: shown(replace(SOMEBODY, **{name: c}), placement) for c in choices}
            for one, other in itertools.combinations(choices, 2):
                same = (drawn[one] == drawn[other]).all()
                if same:
                    assert (facing, name, frozenset((one, other))) in UNSEEN


def test_something_is_drawn_at_every_joint():
    for action, facing in itertools.product(ACTIONS, FACINGS):
        placement = Placement(action, facing, 16, 20, 1)
        picture = Picture((Figure(SOMEBODY, placement),), ROOM, (32, 24))
        differs = (render(picture) != render(empty_scene(picture))).any(2)
        for name, (x, y) in zip(KEYPOINTS, joints_of(placement).astype(int), strict=True):
            near = differs[y - 1 : y + 2, x - 1 : x + 2]
            assert near.any(), f"{action} facing {facing}: nothing is drawn at the {name}"


def test_little_of_a_figure_leaves_the_picture():
    figures = [(figure, each.shape) for each in TRAINING for figure in each.figures]
    outside = []
    for figure, shape in figures:
        joints = joints_of(figure.placement)
        outside.append(((joints < 0) | (joints >= shape)).any(1).sum())
    assert max(outside) <= 2  # a pointing hand, a kicking foot
    assert np.mean(np.array(outside) > 0) < 0.2


@pytest.mark.parametrize("action", ACTIONS)
def test_left_is_the_mirror_of_right(action):
    for wobble in range(4):
        right = Placement(action, "right", 8, 14, wobble)
        left = replace(right, facing="left")
        np.testing.assert_array_equal(joints_of(left), joints_of(right) * [-1, 1] + [16, 0])
        # Column 0 has no counterpart: the hip's column, 8, is the mirror.
        one, other = shown(SOMEBODY, right)[:, 1:], shown(SOMEBODY, left)[:, :0:-1]
        np.testing.assert_array_equal(one, other)


def test_joints_follow_the_place():
    one = Placement("running", "right", 5, 13, 5)
    other = replace(one, x=9, ground=20)
    np.testing.assert_array_equal(joints_of(other) - joints_of(one), np.tile([4, 7], (11, 1)))


def test_actions_are_far_apart_compared_with_their_own_spread():
    poses = {
        action: np.stack([joints_of(Placement(action, "right", 8, 14, w)) for w in range(16)])
        for action in ACTIONS
    }
    means = {action: each.mean(0) for action, each in poses.items()}
    for one, other in itertools.combinations(ACTIONS, 2):
        # Waving is standing with another arm: the joint that differs most tells them apart.
        apart = np.linalg.norm(means[one] - means[other], axis=-1).max()
        spread = max(
            np.linalg.norm(poses[each] - means[each], axis=-1).mean() for each in (one, other)
        )
        assert apart > 3 * spread, (one, other)


def test_batches_hold_pictures_of_one_shape_that_training_knows():
    for batch in BATCHES:
        count = len(batch[0].figures)
        [shape] = {picture.shape for picture in batch}
        assert shape in SHAPES[count]
        assert all(side % 8 == 0 for side in shape)
        assert len(batch) == 1024 // (shape[0] * shape[1])
        assert {len(picture.figures) for picture in batch} == {count}
        assert render(batch[0]).shape == (shape[1], shape[0], 3)


def test_two_figures_are_the_same_twice_or_two_different_ones():
    alike = Counter(
        batch[0].figures[0].identity == batch[0].figures[1].identity
        for batch in BATCHES
        if len(batch[0].figures) == 2
    )
    assert alike[True] > alike[False] > 10


def test_held_out_identities_and_combinations_never_meet_training():
    for picture in TRAINING:
        for figure in picture.figures:
            assert not figure.identity.held_out
            assert not is_held_out(figure.placement, picture.scene)
    rng = Random(0)
    assert all(draw_identity(rng, held_out=True).held_out for _ in range(20))
    for _ in range(20):
        picture = draw_picture(rng, held_out=True)
        assert picture.figures[0].identity.held_out
        assert is_held_out(picture.figures[0].placement, picture.scene)


def test_an_absent_hat_has_one_spelling():
    rng = Random(1)
    bare = [who for who in (draw_identity(rng) for _ in range(200)) if who.hat == "none"]
    assert bare
    assert {who.hat_colour for who in bare} == {"red"}
    assert not any("red none" in words for who in bare for words in who.words())


def test_captions_tell_the_identity_only_when_asked():
    words = {word for name in ("hair", "hair_shape", "hat", "pattern") for word in CHOICES[name]}
    words -= {"blue", "green", "pink", "yellow", "purple"}  # walls have these colours too
    words |= {"skin", "hair", "shirt", "trousers", "shoes", "bag"}
    for picture in TRAINING:
        assert not set(caption(picture).replace(",", "").split()) & words
        said = caption(picture, named=True)
        for figure in picture.figures:
            assert all(phrase in said for phrase in figure.identity.words())


def test_captions_say_how_many_there_are_what_they_do_and_where():
    one, other = draw_identity(Random(1)), draw_identity(Random(2))
    assert one != other
    alone = draw_picture(Random(3), identity=one)
    twice = draw_picture(Random(3), 2, identity=one)
    two = with_identities(twice, one, other)
    first = caption(alone).split(", ")
    placement = alone.figures[0].placement
    assert first[:2] == ["a figure", f"{placement.action} facing {placement.facing}"]
    assert first[2] == f"{alone.scene.wall} {alone.scene.place}"
    assert caption(twice).startswith("the same figure twice, ")
    assert caption(two) == caption(twice).replace("the same figure twice", "two figures")
    said = caption(two, named=True)
    assert said.count(" shirt") == 2
    assert caption(twice, named=True).count(" shirt") == 1
    # Each figure's words stand before what it does.
    assert said.index(f"{one.shirt} {one.pattern}") < said.index(twice.figures[0].placement.action)


def test_training_captions_leave_parts_out():
    picture = training_pictures(1)[0]
    said = {training_caption(picture, Random(number)) for number in range(300)}
    assert "" in said
    assert caption(picture) in said
    assert any("skin" in each for each in said)
    assert any(picture.scene.wall not in each for each in said if each)
