"""What a character may be called: a name that is a file's name everywhere, and stands in a tag."""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Iterable
from typing import Any

from ...errors import LONGEST_NAME, invalid

MARKS = " _-+()!"
LONGEST = 64
LONGEST_BYTES = 180  # a file's name has 255 at most, and ends such as .preview.png
# Windows opens devices by these, whatever the folder.
DEVICES = {
    "con",
    "prn",
    "aux",
    "nul",
    *(f"{each}{n}" for each in ("com", "lpt") for n in range(10)),
}


def check(name: Any) -> str | None:
    """What is wrong with a name, or None. A name is one part of a path and never a path."""
    if not isinstance(name, str) or not name.strip():
        return "must be a name"
    if len(name) > LONGEST or len(name.encode(errors="replace")) > LONGEST_BYTES:
        return f"is too long; at most {LONGEST} characters"
    if name != name.strip():
        return "must not begin or end with a space"
    if not all(map(may_hold, name)):
        return f"may hold letters, digits, spaces and {MARKS.strip()} only"
    # Windows reads raised digits there as digits.
    if unicodedata.normalize("NFKC", name).casefold() in DEVICES:
        return "is the name of a device on Windows"
    return None


def may_hold(mark: str) -> bool:
    """Whether a name may hold a character: letters of every script and their accents, digits."""
    return mark in MARKS or mark.isalnum() or unicodedata.category(mark).startswith("M")


def clean(name: Any, field: str = "name") -> str:
    """A name that is one, in its one form.

    Raises:
        LafiError: it is none.
    """
    if message := check(name):
        raise invalid(field, message)
    return normal(name)


def normal(name: str) -> str:
    """The one form of a name: some systems write an accent apart from its letter."""
    return unicodedata.normalize("NFC", name)


def shown(name: str) -> str:
    """Any file's name as text that every answer can hold."""
    text = name.encode(errors="backslashreplace").decode()
    return "".join(each if each.isprintable() else f"\\x{ord(each):02x}" for each in text)


def near(name: str, known: Iterable[str]) -> str:
    """A hint for a name that is not known."""
    names = {each.casefold(): each for each in known}
    if not names:
        return "the library is empty"
    found = difflib.get_close_matches(name.casefold()[:LONGEST_NAME], names, 3, 0.5)
    if found:
        return f"did you mean {' or '.join(names[each] for each in found)}?"
    few = sorted(names.values())[:8]
    return f"known are {', '.join(few)}{' and others' if len(names) > len(few) else ''}"
