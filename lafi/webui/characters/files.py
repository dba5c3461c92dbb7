"""Files of the library: which may be read, and what is wrong with one that cannot be."""

from __future__ import annotations

import stat
from pathlib import Path

from ...errors import LafiError, invalid
from . import names

MOST_BYTES = 2**26  # of one file
# What a look at a file may raise; a circle of links is a RuntimeError.
FAULTS = (OSError, ValueError, RuntimeError)


def read(root: Path, path: Path) -> bytes:
    """A file within the library.

    Raises:
        LafiError: naming it, with what is wrong.
    """
    try:
        return _within(root, path).read_bytes()
    except FAULTS as error:
        raise wrong(path, error) from error


def usable(root: Path, path: Path) -> bool:
    """Whether a file is one that may be read."""
    try:
        _within(root, path)
    except FAULTS:
        return False
    return True


def stamp(path: Path) -> tuple[int, int]:
    """What changes whenever the file does.

    Raises:
        LafiError: naming it.
    """
    try:
        about = path.stat()
    except FAULTS as error:
        raise wrong(path, error) from error
    return about.st_mtime_ns, about.st_size


def wrong(path: Path, error: Exception) -> LafiError:
    """An error of a file as one that names it."""
    return invalid(names.shown(path.name), say(error))


def say(error: Exception) -> str:
    """What is wrong, without where: paths are nobody's business."""
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    return str(error)


def _within(root: Path, path: Path) -> Path:
    resolved = path.resolve(strict=True)
    if not resolved.is_relative_to(root.resolve()):
        raise ValueError("leads out of the library")
    about = resolved.stat()
    if not stat.S_ISREG(about.st_mode):
        raise ValueError("is no file")
    if about.st_size > MOST_BYTES:
        raise ValueError(f"is too large ({about.st_size / 2**20:.0f} MiB)")
    return resolved
