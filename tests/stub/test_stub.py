"""The stub against a real WebUI: it may offer nothing that a host does not have.

Read, not imported: a host's modules need its whole environment.
"""

from __future__ import annotations

import ast
import warnings
from functools import cache
from importlib import import_module
from pathlib import Path

import pytest

from .host import WebUI

ROOT = Path(__file__).resolve().parents[2]
STUB = Path(__file__).parent / "webui" / "modules"
# What A1111's adapter alone imports, and the Forge family need not have.
A1111_ONLY = {"sd_vae", "sd_unet", "sd_hijack", "hypernetworks.hypernetwork"}
# What else of a module is A1111's alone: its adapter reads the one, the others have a default.
A1111_NAMES, A1111_OPTIONS = {"shared": {"loaded_hypernetworks"}}, {"upcast_attn"}
# What the tests drive the stub by.
OWN = {
    "script_callbacks": {"run", "callbacks"},
    "scripts": {"ScriptRunner.add"},
    "sd_samplers_common": {"Sampler.evaluations_per_step"},
    "shared": {"reset", "HOST_OPTIONS"},
}
# The main loop is modelled on the hosts', but not name by name.
LOOP = {"processing", "sd_samplers_kdiffusion"}
# Where hosts define what they offer under another module's name as well.
ALSO = {"shared": ("options", "shared_state", "shared_init")}


def _file(module: str, root: Path) -> Path:
    return root / f"{module.replace('.', '/')}.py"


@cache
def _names(path: Path) -> frozenset[str]:
    """Names of a module, and ``Class.name`` of what its classes and their objects have."""
    with warnings.catch_warnings():  # of the host's own code
        warnings.simplefilter("ignore")
        tree = ast.parse(path.read_text("utf-8"))
    found = _bound(tree.body)
    for node in ast.walk(tree):
        if isinstance(node, ast.Global):
            found |= set(node.names)
        elif isinstance(node, ast.ClassDef):
            members = _bound(node.body) | _attributes(node)
            found |= {f"{node.name}.{name}" for name in members}
    return frozenset(found)


def _bound(body: list[ast.stmt]) -> set[str]:
    """What statements bind, imports left out, also under an ``if`` or ``try``."""
    found: set[str] = set()
    for node in body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            found.add(node.name)
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            stored = [part for part in ast.walk(node) if isinstance(part, ast.Name)]
            found |= {part.id for part in stored if isinstance(part.ctx, ast.Store)}
        elif isinstance(node, (ast.If, ast.Try)):
            found |= _bound(node.body) | _bound(node.orelse)
    return found


def _attributes(node: ast.ClassDef) -> set[str]:
    return {
        each.attr
        for each in ast.walk(node)
        if isinstance(each, ast.Attribute)
        and isinstance(each.ctx, ast.Store)
        and isinstance(each.value, ast.Name)
        and each.value.id == "self"
    }


def _imported_by_lafi() -> list[tuple[str, str]]:
    """(module of the host, name) of all imports."""
    found = set()
    for path in [*(ROOT / "lafi").rglob("*.py"), *(ROOT / "scripts").glob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            parts = (getattr(node, "module", None) or "").split(".")
            if isinstance(node, ast.ImportFrom) and not node.level and parts[0] == "modules":
                found |= {(".".join(parts[1:]), each.name) for each in node.names}
    return sorted(found)


@pytest.mark.parametrize(("module", "name"), _imported_by_lafi())
def test_the_stub_has_what_lafi_imports(module: str, name: str) -> None:
    a_module = _file(f"{module}.{name}".lstrip("."), STUB).exists()
    assert a_module or name in _names(_file(module, STUB)), "LAFI imports it; add it to the stub"


MODULES = sorted(
    ".".join(path.relative_to(STUB).with_suffix("").parts)
    for path in STUB.rglob("*.py")
    if path.stem != "__init__" and path.stem not in LOOP
)


@pytest.mark.parametrize("module", MODULES)
def test_a_real_host_has_what_the_stub_offers(module: str, host_root: Path) -> None:
    if module in A1111_ONLY and (host_root / "modules_forge").is_dir():
        pytest.skip("only A1111's adapter imports it")
    real = {
        name
        for each in (module, *ALSO.get(module, ()))
        if _file(each, host_root / "modules").exists()
        for name in _names(_file(each, host_root / "modules"))
    }
    offered = _names(_file(module, STUB)) - OWN.get(module, set())
    if (host_root / "modules_forge").is_dir():
        offered -= A1111_NAMES.get(module, set())
    public = {name for name in offered if not name.rpartition(".")[2].startswith("_")}
    # A member may be at home in another class there: Forge's InputAccordion is a function.
    members = {name.rpartition(".")[2] for name in real if "." in name}
    missing = {name for name in public - real if name.rpartition(".")[2] not in members}
    assert sorted(missing) == []


def test_a_real_host_has_the_main_loop_that_nesting_looks_for(host_root: Path) -> None:
    from lafi.webui.nesting import MAIN_LOOP

    text = (host_root / "modules" / "processing.py").read_text("utf-8")
    assert f"def {MAIN_LOOP}(p" in text


def test_a_real_host_has_the_settings_of_the_stub(host_root: Path) -> None:
    from modules import shared

    text = (host_root / "modules" / "shared_options.py").read_text("utf-8")
    wanted = set(shared.HOST_OPTIONS)
    if (host_root / "modules_forge").is_dir():
        wanted -= A1111_OPTIONS
    assert [key for key in sorted(wanted) if f'"{key}"' not in text] == []


def test_the_forge_family_need_not_have_what_is_a1111s(
    forge: WebUI, monkeypatch: pytest.MonkeyPatch
) -> None:
    from modules import shared

    for key in A1111_OPTIONS:
        monkeypatch.delitem(shared.opts.data, key)
        monkeypatch.delitem(shared.opts.data_labels, key)
    for module, names in A1111_NAMES.items():
        for name in names:
            monkeypatch.delattr(import_module(f"modules.{module}"), name)
    assert "LAFI version" in forge.injected(width=64, height=64, steps=3).infotexts[0]
