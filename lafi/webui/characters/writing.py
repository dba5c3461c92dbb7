"""Changes of the library: each file appears whole or not at all."""

from __future__ import annotations

import io
import logging
import secrets
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image

from ...errors import LafiError, invalid
from ..decode import decode
from ..images import open_picture
from . import metadata, names
from .library import MASK, MOST_VIEWS, Character, Library, unknown

# A view of a character: its picture, and its mask or None, in any form that `decode` reads.
Sent = tuple[Any, Any]
log = logging.getLogger("LAFI")
_lock = threading.Lock()


def save(
    library: Library,
    name: str,
    views: Sequence[Sent] | None,
    about: dict[str, Any] | None,
    new: bool = False,
) -> Character:
    """Adds a character, or changes its pictures, its metadata, or both.

    Args:
        views: one or several; None leaves the pictures as they are.
        about: its metadata; None leaves it as it is.
        new: whether a character that is there already is left alone.

    Raises:
        LafiError: naming the field; or `library_unusable` where nothing can be written.
    """
    name = names.clean(name)
    files = None if views is None else _encoded(views)
    about = None if about is None else metadata.check(about)
    with _writing():
        old = _existing(library, name)
        if old is not None and new:
            raise invalid("name", f"is taken: there is a character {old.name} already")
        if old is None and files is None:
            raise invalid("image", "is missing; a new character needs at least one picture")
        base = library.root / name if old is None else old.base
        base.parent.mkdir(parents=True, exist_ok=True)
        if files is not None:
            if len(files) > 1:
                _refuse_to_hide(library, base, old)
            with _aside(_pictures(old)):
                _write_views(base, files)
            _tidy(base)
        if about is not None:
            _replace(base.with_name(base.name + ".json"), metadata.write(about))
    return library.look(name)


def delete(library: Library, name: str) -> str:
    """Removes a character's pictures, masks, metadata and preview; nothing else that lies there.

    Returns:
        the name that it had.

    Raises:
        LafiError: `unknown_character`, `invalid_settings` or `library_unusable`.
    """
    name = names.clean(name)
    with _writing():
        old = _existing(library, name)
        if old is None:
            raise unknown(name, library.hint(name))
        _remove([*_pictures(old), *old.previews(), old.metadata_path])
        _tidy(old.base)
    return old.name


@contextmanager
def _writing() -> Iterator[None]:
    """One change at a time."""
    with _lock:
        try:
            yield
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise LafiError(
                "library_unusable", f"the library of characters cannot be changed: {reason}."
            ) from error


def _existing(library: Library, name: str) -> Character | None:
    """The one character of a name, whatever is wrong with its files."""
    found = library.named(name)
    if len(found) > 1:
        raise invalid("name", "stands for more than one character; remove one of them by hand")
    if found and found[0].problem:
        raise invalid("name", found[0].problem)
    return found[0] if found else None


def _refuse_to_hide(library: Library, base: Path, old: Character | None) -> None:
    """A folder with pictures in it is one character; those that it sorted would be gone."""
    own = old is not None and any(each.path.parent == base for each in old.views)
    sorted_there = [] if own or not base.is_dir() else library.below(base)
    if sorted_there:
        few = ", ".join(each.name for each in sorted_there[:3])
        raise invalid("name", f"is a folder that sorts other characters ({few})")


def _encoded(views: Sequence[Sent]) -> list[tuple[bytes, bytes | None]]:
    if not 1 <= len(views) <= MOST_VIEWS:
        raise invalid("image", f"must be 1 to {MOST_VIEWS} pictures, not {len(views)}")
    for image, mask in views:
        open_picture(image, mask)  # what no run could use is not kept
    return [
        (_png("image", image), None if mask is None else _png("mask", mask))
        for image, mask in views
    ]


def _png(field: str, value: Any) -> bytes:
    """A picture as this program reads it, free of whatever else its file held."""
    picture = decode(field, value)
    if picture.getchannel("A").getextrema() == (255, 255):
        picture = picture.convert("RGB")
    buffer = io.BytesIO()
    Image.frombytes(picture.mode, picture.size, picture.tobytes()).save(buffer, "PNG")
    return buffer.getvalue()


@contextmanager
def _aside(paths: Iterable[Path]) -> Iterator[None]:
    """Old files under hidden names while others take their place: gone afterwards, or back where
    they were if that fails. Before, not after: where upper and lower case are the same, an old
    file may have a new one's name."""
    moved: list[tuple[Path, Path]] = []
    try:
        for path in paths:
            hidden = path.with_name(f".{secrets.token_hex(8)}.old")
            path.rename(hidden)
            moved.append((path, hidden))
        yield
    except BaseException:
        for path, hidden in reversed(moved):
            hidden.replace(path)
        raise
    _remove(hidden for _, hidden in moved)


def _write_views(base: Path, files: list[tuple[bytes, bytes | None]]) -> None:
    """One view as a file, several in a folder; all of them or none."""
    stems = [base]
    if len(files) > 1:
        base.mkdir(exist_ok=True)
        stems = [base / f"view {number}" for number in range(1, len(files) + 1)]
    written: list[Path] = []
    try:
        for stem, (image, mask) in zip(stems, files, strict=True):
            for data, ending in ((mask, MASK), (image, ".png")):
                if data is not None:
                    path = stem.with_name(stem.name + ending)
                    _replace(path, data)
                    written.append(path)
    except BaseException:
        _remove(written)
        _tidy(base)
        raise


def _replace(path: Path, data: bytes) -> None:
    beside = path.with_name(f".{secrets.token_hex(8)}.tmp")
    try:
        beside.write_bytes(data)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def _pictures(character: Character | None) -> list[Path]:
    """With their masks."""
    views = character.views if character else ()
    return [path for each in views for path in (each.path, each.mask) if path is not None]


def _remove(paths: Iterable[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)


def _tidy(base: Path) -> None:
    """A folder of views that holds nothing any more goes, if it can: empty it is no character."""
    try:
        if base.is_dir() and not any(base.iterdir()):
            base.rmdir()
    except OSError as error:
        log.warning("the empty folder of a character stays: %s", error)
