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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Workers that run side by side must know a case by the same name."""
    named = [each.nodeid for each in items if " at 0x" in each.nodeid]
    if named:
        raise pytest.UsageError(f"cases named by an address in memory: {named[:3]}")


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
