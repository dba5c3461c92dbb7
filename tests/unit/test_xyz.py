"""X/Y/Z axes, with a stand-in for the host's X/Y/Z script."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace

import pytest

from lafi.errors import LafiError
from lafi.settings import FIELDS, LafiSettings, parse
from lafi.webui import xyz


class AxisOption:
    def __init__(self, label, kind, apply, confirm=None, choices=None):
        self.label, self.kind, self.apply = label, kind, apply
        self.confirm, self.choices = confirm, choices


@pytest.fixture
def grid(monkeypatch):
    """The module of the host's X/Y/Z script, as the host lists it."""
    grid = SimpleNamespace(AxisOption=AxisOption, axis_options=[AxisOption("Seed", int, None)])
    script_class = type("Script", (), {"__module__": "xyz_grid.py"})
    other = SimpleNamespace(script_class=type("Other", (), {}), module=ModuleType("other"))
    scripts = ModuleType("modules.scripts")
    scripts.scripts_data = [other, SimpleNamespace(script_class=script_class, module=grid)]
    modules = ModuleType("modules")
    modules.scripts = scripts
    monkeypatch.setitem(sys.modules, "modules", modules)
    monkeypatch.setitem(sys.modules, "modules.scripts", scripts)
    return grid


def axis(grid, label):
    return next(each for each in grid.axis_options if each.label == f"[LAFI] {label}")


def test_every_number_choice_and_switch_has_one_axis(grid):
    xyz.register()
    xyz.register()
    labels = [each.label for each in grid.axis_options]
    without = {"image", "prompt", "mask", "references", "views"}
    wanted = [f"[LAFI] {each.label}" for each in FIELDS if each.name not in without]
    wanted += [f"[LAFI] Strength of reference {number}" for number in (2, 3)]
    assert labels == ["Seed", *wanted, "[LAFI] Likeness"]


def test_cells_do_not_share_their_overrides(grid):
    xyz.register()
    first, second = SimpleNamespace(), SimpleNamespace()
    axis(grid, "Injection depth").apply(first, 50, [50, 100])
    second.lafi_overrides = first.lafi_overrides
    axis(grid, "Reference stream").apply(second, "inversion", ["inversion"])
    assert first.lafi_overrides == {"depth": 50}
    assert second.lafi_overrides == {"depth": 50, "stream": "inversion"}
    assert parse([{"enabled": False}], second.lafi_overrides).stream == "inversion"


def test_the_switch_is_a_boolean(grid):
    xyz.register()
    p = SimpleNamespace()
    switch = axis(grid, "Enable LAFI")
    assert switch.choices() == ["True", "False"]
    switch.confirm(p, switch.choices())
    switch.apply(p, "False", ["False"])
    assert p.lafi_overrides == {"enabled": False}


def test_the_likeness_sets_both_numbers(grid):
    xyz.register()
    p = SimpleNamespace(lafi_overrides={"depth": 50})
    axis(grid, "Likeness").apply(p, 50, [50, 100])
    assert p.lafi_overrides == {"depth": 50, "strength": 1.5, "fidelity": 0.5}


@pytest.mark.parametrize(
    ("label", "cells", "field"),
    [
        ("Injection depth", [50, 150], "depth"),
        ("Strength", [1.0, -0.5], "strength"),
        ("Reference stream", ["noise", "sideways"], "stream"),
        ("Enable LAFI", ["True", "maybe"], "enabled"),
        ("Likeness", [100, 101], "likeness"),
        ("Region", ["0-50%", "left", "lefft"], "region"),
        ("Batch anchor", ["off", "all"], "anchor"),
        ("Strength of reference 3", [1.0, 5.0], "references[1].strength"),
    ],
)
def test_a_wrong_cell_is_an_error_that_names_the_field(grid, label, cells, field):
    xyz.register()
    axis(grid, label).confirm(None, cells[:1])
    with pytest.raises(LafiError) as caught:
        axis(grid, label).confirm(None, cells)
    assert caught.value.problems[0]["loc"] == [field]
    assert str(cells[-1]) in caught.value.message


def test_a_further_reference_has_its_strength_set(grid):
    xyz.register()
    p = SimpleNamespace()
    axis(grid, "Strength of reference 2").apply(p, 0.5, [0.5, 1])
    axis(grid, "Region").apply(p, "right", ["right"])
    given = {"image": "A", "references": [{"image": "B"}, {"image": "C"}]}
    settings = parse([given], p.lafi_overrides)
    usual = LafiSettings().strength
    assert [each.strength for each in settings.characters] == [usual, 0.5, usual]
    assert settings.region == "right"
