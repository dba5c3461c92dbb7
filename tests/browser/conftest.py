"""A headless browser for the tests that need a running WebUI (``--url``)."""

from __future__ import annotations

import base64
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

from lab.host.client import Client

from .page import Page

CHARACTERS = "/lafi/v1/characters"
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--lang=en",
    "--window-size=1400,1600",
)


@pytest.fixture(scope="session")
def driver(tmp_path_factory) -> Iterator:
    webdriver = pytest.importorskip("selenium.webdriver", reason="needs selenium")
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    chromedriver = shutil.which("chromedriver")
    if not browser or not chromedriver:
        pytest.skip("needs Chromium and chromedriver")
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService(chromedriver))
    yield driver
    driver.quit()


@pytest.fixture(scope="session")
def loaded(url, driver) -> None:
    """A first picture: Forge loads a checkpoint only then."""
    page = Page.open(driver, url)
    page.prepare("a knight", steps=1)
    page.generate()
    assert page.error() == ""


@pytest.fixture
def open_page(url, driver, loaded) -> Callable[..., Page]:
    """Opens the WebUI in one of its tabs."""
    return lambda tab="txt2img": Page.open(driver, url, tab)


@pytest.fixture
def reference(tmp_path) -> Path:
    """A picture to upload."""
    path = tmp_path / "reference.png"
    picture = Image.new("RGB", (160, 160), "#c0d8f0")
    ImageDraw.Draw(picture).ellipse((40, 20, 120, 140), fill="#a03020")
    picture.save(path)
    return path


@pytest.fixture(scope="session")
def api(url) -> Client:
    """The same WebUI's API."""
    return Client(url)


@pytest.fixture
def new_name(api) -> Iterator[Callable[[], str]]:
    """Names of characters that no one has; the test saves them, and they are gone afterwards."""
    names = []

    def new() -> str:
        names.append(f"browser-{secrets.token_hex(3)}")
        return names[-1]

    yield new
    answers = [api.ask("DELETE", f"{CHARACTERS}/{name}") for name in names]
    assert [each.status for each in answers] == [200] * len(names), answers


@pytest.fixture
def name(new_name) -> str:
    """One of them."""
    return new_name()


@pytest.fixture
def character(api, new_name) -> Callable[[Path], str]:
    """Saves a picture as a character; gives its name."""

    def save(picture: Path) -> str:
        name = new_name()
        body = {"image": base64.b64encode(picture.read_bytes()).decode()}
        answer = api.ask("PUT", f"{CHARACTERS}/{name}", body)
        assert answer.status == 200, answer
        return name

    return save


@pytest.fixture(scope="session")
def screenshots(tmp_path_factory) -> Path:
    """Where pictures of the page go: ``LAFI_SCREENSHOTS``, else a temporary folder."""
    folder = os.environ.get("LAFI_SCREENSHOTS")
    path = Path(folder) if folder else tmp_path_factory.mktemp("screenshots")
    path.mkdir(parents=True, exist_ok=True)
    return path
