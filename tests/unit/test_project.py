"""What holds the project together: import rule, version, documents, and files of the WebUI."""

from __future__ import annotations

import ast
import configparser
import json
import re
import sys
from pathlib import Path

import pytest

import lafi
from tests import tables

ROOT = Path(lafi.__file__).resolve().parent.parent
# Which parts of LAFI a part may import, beside itself.
BELOW = {
    "__init__": set(),
    "presets": {"settings"},
    "settings": {"errors", "fields", "kinds", "lists", "references"},
    "fields": {"kinds"},
    "references": {"kinds", "lists", "regions"},
    "lists": {"errors", "kinds"},
    "kinds": {"blocks", "regions"},
    "blocks": set(),
    "regions": set(),
    "errors": set(),
    "core": {"blocks", "errors", "regions", "settings"},
    "storyboard": {"errors", "kinds", "presets", "settings"},
    "hosts": {"core", "errors", "settings"},
    "webui": {
        *("__init__", "hosts", "core", "storyboard"),
        *("errors", "kinds", "lists", "presets", "references", "settings"),
        "regions",
    },
}
# What others need beside the standard library.
FOREIGN = {"core": {"torch"}, "storyboard": {"PIL"}}
# The parts that may know a WebUI.
HOST_SIDE = {"__init__", "hosts", "webui"}
FILES = sorted((ROOT / "lafi").rglob("*.py"))
# The same for the parts of lab.
WORKSHOP_BELOW = {
    "__init__": set(),
    "errors": set(),
    "environment": set(),
    "world": set(),
    "host": {"errors"},
    "training": {"environment", "host", "world"},
    "evidence": {"environment", "host", "training", "world"},
    "bench": {"environment", "host"},
}
WORKSHOP = sorted(path for top in ("lab", "demo") for path in (ROOT / top).rglob("*.py"))


def imports(path: Path) -> set[str]:
    """Absolute dotted names of all modules that a file imports, at any depth of it."""
    package = path.relative_to(ROOT).parent.parts
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {each.name for each in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join((*base, *filter(None, [node.module])))
            # ``from . import x`` may name modules.
            found |= {f"{module}.{each.name}" for each in node.names} if node.level else {module}
    return found


def part_of(path: Path) -> str:
    """The part of LAFI that a file belongs to."""
    return path.relative_to(ROOT / "lafi").parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_run_downwards(path: Path) -> None:
    part = part_of(path)
    for name in imports(path):
        if name.split(".")[0] != "lafi":
            continue
        other = name.split(".")[1] if "." in name else "__init__"
        other = "__init__" if other.startswith("__") else other
        assert other == part or other in BELOW[part], f"{path} imports {name}"


@pytest.mark.parametrize("path", WORKSHOP, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_workshop_stands_on_lafi_and_has_no_circles(path: Path) -> None:
    top, part = path.relative_to(ROOT).parts[:2]
    part = part.removesuffix(".py")
    for name in imports(path):
        first, _, rest = name.partition(".")
        assert first not in {"tests", "scripts", "modules"}, f"{path} imports {name}"
        if top != "lab":
            continue
        assert first != "demo", f"{path} imports {name}"
        other = rest.split(".")[0]
        if first == "lab" and other and other != part:
            assert other in WORKSHOP_BELOW[part], f"{path} imports {name}"


def test_lafi_knows_nothing_of_the_workshop() -> None:
    for path in [*FILES, *(ROOT / "scripts").glob("*.py"), *ROOT.glob("*.py")]:
        known = {name.split(".")[0] for name in imports(path)}
        assert not known & {"lab", "demo", "tests"}, path


def test_the_environment_needs_nothing_installed() -> None:
    for file in ("__init__.py", "environment.py"):
        foreign = {name.split(".")[0] for name in imports(ROOT / "lab" / file)}
        assert foreign <= sys.stdlib_module_names, file


@pytest.mark.parametrize("part", [part for part in BELOW if part not in HOST_SIDE])
def test_the_core_knows_torch_and_no_host(part: str) -> None:
    files = [path for path in FILES if part_of(path) == part]
    assert files
    allowed = sys.stdlib_module_names | {"lafi"} | FOREIGN.get(part, set())
    for path in files:
        foreign = {name for name in imports(path) if name.split(".")[0] not in allowed}
        assert not foreign, f"{path} imports {foreign}"


def test_the_version_is_one() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+", lafi.__version__)
    project = (ROOT / "pyproject.toml").read_text("utf-8")
    assert 'dynamic = ["version"]' in project
    assert 'version = { attr = "lafi.__version__" }' in project
    newest = re.search(
        r"^## \[(\d+\.\d+\.\d+)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE
    )
    assert newest is not None
    assert newest.group(1) == lafi.__version__


@pytest.mark.parametrize(("document", "table"), tables.places())
def test_documents_show_the_settings_as_they_are(document: str, table: str) -> None:
    message = f"{document} is behind the table of {table}; run: python3 -m tests.tables"
    assert tables.shown(document, table) == tables.render(table), message


def test_the_webui_can_read_metadata() -> None:
    metadata = configparser.ConfigParser()
    metadata.read(ROOT / "metadata.ini", "utf-8")
    assert metadata["Extension"]["Name"] == "lafi"


def test_the_extension_index_entry_is_complete() -> None:
    entry = json.loads((ROOT / "docs" / "extension-index.json").read_text("utf-8"))
    assert set(entry) == {"name", "url", "description", "tags"}
    assert entry["url"].startswith("https://")
    assert "script" in entry["tags"]
    assert len(entry["description"]) < 250


def test_every_requirement_is_pinned() -> None:
    files = sorted((ROOT / "requirements").glob("*.txt"))
    assert files
    for path in files:
        for line in path.read_text("utf-8").splitlines():
            assert not line or line.startswith("#") or re.fullmatch(r"[\w.-]+==[\w.]+", line), line
