"""Forge's transformer classes, from a folder of it; in an environment that has what they need."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any
from unittest import mock

# Forge reads its command line when a part of it is first imported.
FLAGS = ["--always-cpu", "--attention-pytorch", "--all-in-fp32"]


def network_module(folder: str | Path, name: str) -> Any:
    """One of ``backend/nn``: flux, chroma, mmditx."""
    for path in (f"{folder}/packages_3rdparty", str(folder)):
        if path not in sys.path:
            sys.path.insert(0, path)
    with mock.patch.object(sys, "argv", [sys.argv[0], *FLAGS]):
        return importlib.import_module(f"backend.nn.{name}")
