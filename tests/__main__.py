"""``python3 -m tests``: style, types, and the tests that need no WebUI, side by side.

``python3 -m tests e2e --url URL`` and ``python3 -m tests browser --url URL`` test a running WebUI.
``python3 -m tests e2e --url URL --matrix FILE`` runs many scenarios and writes a table of them.
Further arguments go to pytest; tests that they name run one after the other.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

from lab.environment import ROOT, enter

CHECKS = {
    "style": ["ruff", "check", "."],
    "format": ["ruff", "format", "--check", "."],
    "types": ["mypy"],
}
# A worker for each core; it takes up to 1 GB. One that has no tests left takes over half of what
# another has: few files are split, so that what a file's tests share is seldom made twice, and all
# end at the same time.
SIDE_BY_SIDE = ["-n", "auto", "--maxprocesses", "8", "--dist", "worksteal"]


def main() -> int:
    """Runs what the command line names; the exit status."""
    parser = argparse.ArgumentParser(prog="python3 -m tests", description=__doc__)
    parser.add_argument("--matrix", type=Path, metavar="FILE", help="with e2e: write the table")
    arguments, for_pytest = parser.parse_known_args()
    which = for_pytest.pop(0) if for_pytest[:1] in (["all"], ["e2e"], ["browser"]) else "all"
    enter("tests")
    if which == "e2e" and arguments.matrix:
        return _run("tests.e2e.matrix", "--matrix", str(arguments.matrix.resolve()), *for_pytest)
    if which != "all":
        return _run("pytest", f"tests/{which}", *for_pytest)
    # Threads beside the workers would wait for each other, and such small tensors need none.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    failed = [name for name, command in CHECKS.items() if _run(*command)]
    if failed:
        print(f"\nFAILED before the tests: {', '.join(failed)}", file=sys.stderr, flush=True)
    named = any((ROOT / each.partition("::")[0]).exists() for each in for_pytest)
    alone = named or os.cpu_count() == 1  # beside one worker, the process that waits only costs
    tests = _run("pytest", *([] if alone else SIDE_BY_SIDE), *for_pytest)
    return tests or bool(failed)


def _run(module: str, *arguments: str) -> int:
    print(f"$ python -m {module} {' '.join(arguments)}".rstrip(), flush=True)
    return subprocess.call([sys.executable, "-m", module, *arguments], cwd=ROOT)


if __name__ == "__main__":
    sys.exit(main())
