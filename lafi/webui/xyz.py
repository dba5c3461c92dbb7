"""LAFI's axes for the host's X/Y/Z plot."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

from ..errors import invalid
from ..kinds import Kind, Number
from ..presets import likeness
from ..references import WEIGHT
from ..settings import FIELDS

log = logging.getLogger("LAFI")
# The further references whose strength is an axis; the first one's is the table's.
FURTHER = (2, 3)
# The attribute of the processing object that `settings.parse` reads as overrides.
OVERRIDES = "lafi_overrides"


def register() -> None:
    """Adds the axes, once, to the X/Y/Z script that the host has loaded."""
    from modules import scripts

    grids = [
        data.module
        for data in scripts.scripts_data
        if data.script_class.__module__ == "xyz_grid.py" and hasattr(data.module, "AxisOption")
    ]
    if not grids:
        log.warning("the WebUI's X/Y/Z plot was not found; it has no LAFI axes.")
        return
    known = {option.label for option in grids[0].axis_options}
    option = grids[0].AxisOption
    axes = [_axis(each.label, each.name, each.kind, option) for each in FIELDS if each.kind.axis]
    axes += [
        _axis(
            f"Strength of reference {number}", f"references[{number - 2}].strength", WEIGHT, option
        )
        for number in FURTHER
    ]
    axes.append(_likeness_axis(option))
    grids[0].axis_options.extend(axis for axis in axes if axis.label not in known)


def _axis(label: str, name: str, kind: Kind, axis_option: Callable) -> Any:
    return axis_option(
        f"[LAFI] {label}",
        kind.axis,
        _apply(name, kind),
        confirm=_confirm(name, kind),
        choices=(lambda: list(kind.choices)) if kind.choices else None,
    )


def _likeness_axis(axis_option: Callable) -> Any:
    """The page's dial, which is no setting of its own."""
    percent = Number(0, 100, 1, "%")

    def apply(p: Any, cell: float, cells: Sequence[Any]) -> None:
        strength, fidelity = likeness(cell)
        _override(p, {"strength": strength, "fidelity": fidelity})

    def confirm(p: Any, cells: Sequence[Any]) -> None:
        for cell in cells:
            if problem := percent.check(cell):
                raise invalid("likeness", f"{problem} (X/Y/Z value {cell!r})")

    return axis_option("[LAFI] Likeness", percent.axis, apply, confirm=confirm, choices=None)


def _value(kind: Kind, cell: Any) -> Any:
    return kind.read(cell) if isinstance(cell, str) else cell


def _apply(name: str, kind: Kind) -> Callable[[Any, Any, Sequence[Any]], None]:
    def apply(p: Any, cell: Any, cells: Sequence[Any]) -> None:
        _override(p, {name: _value(kind, cell)})

    return apply


def _override(p: Any, values: dict[str, Any]) -> None:
    # A new dict: the cells' processing objects are shallow copies of one.
    setattr(p, OVERRIDES, {**(getattr(p, OVERRIDES, None) or {}), **values})


def _confirm(name: str, kind: Kind) -> Callable[[Any, Sequence[Any]], None]:
    def confirm(p: Any, cells: Sequence[Any]) -> None:
        for cell in cells:
            problem = kind.check(_value(kind, cell))
            if problem:
                raise invalid(name, f"{problem} (X/Y/Z value {cell!r})")

    return confirm
