"""The lines of a storyboard: one panel each, with options as *Prompts from file* has them.

A line is the panel's prompt, then options: ``a boy runs --seed 5 --caption "Off he goes"``. All
lines are read before anything is made, and every bad one is named by its number.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..errors import LONGEST_NAME, hint, invalid, invalid_fields, problem
from ..kinds import Integer, Kind, Number, Switch, Text
from ..presets import likeness
from ..settings import BY_NAME as LAFI

_SEED = Integer(-1, 2**32 - 1, 1)
_RESIZE = Integer(-1, 8192, 1)


class _Side(Integer):
    """A picture's width or height."""

    def check(self, value: Any) -> str | None:
        wrong = super().check(value)
        return wrong or ("must be a multiple of 8" if value % 8 else None)


# What a line may set of the host's request, under the names of its own attributes.
REQUEST: dict[str, Kind] = {
    "seed": _SEED,
    "subseed": _SEED,
    "subseed_strength": Number(0, 1, 0.01),
    "seed_resize_from_w": _RESIZE,
    "seed_resize_from_h": _RESIZE,
    "steps": Integer(1, 1000, 1),
    "cfg_scale": Number(0, 100, 0.5),
    "width": _Side(64, 8192, 8),
    "height": _Side(64, 8192, 8),
    "denoising_strength": Number(0, 1, 0.01),
    "restore_faces": Switch(),
    "tiling": Switch(),
}
# LAFI's own that X/Y/Z can set, too: numbers, switches and choices.
SETTINGS: dict[str, Kind] = {name: each.kind for name, each in LAFI.items() if each.kind.axis}
TEXTS: dict[str, Kind] = dict.fromkeys(("prompt", "negative_prompt", "caption"), Text())
NAMES = ("sampler_name", "scheduler")
OPTIONS = (*TEXTS, "size", *REQUEST, *NAMES, "likeness", *SETTINGS)

_OPTION = re.compile(r"(?:^|(?<=\s))--(?=\w)")
# What phones and word processors make of two hyphens.
_DASH = re.compile(r"(?:^|(?<=\s))[\u2013\u2014](\w+)")
_SIZE = re.compile(r"(\d{1,5})[xX\u00d7](\d{1,5})")


@dataclass(frozen=True)
class Panel:
    """One panel.

    Attributes:
        line: its line's number, from 1.
        request: what it sets of the host's request, by attribute.
        settings: what it sets of LAFI's, by field.
    """

    line: int
    prompt: str = ""
    negative_prompt: str = ""
    caption: str = ""
    request: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)


def parse_panels(text: str, names: Mapping[str, Mapping[str, str]]) -> list[Panel]:
    """The panels of a text, in its order.

    Args:
        names: for ``sampler_name`` and ``scheduler`` the names that the host knows, from lower case
            to the host's own spelling.

    Raises:
        LafiError: `invalid_settings`, with a problem for every bad line; or there is no panel.
    """
    panels, problems = [], []
    for number, line in enumerate(re.split(r"\r\n|\r|\n", text), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        try:
            panels.append(_panel(number, line.strip(), names))
        except ValueError as error:
            problems.append(problem(f"line {number}", str(error)))
    if problems:
        raise invalid_fields(problems)
    if not panels:
        raise invalid("panels", "holds no panel; write one panel a line")
    return panels


def _panel(number: int, line: str, names: Mapping[str, Mapping[str, str]]) -> Panel:
    """One line's panel.

    Raises:
        ValueError: says what is wrong with it.
    """
    _refuse_dashes(line)
    start = _OPTION.search(line)
    words, rest = (line, "") if start is None else (line[: start.start()], line[start.start() :])
    given: dict[str, Any] = {"prompt": words.strip()} if words.strip() else {}
    for name, text in _options(rest):
        for key, value in _values(name, text, names).items():
            if key in given:
                raise ValueError(f"{_shown('--' + name)}: {key} is given twice")
            given[key] = value
    texts = {name: given.pop(name) for name in TEXTS if name in given}
    settings = {name: given.pop(name) for name in SETTINGS if name in given}
    return Panel(number, **texts, request=given, settings=settings)


def _refuse_dashes(line: str) -> None:
    for found in _DASH.finditer(line):
        if found[1] in OPTIONS:
            raise ValueError(f"{found[0]} begins with a dash; write --{found[1]}")


def _options(text: str) -> list[tuple[str, str]]:
    """(name, value) of each option; a value of several words needs no quotes."""
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise ValueError(f"{_reason(error)}: {_shown(text)}") from error
    found: list[tuple[str, list[str]]] = []
    for word in words:
        if _OPTION.match(word):
            found.append((word[2:], []))
        else:
            found[-1][1].append(word)
    for name, values in found:
        if name in OPTIONS and not values:
            raise ValueError(f"--{name} has no value")
    return [(name, " ".join(values)) for name, values in found]


def _reason(error: ValueError) -> str:
    if "quotation" in str(error):
        return "a quotation mark is not closed; text with an apostrophe needs double quotes"
    return "a backslash stands at the end"


def _values(name: str, text: str, names: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    """What an option sets, by key."""
    if name not in OPTIONS:
        known = [f"--{each}" for each in OPTIONS]
        raise ValueError(f"{_shown('--' + name)} is not an option{hint('--' + name, known)}")
    if name == "size":
        return _size(text)
    if name == "likeness":
        strength, fidelity = likeness(_read("likeness", Number(0, 100, 1), text))
        return {"strength": strength, "fidelity": fidelity}
    if name in NAMES:
        if text.lower() not in names[name]:
            known = sorted(set(names[name].values()))
            raise ValueError(f"--{name}: the WebUI has no {_shown(text)}{hint(text, known)}")
        return {name: names[name][text.lower()]}
    return {name: _read(name, {**TEXTS, **REQUEST, **SETTINGS}[name], text)}


def _size(text: str) -> dict[str, Any]:
    found = _SIZE.fullmatch(text)
    if found is None:
        raise ValueError(f"--size must be such as 768x512, not {_shown(text)}")
    return {
        side: _read("size", REQUEST[side], found[n]) for n, side in ((1, "width"), (2, "height"))
    }


def _read(name: str, kind: Kind, text: str) -> Any:
    value = kind.read(text)
    wrong = kind.check(value)
    if wrong:
        given = "" if wrong.partition(", not ")[1] else f", not {_shown(text)}"
        raise ValueError(f"--{name} {wrong}{given}")
    return kind.clean(value)


def _shown(text: str) -> str:
    """A part of a line for a message: short, and without half characters."""
    cut = text if len(text) <= LONGEST_NAME else text[:LONGEST_NAME] + "..."
    return cut.encode(errors="backslashreplace").decode()
