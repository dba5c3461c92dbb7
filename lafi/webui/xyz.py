"""LAFI's axes for the host's X/Y/Z plot."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

from ..errors import invalid
from ..kinds import Number
from ..presets import likeness
from ..settings import FIELDS, Field

log = logging.getLogger("LAFI")
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
    axes = [_axis(field, grids[0].AxisOption) for field in FIELDS if field.kind.axis]
    axes.append(_likeness_axis(grids[0].AxisOption))
    grids[0].axis_options.extend(axis for axis in axes if axis.label not in known)


def _axis(field: Field, axis_option: Callable) -> Any:
    choices = field.kind.choices
    return axis_option(
        f"[LAFI] {field.label}",
        field.kind.axis,
        _apply(field),
        confirm=_confirm(field),
        choices=(lambda: list(choices)) if choices else None,
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


def _value(field: Field, cell: Any) -> Any:
    return field.kind.read(cell) if isinstance(cell, str) else cell


def _apply(field: Field) -> Callable[[Any, Any, Sequence[Any]], None]:
    def apply(p: Any, cell: Any, cells: Sequence[Any]) -> None:
        _override(p, {field.name: _value(field, cell)})

    return apply


def _override(p: Any, values: dict[str, Any]) -> None:
    # A new dict: the cells' processing objects are shallow copies of one.
    setattr(p, OVERRIDES, {**(getattr(p, OVERRIDES, None) or {}), **values})


def _confirm(field: Field) -> Callable[[Any, Sequence[Any]], None]:
    def confirm(p: Any, cells: Sequence[Any]) -> None:
        for cell in cells:
            problem = field.kind.check(_value(field, cell))
            if problem:
                raise invalid(field.name, f"{problem} (X/Y/Z value {cell!r})")

    return confirm
