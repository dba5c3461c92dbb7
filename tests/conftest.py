"""What all tests share: where a running WebUI is, for the tests that need one."""

from __future__ import annotations

import gc

import pytest
from hypothesis import settings

# The same examples in every run, and no clock: a busy machine is no failure.
settings.register_profile("lafi", deadline=None, derandomize=True)
settings.load_profile("lafi")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--url", default=None, help="a running WebUI with LAFI, for e2e and browser")


def pytest_collection_finish() -> None:
    """Spares every later collection the several hundred thousand objects that stay to the end."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def url(pytestconfig: pytest.Config) -> str:
    """Address of the running WebUI, without a slash at its end."""
    address = pytestconfig.getoption("--url")
    if address is None:
        pytest.skip("needs a running WebUI: pass --url http://127.0.0.1:7860")
    return address.rstrip("/")
