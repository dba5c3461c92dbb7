"""LAFI's axes for the host's X/Y/Z plot."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

from ..errors import invalid
from ..settings import FIELDS, Field, from_text

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
    fields = [field for field in FIELDS if field.kind not in ("image", "text")]
    axes = [_axis(field, grids[0].AxisOption) for field in fields]
    grids[0].axis_options.extend(axis for axis in axes if axis.label not in known)


def _axis(field: Field, axis_option: Callable) -> Any:
    choices = ("True", "False") if field.kind == "bool" else field.choices
    return axis_option(
        f"[LAFI] {field.label}",
        _type(field),
        _apply(field),
        confirm=_confirm(field),
        choices=(lambda: list(choices)) if choices else None,
    )


def _type(field: Field) -> type:
    """How the host reads a cell. Whole steps are read as whole numbers: exact ranges, short
    labels."""
    if field.kind not in ("number", "integer"):
        return str
    return int if field.step == 1 else float


def _value(field: Field, cell: Any) -> Any:
    return from_text(field, cell) if isinstance(cell, str) else cell


def _apply(field: Field) -> Callable[[Any, Any, Sequence[Any]], None]:
    def apply(p: Any, cell: Any, cells: Sequence[Any]) -> None:
        # A new dict: the cells' processing objects are shallow copies of one.
        overrides = getattr(p, OVERRIDES, None) or {}
        setattr(p, OVERRIDES, {**overrides, field.name: _value(field, cell)})

    return apply


def _confirm(field: Field) -> Callable[[Any, Sequence[Any]], None]:
    def confirm(p: Any, cells: Sequence[Any]) -> None:
        for cell in cells:
            problem = field.check(_value(field, cell))
            if problem:
                raise invalid(field.name, f"{problem} (X/Y/Z value {cell!r})")

    return confirm
