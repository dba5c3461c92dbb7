"""Promise 1: what injects nothing changes nothing."""

from __future__ import annotations

import pytest

from .pictures import REFERENCE

OFF = [{"enabled": False}, {"depth": 0}, {"cutoff": 0}, {"strength": 0}]


@pytest.mark.parametrize("field", OFF, ids=lambda field: next(iter(field)))
def test_equals_a_request_without_the_extension(webui, plain, field) -> None:
    before = webui.last_run()
    off = webui.generate({"image": REFERENCE, **field})
    assert off.picture == plain().picture
    assert off.lafi_keys() == set()
    assert off.infotexts == plain().infotexts
    assert webui.last_run() == before, "a run that injects nothing is no run"


def test_a_batch_equals_too(webui, plain) -> None:
    off = webui.generate({"image": REFERENCE, "depth": 0}, batch_size=2)
    assert off.pictures == plain(batch_size=2).pictures


def test_disabled_needs_no_reference(webui, plain) -> None:
    assert webui.generate({"enabled": False}).picture == plain().picture


def test_on_changes_the_picture(plain, injected, stream) -> None:
    assert injected(stream).picture != plain().picture
