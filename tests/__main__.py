"""``python3 -m tests``: style, types, and the tests that need no WebUI.

``python3 -m tests e2e --url URL`` and ``python3 -m tests browser --url URL`` test a running WebUI.
``python3 -m tests e2e --url URL --matrix FILE`` runs many scenarios and writes a table of them.
Further arguments go to pytest.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from lab.environment import ROOT, enter

CHECKS = {
    "style": ["ruff", "check", "."],
    "format": ["ruff", "format", "--check", "."],
    "types": ["mypy"],
}


def main() -> int:
    """Runs what the command line names; the exit status."""
    parser = argparse.ArgumentParser(prog="python3 -m tests", description=__doc__)
    parser.add_argument("which", nargs="?", default="all", choices=("all", "e2e", "browser"))
    parser.add_argument("--matrix", type=Path, metavar="FILE", help="with e2e: write the table")
    arguments, for_pytest = parser.parse_known_args()
    enter("tests")
    if arguments.which == "e2e" and arguments.matrix:
        return _run("tests.e2e.matrix", "--matrix", str(arguments.matrix.resolve()), *for_pytest)
    if arguments.which != "all":
        return _run("pytest", f"tests/{arguments.which}", *for_pytest)
    failed = [name for name, command in CHECKS.items() if _run(*command)]
    if failed:
        print(f"\nFAILED before the tests: {', '.join(failed)}", file=sys.stderr, flush=True)
    tests = _run("pytest", *for_pytest)
    return tests or bool(failed)


def _run(module: str, *arguments: str) -> int:
    print(f"$ python -m {module} {' '.join(arguments)}".rstrip(), flush=True)
    return subprocess.call([sys.executable, "-m", module, *arguments], cwd=ROOT)


if __name__ == "__main__":
    sys.exit(main())
