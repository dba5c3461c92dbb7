"""The documents keep step with the code: tables, examples, error codes, links."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from lafi import __version__
from lafi.settings import parse
from lafi.webui.infotext import STORED

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = ("README.md", "CONTRIBUTING.md", "docs/api.md", "docs/how-it-works.md")


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["README.md", "docs/api.md"])
def test_the_json_examples_are_valid_requests(name):
    examples = re.findall(r"```json\n(.*?)```", text(name), re.DOTALL)
    assert examples
    for example in examples:
        settings = parse(json.loads(example)["alwayson_scripts"]["LAFI"]["args"])
        assert settings.acts


def test_every_error_code_is_explained():
    source = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "lafi").rglob("*.py"))
    raised = set(re.findall(r'LafiError\(\s*"(\w+)"', source))
    explained = set(re.findall(r"^\| `(\w+)` \| ", text("README.md").split("## Troubl")[1], re.M))
    assert raised == explained


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
