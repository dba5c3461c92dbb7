"""The settings of a storyboard: one table for the page, the API, infotext and the documents.

The table is `StoryboardSettings` itself. Its order is public: positional API arguments index it.
Only append.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import hint, invalid, invalid_fields, problem
from ..kinds import Choice, Integer, Kind, Switch, Text
from ..settings import Field as LafiField


@dataclass(frozen=True)
class Field(LafiField):
    """One setting of the storyboard."""

    @property
    def infotext(self) -> str:
        return "LAFI storyboard " + self.name


def _setting(kind: Kind, default: Any, label: str, text: str) -> Any:
    return dataclasses.field(default=default, metadata={"table": (kind, default, label, text)})


@dataclass(frozen=True)
class StoryboardSettings:
    """Checked settings of one storyboard. Build with `parse`."""

    # fmt: off
    panels: str = _setting(
        Text(), "", "Panels",
        "One panel a line: its prompt, then options such as --caption \"Hello\" --seed 5 --size "
        "768x512. Empty lines and lines that begin with # are left out.",
    )
    ending: str = _setting(
        Text(), "", "End of every prompt",
        "The WebUI's prompt begins every panel's, its negative prompt goes for every panel; this "
        "ends every prompt.",
    )
    seeds: str = _setting(
        Choice(("fixed", "counted")), "counted", "Seeds",
        "fixed: all panels have the seed above. counted: one more for each panel. A line's own "
        "--seed goes before both.",
    )
    reference: str = _setting(
        Choice(("first", "last", "loaded")), "first", "Reference of the panels",
        "first: the first panel is the reference of all others. last: each panel is the reference "
        "of the next. loaded: LAFI's own controls alone. A prompt with a character's tag keeps "
        "that character.",
    )
    captions: str = _setting(
        Choice(("under", "in", "off")), "under", "Captions",
        "Where a line's --caption stands on the page: under the panel, in it, or nowhere.",
    )
    title: str = _setting(
        Text(), "", "Title",
        "Stands above the panels. May stay empty.",
    )
    columns: int = _setting(
        Integer(1, 10, 1), 2, "Columns",
        "How many panels stand beside each other on the page.",
    )
    gutter: int = _setting(
        Integer(0, 100, 1, "px"), 16, "Gutter",
        "The space between panels.",
    )
    margin: int = _setting(
        Integer(0, 100, 1, "px"), 24, "Margin",
        "The space around all panels.",
    )
    border: int = _setting(
        Integer(0, 20, 1, "px"), 3, "Border",
        "The black line around each panel. 0: none.",
    )
    pdf: bool = _setting(
        Switch(), False, "Save as PDF, too",
        "The page is saved as a PNG picture with all settings; this puts a PDF beside it.",
    )
    # fmt: on

    def changed(self) -> dict[str, Any]:
        """The settings that differ from their defaults, by name."""
        values = {field: getattr(self, field.name) for field in FIELDS}
        return {field.name: value for field, value in values.items() if value != field.default}


FIELDS = tuple(
    Field(each.name, *each.metadata["table"]) for each in dataclasses.fields(StoryboardSettings)
)
BY_NAME = {field.name: field for field in FIELDS}


def parse(args: Sequence[Any]) -> StoryboardSettings:
    """Settings from a script's arguments: one dict of fields, or values in the table's order.

    Raises:
        LafiError: `invalid_settings`, with a problem for every wrong field.
    """
    if len(args) == 1 and isinstance(args[0], Mapping):
        return _validate(args[0])
    if len(args) > len(FIELDS):
        message = f"{len(args)} positional arguments, at most {len(FIELDS)} are known"
        raise invalid("script_args", message)
    return _validate({field.name: value for field, value in zip(FIELDS, args, strict=False)})


def arguments(settings: StoryboardSettings) -> list[Any]:
    """The values in the table's order, as the WebUI hands them to the script."""
    return [getattr(settings, field.name) for field in FIELDS]


def _validate(values: Mapping[Any, Any]) -> StoryboardSettings:
    problems = [
        problem(name, "is not a setting" + hint(name, BY_NAME))
        for name in values
        if name not in BY_NAME
    ]
    known = {BY_NAME[name]: value for name, value in values.items() if name in BY_NAME}
    checked = {field: field.kind.check(value) for field, value in known.items()}
    problems += [problem(field.name, said) for field, said in checked.items() if said]
    if not str(values.get("panels", "")).strip():
        problems.append(problem("panels", "is missing; write one panel a line"))
    if problems:
        raise invalid_fields(problems)
    return StoryboardSettings(**{each.name: each.kind.clean(v) for each, v in known.items()})
