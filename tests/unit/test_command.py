"""`python3 -m tests`: what runs side by side, and what one after the other."""

from __future__ import annotations

import sys

import pytest

from tests import __main__ as command

WORKERS = " ".join(command.SIDE_BY_SIDE)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch):
    """Runs the command with arguments; the calls of pytest that it makes."""

    def run(*arguments: str, cores: int = 2) -> list[str]:
        calls: list[str] = []
        monkeypatch.setattr(command, "enter", lambda module: None)
        monkeypatch.setattr(command, "_run", lambda *call: calls.append(" ".join(call)))
        monkeypatch.setattr(sys, "argv", ["tests", *arguments])
        monkeypatch.setenv("OMP_NUM_THREADS", "1")
        monkeypatch.setattr(command.os, "cpu_count", lambda: cores)
        assert not command.main()
        return [each for each in calls if each.startswith("pytest")]

    return run


def test_all_tests_run_side_by_side(run) -> None:
    assert "-n auto" in WORKERS
    assert run() == run("all") == [f"pytest {WORKERS}"]
    assert run("-x", "-k", "regions") == [f"pytest {WORKERS} -x -k regions"]
    assert run("-n", "0") == [f"pytest {WORKERS} -n 0"]  # pytest takes the last word


def test_one_core_needs_no_workers(run) -> None:
    assert run("-x", cores=1) == ["pytest -x"]


@pytest.mark.parametrize("named", ["tests/unit/test_command.py", "tests/host::test_x", "tests/e2e"])
def test_what_is_named_runs_one_after_the_other(run, named: str) -> None:
    assert run(named, "-x") == [f"pytest {named} -x"]


@pytest.mark.parametrize("which", ["e2e", "browser"])
def test_a_running_webui_is_asked_one_thing_at_a_time(run, which: str) -> None:
    assert run(which, "--url", "http://127.0.0.1:7860") == [
        f"pytest tests/{which} --url http://127.0.0.1:7860"
    ]


def test_a_matrix_is_written_where_it_was_asked_for(run, tmp_path) -> None:
    assert run("e2e", "--url", "u", "--matrix", str(tmp_path / "m.md")) == []
