"""``python3 -m tests.tables`` writes the settings' tables into the documents that show them."""

from __future__ import annotations

import re
from pathlib import Path

from lafi.settings import FIELDS, Field
from lafi.storyboard.settings import FIELDS as STORYBOARD

ROOT = Path(__file__).resolve().parent.parent
# Which tables a document shows, by the name in its marks.
TABLES = {"controls": FIELDS, "storyboard": STORYBOARD}
DOCUMENTS = {"README.md": ["controls"], "docs/api.md": ["controls", "storyboard"]}
HEAD = "| Control | Name | Values | Default | What it does |\n|---|---|---|---|---|\n"


def render(table: str) -> str:
    """A table, one line for each field."""
    return HEAD + "".join(_row(field) for field in TABLES[table])


def shown(document: str, table: str) -> str:
    """The table that stands in a document.

    Raises:
        ValueError: when the document has no place for it.
    """
    text = (ROOT / document).read_text("utf-8")
    found = re.search(f"<!-- {table} -->\n(.*?)<!-- /{table} -->", text, re.DOTALL)
    if found is None:
        raise ValueError(f"{document} has no lines <!-- {table} --> and <!-- /{table} -->")
    return found.group(1)


def main() -> None:
    """Brings the documents up to date."""
    for document, table in places():
        path = ROOT / document
        marks = f"<!-- {table} -->\n", f"<!-- /{table} -->"
        old, new = (text.join(marks) for text in (shown(document, table), render(table)))
        path.write_text(path.read_text("utf-8").replace(old, new), "utf-8")


def places() -> list[tuple[str, str]]:
    """(document, table) of all."""
    return [(document, table) for document, names in DOCUMENTS.items() for table in names]


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
