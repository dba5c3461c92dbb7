"""One row of a table of settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .kinds import Kind


@dataclass(frozen=True)
class Field:
    """One setting: what the table says of it."""

    name: str
    kind: Kind
    default: Any
    label: str
    help: str

    @property
    def infotext(self) -> str:
        """Key under which the value stands in a picture's generation parameters."""
        return "LAFI " + self.name.replace("_", " ")

    @property
    def stored(self) -> bool:
        """Whether infotext holds it: pictures are too large, and that LAFI ran says `enabled`."""
        return self.kind.stored and self.name != "enabled"

    @property
    def shown(self) -> bool:
        """Whether the page has a control for it."""
        return self.kind.control(self.default)[0] != "State"

    @property
    def caption(self) -> str:
        """The control's label, with the unit."""
        unit = getattr(self.kind, "unit", "")
        return f"{self.label} ({unit})" if unit else self.label

    def schema(self) -> dict[str, Any]:
        """This field as a JSON schema property."""
        about = {"title": self.label, "description": self.help, "default": self.default}
        return about | self.kind.schema()
