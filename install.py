"""Run by the WebUI before the extension is loaded. LAFI installs nothing: it says what is missing.

torch is not imported here: that takes seconds at every start of the WebUI.
"""

import sys
from importlib.metadata import PackageNotFoundError, version

PYTHON, TORCH = (3, 10), (2, 1)


def problems() -> list[str]:
    """What this WebUI lacks, one sentence each."""
    found = []
    if sys.version_info < PYTHON:
        running = ".".join(map(str, sys.version_info[:2]))
        found.append(f"Python 3.10 or later is needed, this is {running}")
    try:
        installed = version("torch")
    except PackageNotFoundError:
        return [*found, "torch is not installed"]
    if tuple(int(part) for part in installed.split(".")[:2]) < TORCH:
        found.append(f"torch 2.1 or later is needed, this is {installed}")
    return found


for problem in problems():
    print(f"LAFI: {problem}. Update the WebUI, or switch this extension off.", file=sys.stderr)
