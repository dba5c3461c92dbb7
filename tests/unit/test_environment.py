"""The environment of `python3 -m tests`: made once, brought up to date where a pin has changed."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest

from lab import environment


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is done, in a folder of the test's own: "create", then pip's requirements."""
    done: list[str] = []

    def create(folder: Path, clear: bool, with_pip: bool) -> None:
        assert clear
        environment.STAMP.unlink(missing_ok=True)  # as all that was there
        done.append("create")
        folder.mkdir(exist_ok=True)
        (folder / "pyvenv.cfg").write_text(f"version = {platform.python_version()}\n")
        environment.PYTHON.touch()

    def call(command: list[str], cwd: Path) -> int:
        assert not environment.STAMP.exists()  # what is interrupted now is no environment
        done.append(command[-1])
        return 0

    monkeypatch.setattr(environment, "VENV", tmp_path / "venv")
    monkeypatch.setattr(environment, "STAMP", tmp_path / "venv" / "stamp")
    monkeypatch.setattr(environment, "PYTHON", tmp_path / "venv" / "python")
    monkeypatch.setattr(environment.venv, "create", create)
    monkeypatch.setattr(environment.subprocess, "call", call)
    environment._build()
    assert environment._is_ready()
    assert done == ["create", *ALL]
    done.clear()
    return done


ALL = [arguments[-1] for _, arguments in environment.STEPS]


def test_a_changed_pin_is_installed_into_what_is_there(calls: list[str]) -> None:
    environment.STAMP.write_text("of other requirements")
    assert not environment._is_ready()
    environment._build()
    assert calls == ALL
    assert environment._is_ready()


def test_what_was_interrupted_or_is_another_pythons_is_made_anew(calls: list[str]) -> None:
    environment.STAMP.unlink()
    environment._build()
    assert calls == ["create", *ALL]
    calls.clear()
    (environment.VENV / "pyvenv.cfg").write_text("version = 3.9.1\n")
    environment._build()
    assert calls == ["create", *ALL]


def test_where_pip_fails_the_environment_is_not_ready(
    calls: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    environment.STAMP.write_text("of other requirements")
    monkeypatch.setattr(environment.subprocess, "call", lambda *_, **__: 1)
    with pytest.raises(SystemExit, match="could not install torch"):
        environment._build()
    assert not environment._is_ready()
    assert not environment.STAMP.exists()
