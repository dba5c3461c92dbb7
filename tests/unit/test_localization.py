"""The translations cover what the page shows."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from lafi.presets import PRESETS
from lafi.settings import FIELDS
from lafi.storyboard.settings import FIELDS as STORYBOARD
from lafi.webui import options

LOCALIZATIONS = sorted((Path(__file__).parents[2] / "localizations").glob("*.json"))


@pytest.fixture(params=LOCALIZATIONS, ids=lambda path: path.stem)
def translated(request) -> dict[str, str]:
    return json.loads(request.param.read_text(encoding="utf-8"))


def test_there_is_a_translation():
    assert LOCALIZATIONS


def test_nothing_is_translated_by_nothing(translated):
    assert all(translated.values())


def test_every_label_and_help_is_translated(translated):
    shown = set()
    for field in (*FIELDS[1:], *STORYBOARD):
        shown |= {field.caption, field.help}
    assert shown | set(PRESETS) <= set(translated)


def test_every_option_is_translated(translated, monkeypatch):
    shown = set()

    class OptionInfo:
        def __init__(self, default, label, *component, section):
            shown.add(label)

        def info(self, text):
            shown.add(f"({text})")  # as the host shows it
            return self

    modules = ModuleType("modules")
    modules.shared = SimpleNamespace(
        OptionInfo=OptionInfo, opts=SimpleNamespace(add_option=lambda key, option: None)
    )
    gradio = ModuleType("gradio")
    gradio.Number = gradio.Radio = None
    for name, module in {"modules": modules, "gradio": gradio}.items():
        monkeypatch.setitem(sys.modules, name, module)
    options.register()
    assert len(shown) == 2 * len(options.DEFAULTS)
    assert shown - set(translated) == set()
