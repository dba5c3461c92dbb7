"""The running WebUI that the tests ask, and the pictures that many of them share.

The environment's ``LAFI_E2E_SIZE`` (256 pixels; at least 128 for the self-test),
``LAFI_E2E_STEPS`` (6), ``LAFI_E2E_SCHEDULER`` (the host's own; transformers want Simple) and
``LAFI_E2E_CHECKPOINT`` (the loaded one) choose what is made.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any

import pytest

from .client import Result, WebUI
from .pictures import CHARACTERS, REFERENCE

STREAMS = ("noise", "inversion", "denoise")
DEFAULT = "inversion"


def connect(url: str) -> WebUI:
    """The WebUI at an address, with the pictures' size and steps."""
    size, steps = os.environ.get("LAFI_E2E_SIZE", "256"), os.environ.get("LAFI_E2E_STEPS", "6")
    return WebUI(url, int(size), int(steps), os.environ.get("LAFI_E2E_SCHEDULER"))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """`stream` is every kind of reference stream, `sampler` every sampler that the host lists."""
    if "stream" in metafunc.fixturenames:
        metafunc.parametrize("stream", STREAMS)
    if "sampler" in metafunc.fixturenames:
        url = metafunc.config.getoption("--url")
        metafunc.parametrize("sampler", connect(url).samplers if url else [])


@pytest.fixture(scope="session")
def webui(url: str) -> Iterator[WebUI]:
    """The running WebUI, with the chosen checkpoint."""
    webui = connect(url)
    checkpoint = os.environ.get("LAFI_E2E_CHECKPOINT")
    with webui.options(sd_model_checkpoint=checkpoint) if checkpoint else nullcontext():
        webui.generate(steps=1)  # the Forge family loads a checkpoint only then
        yield webui


@pytest.fixture(scope="module", autouse=True)
def empty_bank(webui: WebUI) -> None:
    """Each file begins without recordings: those that two references were recorded for in one
    batch are rounded otherwise, and pictures are compared exactly."""
    webui.clear_bank()


@pytest.fixture(scope="session")
def plain(webui: WebUI) -> Callable[..., Result]:
    """Pictures without LAFI; each is made once."""
    return functools.cache(webui.generate)


@pytest.fixture(scope="session")
def injected(webui: WebUI) -> Callable[..., Result]:
    """Pictures with LAFI by their stream; each is made once, from an empty bank."""

    @functools.cache
    def generate(stream: str = DEFAULT) -> Result:
        webui.clear_bank()
        return webui.generate({"image": REFERENCE, "stream": stream})

    return generate


@pytest.fixture(scope="module")
def library(webui: WebUI) -> Iterator[None]:
    """Anna and bob are in the library; gone afterwards."""
    for name, picture in CHARACTERS.items():
        assert webui.library("PUT", name, {"image": picture}).status == 200
    yield
    for name in CHARACTERS:
        webui.library("DELETE", name)


@pytest.fixture(scope="session")
def hires(webui: WebUI) -> dict[str, Any]:
    """A request with hires fix."""
    return {
        "enable_hr": True,
        "hr_scale": 1.5,
        # In every host's list; latent ones are not.
        "hr_upscaler": "None",
        "hr_second_pass_steps": 4,
        "denoising_strength": 0.7,
        "steps": 4,
        "width": webui.size // 2,
        "height": webui.size // 2,
        # Hosts that have it leave the negative prompt out of the second pass by default.
        "hr_cfg": 7 if "hr_cfg" in webui.txt2img_fields else None,
        # And fail without this one.
        "hr_additional_modules": (
            ["Use same choices"] if "hr_additional_modules" in webui.txt2img_fields else None
        ),
    }
