"""The one exception that LAFI raises for anything a user can mend."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any

LONGEST_NAME = 80


class LafiError(Exception):
    """Something the user can mend.

    Args:
        code: short stable name, written to the infotext as ``LAFI error``.
        message: what is wrong; names the field where there is one.
        advice: what to do about it.
        problems: for bad input, one ``{"loc": [field], "msg": text}`` for each field.
    """

    def __init__(
        self,
        code: str,
        message: str,
        advice: str = "",
        problems: list[dict[str, Any]] | None = None,
    ) -> None:
        self.code = code
        self.message = message
        self.advice = advice
        self.problems = problems or []
        super().__init__(code, message, advice)

    def __str__(self) -> str:
        return f"LAFI: {self.message} {self.advice}".rstrip()


def problem(name: Any, message: str) -> dict[str, Any]:
    """What is wrong with one field. Its name may be any text that a client sent: what no answer
    could hold is escaped, and a novel is cut short."""
    shown = str(name)[:LONGEST_NAME].encode(errors="backslashreplace").decode()
    return {"loc": [shown], "msg": message}


def invalid(field: str, message: str) -> LafiError:
    """Bad input in one field, as the exception that names it."""
    return invalid_fields([problem(field, message)])


def invalid_fields(problems: list[dict[str, Any]]) -> LafiError:
    """Bad input in several fields at once."""
    text = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in problems)
    end = "" if text.endswith("?") else "."
    return LafiError("invalid_settings", text + end, problems=problems)


def hint(name: Any, known: Iterable[str]) -> str:
    """After a name that is not known: the one that is meant, or all there are."""
    known = list(known)
    near = difflib.get_close_matches(str(name)[:LONGEST_NAME], known, 1)
    return f"; did you mean {near[0]}?" if near else f"; known are {', '.join(known)}"
