"""The virtual environment that the demonstration, the benchmark and the tests run in.

``enter()`` makes it on the first call, inside the project's folder, and restarts the program in it.
Only the standard library is imported here: nothing else is installed yet.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import os
import platform
import subprocess
import sys
import venv
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".lafi-venv"
STAMP = VENV / "requirements.sha256"
PYTHON = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
OLDEST, NEWEST = (3, 10), (3, 12)

# (what it is, pip's arguments). torch goes first, so that nothing else picks another build of it.
STEPS = (
    ("torch, the largest part", ["-r", "requirements/torch.txt"]),
    ("libraries and test tools", ["-r", "requirements/host.txt", "-r", "requirements/tests.txt"]),
    ("the WebUI's model code", ["--no-deps", "-r", "requirements/bundled.txt"]),
)


def enter(module: str) -> None:
    """Returns inside the environment; outside it, makes it where needed and restarts there.

    Args:
        module: what to restart, as in ``python3 -m module``.
    """
    if Path(sys.prefix).resolve() == VENV:
        return
    _check_python()
    with _one_at_a_time():
        if not _is_ready():
            _build()
    # Idle OpenMP threads would spin, and starve whatever else the machine is doing.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    command = [str(PYTHON), "-m", module, *sys.argv[1:]]
    if os.name == "nt":  # there, exec returns to the shell before the program has ended
        sys.exit(subprocess.call(command))
    sys.stdout.flush()
    os.execv(PYTHON, command)


def _check_python() -> None:
    if not OLDEST <= sys.version_info[:2] <= NEWEST:
        running = f"{sys.version_info[0]}.{sys.version_info[1]}"
        sys.exit(f"Python 3.10, 3.11 or 3.12 is needed; this is {running}. Try python3.12.")


def _fingerprint() -> str:
    """Of all that decides what the environment holds; it changes with any pinned requirement."""
    files = sorted((ROOT / "requirements").glob("*.txt"))
    parts = [repr(STEPS), sys.version, *(file.read_text() for file in files)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _is_ready() -> bool:
    return PYTHON.exists() and STAMP.exists() and STAMP.read_text() == _fingerprint()


def _is_of_this_python() -> bool:
    """Whether what `requirements/` pinned before is installed whole, for this very Python."""
    about = VENV / "pyvenv.cfg"
    lines = about.read_text().splitlines() if STAMP.exists() and about.exists() else []
    return f"version = {platform.python_version()}" in lines


def _build() -> None:
    has_pip = importlib.util.find_spec("ensurepip") is not None
    if _is_of_this_python():
        print(f"requirements/ has changed: bringing {VENV.name} up to date.", flush=True)
        STAMP.unlink()
    else:
        size = "1 GB with a CPU build of torch, 5 GB with a CUDA build"
        print(f"Setting up {VENV.name}, once. It takes about {size}.", flush=True)
        venv.create(VENV, clear=True, with_pip=has_pip)
    # Some systems ship venv without pip: then this interpreter's own pip installs into it.
    pip = [str(PYTHON), "-m", "pip"] if has_pip else [*_own_pip(), "--python", str(PYTHON)]
    for number, (what, arguments) in enumerate(STEPS, 1):
        print(f"[{number}/{len(STEPS)}] {what}", flush=True)
        command = [*pip, "--disable-pip-version-check", "--no-input", "install", *arguments]
        status = subprocess.call(command, cwd=ROOT)
        if status:
            sys.exit(
                f"pip could not install {what} (status {status}): its message stands above. "
                "Mend that (network, disk space) and run the same command again."
            )
    STAMP.write_text(_fingerprint())  # last: what was interrupted has no stamp and is made anew


def _own_pip() -> list[str]:
    if importlib.util.find_spec("pip") is None:
        sys.exit("pip is needed: install your system's python3-pip or python3-venv package.")
    return [sys.executable, "-m", "pip"]


@contextlib.contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Keeps two programs that start together from setting up the same folder."""
    try:
        import fcntl
    except ImportError:  # Windows
        yield
        return
    with (ROOT / ".lafi-venv.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
