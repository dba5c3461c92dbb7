"""Kinds of settings that hold pictures, and those that hold several values.

Only the form of a picture is checked here: this part runs without Pillow.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from .errors import hint
from .kinds import Kind


class Image(Kind):
    """A picture: base64, a data URL, the bytes of a file, or an object that can be converted."""

    stored = False

    def check(self, value: Any) -> str | None:
        if value is None or isinstance(value, (str, bytes)) or hasattr(value, "convert"):
            return None
        return "must be a base64 string, a data URL or a picture"

    def clean(self, value: Any) -> Any:
        return None if _blank(value) else value

    def schema(self) -> dict[str, Any]:
        return {"type": ["string", "null"], "contentEncoding": "base64"}

    def control(self, default: Any) -> tuple[str, dict[str, Any]]:
        return "Image", {"value": default}

    def describe(self) -> str:
        return "picture"


class Several(Kind):
    """Base of the kinds whose parts are checked one by one: the first fault stands for all."""

    stored = False

    def check(self, value: Any) -> str | None:
        first = next(self.faults(value), None)
        return None if first is None else f"{first[0]} {first[1]}".lstrip()


class Images(Several, Image):
    """One picture, or a list of views of the same character."""

    gaps = False
    """Whether one of a list may be missing."""

    def faults(self, value: Any) -> Iterator[tuple[str, str]]:
        if not isinstance(value, (list, tuple)):
            message = Image.check(self, value)
            if message:
                yield "", message + ", or a list of them"
            return
        for index, each in enumerate(value):
            empty = _blank(each) and not self.gaps
            message = "is empty" if empty else Image.check(self, each)
            if message:
                yield f"[{index}]", message

    def clean(self, value: Any) -> Any:
        """One picture as it is, several as a tuple, none as None."""
        if isinstance(value, (list, tuple)):
            return tuple(map(super().clean, value)) or None
        return super().clean(value)

    def schema(self) -> dict[str, Any]:
        one = super().schema()
        each = one if self.gaps else one | {"type": "string"}
        return {"oneOf": [one, {"type": "array", "items": each}]}

    def describe(self) -> str:
        return "picture, or a list of pictures"


class Masks(Images):
    """A picture's mask, or a list with one for each view; one that is missing is null."""

    gaps = True


class Views(Images):
    """The same, as files that are dropped on the page."""

    def control(self, default: Any) -> tuple[str, dict[str, Any]]:
        # As bytes: no path of a file reaches LAFI.
        given = {"file_count": "multiple", "file_types": ["image"], "type": "binary"}
        return "File", given | {"value": default}

    def describe(self) -> str:
        return "list of pictures"


@dataclass(frozen=True, eq=False)
class Entries(Several):
    """A list of objects, each with some of a few fields.

    Attributes:
        fields: kind and default of each field, by name; None has to be given.
        entry: what one of them is called.
    """

    fields: Mapping[str, tuple[Kind, Any]]
    entry: str
    required: tuple[str, ...] = ()

    def faults(self, value: Any) -> Iterator[tuple[str, str]]:
        if value is None:
            return
        if not isinstance(value, (list, tuple)):
            yield "", f"must be a list of objects such as {self._example()}"
            return
        for index, each in enumerate(value):
            if isinstance(each, Mapping):
                yield from ((f"[{index}]{at}", what) for at, what in self._faults_of(each))
            else:
                yield f"[{index}]", f"must be an object such as {self._example()}"

    def _faults_of(self, entry: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        for name, value in entry.items():
            if name not in self.fields:
                yield f".{name}", f"is not a setting of a {self.entry}{hint(name, self.fields)}"
                continue
            kind, default = self.fields[name]
            if value is not None or default is not None:
                yield from ((f".{name}{at}", what) for at, what in kind.faults(value))
        for name in self.required:
            if self.fields[name][0].clean(entry.get(name)) is None:
                yield f".{name}", "is missing"

    def clean(self, value: Any) -> tuple[dict[str, Any], ...]:
        """Each with all its fields."""
        return tuple(map(self._filled, value or ()))

    def _filled(self, entry: Mapping[str, Any]) -> dict[str, Any]:
        return {
            name: default if entry.get(name) is None else kind.clean(entry[name])
            for name, (kind, default) in self.fields.items()
        }

    def schema(self) -> dict[str, Any]:
        properties = {
            name: {"default": default} | kind.schema()
            for name, (kind, default) in self.fields.items()
        }
        item: dict[str, Any] = {"type": "object", "additionalProperties": False}
        item |= {"properties": properties, "required": list(self.required)}
        return {"type": "array", "items": item}

    def control(self, default: Any) -> tuple[str, dict[str, Any]]:
        # Nothing that the page shows; the argument has its place all the same.
        return "State", {"value": None}

    def describe(self) -> str:
        return "list of " + ", ".join(f"`{name}`" for name in self.fields)

    def _example(self) -> str:
        names = self.required or tuple(self.fields)[:1]
        return "{" + ", ".join(f'"{name}": "..."' for name in names) + "}"


def _blank(value: Any) -> bool:
    return value is None or (isinstance(value, (str, bytes)) and not value.strip())
