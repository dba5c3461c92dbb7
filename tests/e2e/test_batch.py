"""Promise 6: picture k of a batch is the picture made alone with its seed."""

from __future__ import annotations

import pytest

from .client import SEED, Picture
from .conftest import DEFAULT
from .pictures import REFERENCE

# More than one chunk of 75 tokens beside a short negative prompt: unequal lengths, which hosts
# send through the UNet in separate calls.
LONG = ", ".join(["a knight walking in a forest", "morning light", "tall old trees"] * 8)

# Kernels sum in another order for another number of rows. What that does to a picture depends on
# the host (float32 or half, CPU or GPU), so it is measured on plain pictures. With LAFI it may be
# a few times as much, by chance; the floor serves hosts that are exact on plain pictures.
FACTOR, FLOOR = 4, 0.1


@pytest.fixture(scope="module")
def spread(plain) -> float:
    """How far plain pictures of a batch are from the same pictures made alone, at most."""
    batch = plain(prompt=LONG, batch_size=2).pictures
    alone = [plain(prompt=LONG, seed=SEED + k).picture for k in range(2)]
    return max(map(Picture.distance, batch, alone))


@pytest.fixture(scope="module")
def alone(webui):
    """Pictures made alone, by seed and stream."""
    made = {}

    def generate(stream: str, seed: int):
        if (stream, seed) not in made:
            lafi = {"image": REFERENCE, "stream": stream}
            made[stream, seed] = webui.generate(lafi, prompt=LONG, seed=seed).picture
        return made[stream, seed]

    return generate


def check(pictures, alone, plain, spread, stream) -> None:
    for k, picture in enumerate(pictures):
        by_itself = alone(stream, SEED + k)
        assert picture.distance(by_itself) <= max(FLOOR, FACTOR * spread), f"picture {k}"
        # The whole batch sees the reference, not its first row alone.
        influence = by_itself.distance(plain(prompt=LONG, seed=SEED + k).picture)
        assert influence > 4 * picture.distance(by_itself), f"picture {k}"


def test_batch_of_two(webui, plain, alone, spread, stream) -> None:
    batch = webui.generate({"image": REFERENCE, "stream": stream}, prompt=LONG, batch_size=2)
    assert len(batch.pictures) == 2
    check(batch.pictures, alone, plain, spread, stream)


def test_batch_of_four(webui, plain, alone, spread) -> None:
    batch = webui.generate({"image": REFERENCE}, prompt=LONG, batch_size=4)
    assert len(batch.pictures) == 4
    check(batch.pictures, alone, plain, spread, DEFAULT)


def test_batch_count(webui, plain, alone, spread, stream) -> None:
    """Batches one after another: each is a pass, and each sees the reference."""
    result = webui.generate({"image": REFERENCE, "stream": stream}, prompt=LONG, n_iter=2)
    assert len(result.pictures) == 2
    check(result.pictures, alone, plain, spread, stream)
