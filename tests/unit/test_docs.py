"""The documents keep step with the code: tables, examples, error codes, links."""

from __future__ import annotations

import ast
import functools
import json
import re
from pathlib import Path

import pytest

from lafi import __version__
from lafi.errors import LafiError
from lafi.settings import parse
from lafi.storyboard.panels import parse_panels
from lafi.storyboard.settings import parse as parse_storyboard
from lafi.webui.infotext import STORED

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = ("README.md", "CONTRIBUTING.md", "docs/api.md", "docs/comic.md", "docs/how-it-works.md")


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def explained() -> list[tuple[str, str]]:
    """(code, quoted text) of the README's table of errors."""
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \| ", text("README.md").split("## Troubl")[1], re.M)
    return [(code, quoted) for code, cell in rows for quoted in re.findall(r"`([^`]+)`", cell)]


@functools.cache
def messages() -> list[tuple[str, str]]:
    """(code, message) of every LafiError in the source, what differs left out; and, without a code,
    every other text, since wrong input is worded where the kinds of settings are."""
    found = []
    for path in (ROOT / "lafi").rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, (ast.Constant, ast.JoinedStr)):
                found.append(("", _literal(node)))
            elif isinstance(node, ast.Call) and getattr(node.func, "id", "") == "LafiError":
                code, message, *_ = map(_literal, node.args)
                found.append(("" if code == "?" else code, message))  # "?": another's, passed on
    return found


@functools.cache
def refusals() -> list[str]:
    """What wrong values are answered: those texts are put together from several."""
    wrong = {"depth": -1, "stream": "none", "enabled": "yes", "prompt": 3, "strenght": 1}
    found = []
    for name, value in wrong.items():
        with pytest.raises(LafiError) as caught:
            parse([{name: value}])
        found.append(caught.value.message)
    return found


def _literal(node: ast.AST) -> str:
    if isinstance(node, ast.JoinedStr):
        return "".join(map(_literal, node.values))
    return str(node.value) if isinstance(node, ast.Constant) else "?"


@pytest.mark.parametrize("name", ["README.md", "docs/api.md"])
def test_the_json_examples_are_valid_requests(name):
    examples = re.findall(r"```json\n(.*?)```", text(name), re.DOTALL)
    assert examples
    for example in map(json.loads, examples):
        if "script_name" in example:
            assert len(parse_panels(parse_storyboard(example["script_args"]).panels, {})) == 3
        else:
            assert parse(example["alwayson_scripts"]["LAFI"]["args"]).acts


def test_every_error_code_is_explained():
    raised = {code for code, _ in messages() if code}
    assert raised == {code for code, _ in explained()}


@pytest.mark.parametrize(("code", "quoted"), explained())
def test_every_quoted_error_text_is_one_that_is_raised(code, quoted):
    """``...`` in the documents stands for what differs."""
    if code == "invalid_settings":
        quoted = re.sub(r"^\w+: ", "", quoted)
        texts = [text for _, text in messages()] + refusals()
    else:
        texts = [text for raised, text in messages() if raised == code]
    wanted = re.compile(".*".join(re.escape(part) for part in quoted.split("...")))
    assert any(wanted.search(text) for text in texts), f"{code} never says: {quoted}"


def test_the_api_page_names_every_infotext_key():
    page = text("docs/api.md")
    assert [field.infotext for field in STORED if f"`{field.infotext}`" not in page] == []


@pytest.mark.parametrize("name", DOCUMENTS)
def test_links_lead_somewhere(name):
    page = ROOT / name
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


def test_the_citation_has_the_version():
    assert f"\nversion: {__version__}\n" in text("CITATION.cff")
