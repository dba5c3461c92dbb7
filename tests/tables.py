"""``python3 -m tests.tables`` writes the settings' table into the documents that show it."""

from __future__ import annotations

import re
from pathlib import Path

from lafi.settings import FIELDS, Field

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = ("README.md", "docs/api.md")
BEGIN, END = "<!-- controls -->\n", "<!-- /controls -->"
HEAD = "| Control | Name | Values | Default | What it does |\n|---|---|---|---|---|\n"


def render() -> str:
    """The table, one line for each field."""
    return HEAD + "".join(_row(field) for field in FIELDS)


def shown(document: str) -> str:
    """The table that stands in a document.

    Raises:
        ValueError: when the document has no place for it.
    """
    text = (ROOT / document).read_text("utf-8")
    found = re.search(f"{BEGIN}(.*?){END}", text, re.DOTALL)
    if found is None:
        raise ValueError(f"{document} has no lines {BEGIN.strip()} and {END}")
    return found.group(1)


def main() -> None:
    """Brings the documents up to date."""
    for document in DOCUMENTS:
        path = ROOT / document
        text = path.read_text("utf-8")
        path.write_text(text.replace(shown(document), render()), "utf-8")


def _row(field: Field) -> str:
    kind = field.kind
    cells = (field.label, f"`{field.name}`", kind.describe(), _default(field), field.help)
    return f"| {' | '.join(cells)} |\n"


def _default(field: Field) -> str:
    if field.default in (None, "", ()):
        return "none"
    text = str(field.default).lower()
    return f"`{text}`" if isinstance(field.default, str) else text


if __name__ == "__main__":
    main()
