"""Whether the other tests here ran on Forge's own classes too."""

from __future__ import annotations

import os

import pytest

from . import forge
from .conftest import build


def test_forges_own_classes_are_tested() -> None:
    if not os.environ.get(forge.FOLDER):
        pytest.skip(f"{forge.FOLDER} names no folder of Forge: stand-ins of the same shape alone")
    counts = [len(build(name).sites) for name in forge.NAMES]
    assert counts == [6, 6, 7]
