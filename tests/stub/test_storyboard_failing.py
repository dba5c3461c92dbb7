"""A panel that fails: what is left of the others, and who is told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from modules import shared
from modules.processing import Processed, process_images

from lafi.errors import LafiError
from lafi.webui import storyboard

from .stage import SMALL, THREE, Stage


def test_an_error_in_a_panel_reaches_the_user(stage: Stage) -> None:
    with pytest.raises(LafiError) as caught:
        stage.make({"panels": THREE, "reference": "loaded"}, {"image": "not a picture"})
    assert "image" in str(caught.value)


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Lets the host run out of memory where a panel's prompt holds a word."""

    def at(word: str) -> None:
        def run(p: Any) -> Processed:
            if word in p.prompt:
                raise RuntimeError("out of memory")
            return process_images(p)

        monkeypatch.setattr(storyboard, "process_images", run)

    return at


@pytest.mark.parametrize("is_api", [False, True])
def test_a_panel_that_fails_leaves_the_page_of_those_before_it(
    stage: Stage, failing: Callable, is_api: bool, caplog: pytest.LogCaptureFixture
) -> None:
    failing("sitting")
    if is_api:
        p = stage.host.processing(prompt="a boy", outpath_grids=str(stage.folder), **SMALL)
        p.is_api = True
        with pytest.raises(RuntimeError, match="out of memory"):
            storyboard.run(p, [THREE])
    else:
        done = stage.make({"panels": THREE})
        assert len(done.images) == len(done.infotexts) == 2
        assert "line 2 failed, so the page ends before it: out of memory" in done.comments
    assert len(stage.saved()) == 1
    assert "out of memory" in caplog.text
    assert shared.state.textinfo is None


def test_a_first_panel_that_fails_leaves_nothing(stage: Stage, failing: Callable) -> None:
    failing("running")
    with pytest.raises(RuntimeError, match="out of memory"):
        stage.make({"panels": THREE})
    assert stage.saved() == []
    assert shared.state.textinfo is None
