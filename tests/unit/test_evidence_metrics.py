"""The metrics on cases whose answers are known: a perfect copy, a perfect transfer, noise."""

import numpy as np
import pytest
from PIL import Image

from lab.evidence import metrics
from lab.evidence.plots import LINE, pareto
from lab.world import ACTIONS, CHOICES


@pytest.fixture
def poses():
    target = np.stack([metrics.canonical(action, "left") for action in ACTIONS])
    reference = np.stack([metrics.canonical(action, "right") for action in ACTIONS[::-1]])
    return target.astype(float), reference.astype(float)


def test_a_copy_of_the_reference_leaks_all(poses):
    target, reference = poses
    np.testing.assert_allclose(metrics.leak_index(reference, target, reference), 1)
    assert metrics.leak_slope(reference, target, reference) == pytest.approx(1)


def test_the_prompts_pose_leaks_nothing(poses):
    target, reference = poses
    np.testing.assert_allclose(metrics.leak_index(target, target, reference), -1)
    assert metrics.leak_slope(target, target, reference) == 0
    np.testing.assert_array_equal(metrics.pck(target, target), 1)


def test_half_way_leaks_half(poses):
    target, reference = poses
    made = (target + reference) / 2
    assert metrics.leak_slope(made, target, reference) == pytest.approx(0.5)
    np.testing.assert_allclose(metrics.leak_index(made, target, reference), 0, atol=1e-12)


def test_noise_has_no_slope(poses):
    target, reference = poses
    noise = np.random.default_rng(0).normal(0, 0.5, (400, *target.shape))
    slopes = [metrics.leak_slope(target + each, target, reference) for each in noise]
    assert abs(np.mean(slopes)) < 0.02


def test_alignment_ignores_place_and_size(poses):
    target, _ = poses
    np.testing.assert_allclose(metrics.align(target * 40 + [10, 70]), target, atol=1e-6)


def _identities(count, seed):
    rng = np.random.default_rng(seed)
    return {name: rng.integers(0, len(c), count) for name, c in CHOICES.items()}


def test_identity_is_one_for_a_copy_and_zero_by_chance():
    wanted = _identities(4000, 0)
    np.testing.assert_allclose(metrics.attribute_accuracy(wanted, wanted), 1)
    assert metrics.identity_right(wanted, wanted).all()
    chance = metrics.attribute_accuracy(_identities(4000, 1), wanted)
    assert abs(chance.mean()) < 0.02
    assert metrics.identity_right(_identities(4000, 1), wanted).mean() < 0.01


def test_an_absent_hats_colour_does_not_count():
    wanted, found = _identities(10, 0), _identities(10, 0)
    found["hat_colour"] = found["hat_colour"] + 1
    wanted["hat_colour"][:] = -100
    np.testing.assert_allclose(metrics.attribute_accuracy(found, wanted), 1)


def test_eta_squared_tells_groups_from_noise():
    groups = np.repeat(np.arange(5), 40)
    noise = np.random.default_rng(0).normal(size=(200, 3))
    assert metrics.eta_squared(np.eye(5)[groups], groups) == pytest.approx(1)
    assert metrics.eta_squared(noise, groups) < 0.06


def test_the_bootstrap_covers_a_mean():
    values = np.random.default_rng(0).normal(3, 1, 200)
    low, high = metrics.bootstrap(lambda at: values[at].mean(), np.arange(200))
    assert low < values.mean() < high
    assert high - low == pytest.approx(4 / np.sqrt(200), rel=0.2)


def test_the_plots_key_has_room_for_every_row(tmp_path):
    values = {"leak slope": (0.1, 0.0, 0.2), "identity": (0.1, 0.0, 0.2)}
    pareto({f"method {number}": values for number in range(71)}, tmp_path / "pareto.png")
    picture = np.asarray(Image.open(tmp_path / "pareto.png").convert("L"))
    last = 14 + LINE * 71
    assert picture.shape[0] > last + 10
    assert picture[last : last + 12, 900:].min() < 200  # its name is there
