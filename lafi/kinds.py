"""Kinds of settings: what a value may be, and its form in text, JSON and on the page.

Knows no gradio: `control` names a component, which the page then builds.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from .blocks import PRESETS, parse_blocks
from .regions import WORDS, parse_region

# Up to here a range is a slider; beyond it a field for a number.
LONGEST_SLIDER = 100


class Kind(ABC):
    """One kind of setting.

    Attributes:
        choices: all values, as a choice among few shows them; empty for any other kind.
        stored: whether infotext holds it.
        axis: how X/Y/Z reads a cell; None where it has no axis.
    """

    choices: tuple[str, ...] = ()
    stored: bool = True
    axis: type | None = None

    @abstractmethod
    def check(self, value: Any) -> str | None:
        """What is wrong with a value, or None."""

    def faults(self, value: Any) -> Iterator[tuple[str, str]]:
        """All that is wrong: where in the value (empty for the whole, else such as ``[1]`` or
        ``[0].strength``), and what."""
        message = self.check(value)
        if message:
            yield "", message

    @abstractmethod
    def schema(self) -> dict[str, Any]:
        """The kind in words of JSON schema."""

    @abstractmethod
    def control(self, default: Any) -> tuple[str, dict[str, Any]]:
        """The gradio component that shows it, by name, and its arguments."""

    @abstractmethod
    def describe(self) -> str:
        """The values, for the documents."""

    def clean(self, value: Any) -> Any:
        """A value that passed `check`, in the type that the program uses."""
        return value

    def read(self, text: str) -> Any:
        """The value that an infotext or an X/Y/Z cell writes as `text`; unreadable text stays text,
        so that `check` names it."""
        return text

    def write(self, value: Any) -> str:
        """A value as infotext and the page take it."""
        return str(value)


class Switch(Kind):
    """True or false."""

    choices = ("True", "False")
    axis = str

    def check(self, value: Any) -> str | None:
        good = isinstance(value, (bool, int, float)) and value in (0, 1)
        return None if good else "must be true or false"

    def clean(self, value: Any) -> bool:
        return bool(value)

    def read(self, text: str) -> Any:
        return {"true": True, "false": False}.get(text.strip().lower(), text)

    def schema(self) -> dict[str, Any]:
        return {"type": "boolean"}

    def control(self, default: Any) -> tuple[str, dict[str, Any]]:
        return "Checkbox", {"value": default}

    def describe(self) -> str:
        return "true, false"


@dataclass(frozen=True)
class Number(Kind):
    """A finite number within a range."""

    minimum: float
    maximum: float
    step: float
    unit: str = ""

    whole = False

    @property
    def axis(self) -> type:  # type: ignore[override]
        """Whole steps are read as whole numbers: exact ranges, short labels."""
        return int if self.step == 1 else float

    def check(self, value: Any) -> str | None:
        word = "whole number" if self.whole else "number"
        wrong = f"must be a {word} from {self.minimum:.10g} to {self.maximum:.10g}"
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return wrong
        if not self.minimum <= value <= self.maximum or (self.whole and value != int(value)):
            return f"{wrong}, not {_short(value)}"
        return None

    def clean(self, value: Any) -> float:
        return float(value)

    def read(self, text: str) -> Any:
        return _number(float, text)

    def write(self, value: Any) -> str:
        return f"{value:.10g}"

    def schema(self) -> dict[str, Any]:
        return {"type": "number", "minimum": self.minimum, "maximum": self.maximum}

    def control(self, default: Any) -> tuple[str, dict[str, Any]]:
        if self.maximum - self.minimum > LONGEST_SLIDER:
            return "Number", {"value": default, "precision": 0 if self.whole else None}
        # A float, also where it is whole: hosts cast infotext to the type of this value.
        limits = {"minimum": self.minimum, "maximum": self.maximum, "step": self.step}
        return "Slider", limits | {"value": float(default)}

    def describe(self) -> str:
        return f"{self.minimum:.10g} to {self.maximum:.10g} {self.unit}".rstrip()


class Integer(Number):
    """A whole number within a range."""

    whole = True

    def clean(self, value: Any) -> int:
        return int(value)

    def read(self, text: str) -> Any:
        return _number(int, text)

    def write(self, value: Any) -> str:
        return str(value)

    def schema(self) -> dict[str, Any]:
        return super().schema() | {"type": "integer"}


@dataclass(frozen=True)
class Choice(Kind):
    """One of a few words."""

    choices: tuple[str, ...]

    axis = str

    def check(self, value: Any) -> str | None:
        if isinstance(value, str) and value in self.choices:
            return None
        return f"must be one of {', '.join(self.choices)}"

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "enum": list(self.choices)}

    def control(self, default: Any) -> tuple[str, dict[str, Any]]:
        return "Radio", {"choices": list(self.choices), "value": default}

    def describe(self) -> str:
        return ", ".join(f"`{choice}`" for choice in self.choices)


class Text(Kind):
    """Any text."""

    def check(self, value: Any) -> str | None:
        if not isinstance(value, str):
            return "must be text"
        # JSON can hold half of a character; no file and no answer can.
        return None if _encodes(value) else "must be text; it holds half a character"

    def schema(self) -> dict[str, Any]:
        return {"type": "string"}

    def control(self, default: Any) -> tuple[str, dict[str, Any]]:
        return "Textbox", {"value": default}

    def describe(self) -> str:
        return "text"


class Worded(Text):
    """Text that follows rules, or one of a few words.

    Attributes:
        words: those that the page offers.
    """

    axis = str
    words: tuple[str, ...] = ()

    @abstractmethod
    def parse(self, text: str) -> object:
        """What a text means.

        Raises:
            ValueError: what is wrong with it.
        """

    def check(self, value: Any) -> str | None:
        message = super().check(value)
        if message is None:
            try:
                self.parse(value)
            except ValueError as error:
                return str(error)
        return message

    def clean(self, value: Any) -> str:
        return str(value).strip()

    def control(self, default: Any) -> tuple[str, dict[str, Any]]:
        choices = [default, *self.words]
        return "Dropdown", {"choices": choices, "value": default, "allow_custom_value": True}


class Place(Worded):
    """A region of the new picture; see `lafi.regions`."""

    words = tuple(WORDS)

    def parse(self, text: str) -> object:
        return parse_region(text)

    def describe(self) -> str:
        words = ", ".join(f"`{word}`" for word in WORDS)
        return f"{words}, or shares: `0-50%`, `0-0.5,0.2-1`"


class BlockSet(Worded):
    """Some of a transformer's blocks; see `lafi.blocks`."""

    words = tuple(PRESETS)

    def parse(self, text: str) -> object:
        return parse_blocks(text)

    def describe(self) -> str:
        words = ", ".join(f"`{word}`" for word in PRESETS)
        return f"numbers: `19-56`, `0,7-10,18`; or {words}"


def _number(cast: type, text: str) -> Any:
    try:
        return cast(text)
    except ValueError:
        return text


def _short(value: float) -> str:
    # Whole numbers in JSON may have thousands of digits.
    return f"{value:.10g}" if isinstance(value, float) or abs(value) < 1e300 else "one so large"


def _encodes(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
