"""Puts the stub where the WebUI's packages are, and starts it for a test."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch

if TYPE_CHECKING:
    from .host import WebUI
    from .stage import Stage

# LAFI imports `modules`, `gradio` and `fastapi` at its files' tops, as in a WebUI.
sys.path.insert(0, str(Path(__file__).parent / "webui"))


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """For tensors this small, threads cost more time than they save."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(params=["a1111", "forge"])
def webui(request: pytest.FixtureRequest) -> Iterator[WebUI]:
    """A WebUI of each family with LAFI's script."""
    yield from _start(request.param)


@pytest.fixture
def a1111() -> Iterator[WebUI]:
    """AUTOMATIC1111, where the family does not matter."""
    yield from _start("a1111")


@pytest.fixture
def forge() -> Iterator[WebUI]:
    """Forge alone."""
    yield from _start("forge")


@pytest.fixture
def flux(forge: WebUI) -> WebUI:
    """Forge with a transformer of flow matching."""
    from .flow import load_transformer

    load_transformer()
    return forge


def _start(kind: str) -> Iterator[WebUI]:
    from .host import WebUI

    host = WebUI(kind)
    yield host
    host.close()


@pytest.fixture
def stage(a1111: WebUI, tmp_path: Path) -> Iterator[Stage]:
    """AUTOMATIC1111 with the storyboard; nothing may have been swallowed."""
    from .stage import Stage

    yield Stage(a1111, tmp_path)
    assert a1111.swallowed() == []


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """The library's folder of this WebUI, which is not there yet."""
    from modules import shared

    shared.cmd_opts.lafi_dir = str(tmp_path / "LAFI")
    yield tmp_path / "LAFI"
    shared.reset()


@pytest.fixture
def anna(tmp_path: Path) -> Iterator[Path]:
    """A library with anna and bob."""
    from modules import shared

    from .host import reference
    from .tagging import GREEN, RED

    shared.cmd_opts.lafi_dir = str(tmp_path)
    reference(RED).save(tmp_path / "anna.png")
    reference(GREEN).save(tmp_path / "bob.png")
    yield tmp_path
    shared.reset()


@pytest.fixture
def host_root() -> Path:
    """The root folder of a real WebUI, for tests that hold the stub against it."""
    folder = os.environ.get("LAFI_HOST_ROOT")
    if not folder:
        pytest.skip("holds the stub against a real WebUI: set LAFI_HOST_ROOT to its root folder")
    return Path(folder)
