"""What the host reports and then goes on from."""

from __future__ import annotations

import sys

# The stub keeps them, so that tests can say that there were none.
exception_records: list[BaseException] = []


def report(message: str, *, exc_info: bool = False) -> None:
    """Swallows the exception that is being handled."""
    error = sys.exc_info()[1]
    if error is not None:
        exception_records.append(error)
