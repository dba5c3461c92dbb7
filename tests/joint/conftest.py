"""The transformers that every promise is tested on."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator

import pytest
import torch

from . import forge
from .harness import Case, stand_ins

BUILDERS = stand_ins()


@functools.cache
def build(name: str) -> Case:
    """A case, made once."""
    if name in BUILDERS:
        return BUILDERS[name]()
    return forge.case(name)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """For tensors this small, threads cost more time than they save."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(params=[*BUILDERS, *(forge.NAMES if os.environ.get(forge.FOLDER) else ())])
def case(request: pytest.FixtureRequest) -> Case:
    """A network."""
    return build(request.param)


@pytest.fixture
def flux() -> Case:
    """One network with rotary positions."""
    return build("flux shape")


@pytest.fixture
def sd3() -> Case:
    """One network without."""
    return build("sd3 shape")
