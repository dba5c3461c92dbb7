"""Where the library lies."""

from __future__ import annotations

from pathlib import Path

from modules import shared
from modules.paths_internal import models_path

from .library import Library


def library() -> Library:
    """The library of this WebUI: ``--lafi-dir``, else ``LAFI`` among its models."""
    folder = getattr(shared.cmd_opts, "lafi_dir", None)
    return Library(Path(folder) if folder else Path(models_path) / "LAFI")
