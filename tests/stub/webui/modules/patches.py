"""Replaced functions, by who replaced them."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

originals: defaultdict[str, dict[tuple[Any, str], Any]] = defaultdict(dict)


def patch(key: str, obj: Any, field: str, replacement: Any) -> Any:
    """Replaces a function and remembers the original, once for each key."""
    if (obj, field) in originals[key]:
        raise RuntimeError(f"patch for {field} is already applied")
    originals[key][obj, field] = getattr(obj, field)
    setattr(obj, field, replacement)
    return originals[key][obj, field]


def undo(key: str, obj: Any, field: str) -> None:
    """Puts the original back."""
    if (obj, field) not in originals[key]:
        raise RuntimeError(f"there is no patch for {field} to undo")
    setattr(obj, field, originals[key].pop((obj, field)))
