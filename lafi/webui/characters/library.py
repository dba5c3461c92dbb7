"""The library: a folder of characters, read with the same care as what a client sends.

``NAME.png`` (or webp, jpg), or a folder ``NAME`` of several such views. Beside a picture may lie
its mask, ``….mask.png``; beside a character ``NAME.json`` in the host's own form for user metadata,
and ``NAME.preview.png``, which the host's metadata editor writes. A folder that holds folders only
sorts characters, as folders do elsewhere in the WebUI.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from ...errors import LafiError, invalid
from ..images import BACKGROUND, open_picture
from . import files, metadata, names

ENDINGS = (".png", ".webp", ".jpg", ".jpeg")
MASK = ".mask.png"
PREVIEW = ".preview"
MOST_VIEWS = 16
DEPTH = 4  # of folders that sort


@dataclass(frozen=True)
class View:
    """One picture of a character, and its mask if there is one."""

    path: Path
    mask: Path | None = None


@dataclass(frozen=True)
class Character:
    """One character as it lies in the library.

    Attributes:
        base: its path without an ending: beside it lie ``.json`` and ``.preview.png``.
        views: its pictures, by name.
        metadata: what ``NAME.json`` says; empty without one.
        problem: what is wrong with it; empty if it can be used.
    """

    name: str
    base: Path
    views: tuple[View, ...] = ()
    metadata: dict[str, Any] = field(default_factory=dict)
    problem: str = ""

    @property
    def metadata_path(self) -> Path:
        """Where its metadata lies."""
        return self.base.with_name(self.base.name + ".json")

    def previews(self) -> list[Path]:
        """Pictures for its card that lie beside it.

        Raises:
            OSError: the folder cannot be read.
        """
        return sorted(self.base.parent.glob(f"{self.base.name}{PREVIEW}.*"))


@dataclass(frozen=True)
class Library:
    """The characters below a folder.

    Args:
        root: may be missing, and may itself be a link; nothing below leads out of it.
    """

    root: Path

    def characters(self) -> list[Character]:
        """All, sorted by name; one that cannot be used says what is wrong."""
        found = self.entries()
        counts = Counter(each.name for each in found)
        return [self._checked(each, counts[each.name]) for each in found]

    def entries(self) -> list[Character]:
        """All as they lie there, nothing read: what is wrong is found out later."""
        return sorted(self._walk(self.root, DEPTH), key=lambda each: each.name.casefold())

    def look(self, name: str) -> Character:
        """The character of a name, with what is wrong with it. Upper and lower case matter only
        between two names that differ by nothing else.

        Raises:
            LafiError: `unknown_character`, with near names.
        """
        name = names.clean(name)
        same = self.named(name)
        if not same:
            raise unknown(name, self.hint(name))
        return self._checked(same[0], len(same))

    def named(self, name: str) -> list[Character]:
        """Those of a name as they lie there: in just these letters, else whatever their case."""
        found = self.entries()
        same = [each for each in found if each.name == name]
        return same or [each for each in found if each.name.casefold() == name.casefold()]

    def below(self, folder: Path) -> list[Character]:
        """Those that a folder sorts."""
        return list(self._walk(folder, DEPTH))

    def find(self, name: str) -> Character:
        """A character that can be used.

        Raises:
            LafiError: `unknown_character`, with near names, or `bad_character`.
        """
        character = self.look(name)
        if character.problem:
            raise LafiError("bad_character", f"character {name}: {character.problem}.")
        return character

    def hint(self, name: str) -> str:
        """Which names are near one that is not known."""
        return names.near(
            name, (each.name for each in self.entries() if not names.check(each.name))
        )

    def pictures(self, character: Character) -> list[tuple[bytes, bytes | None]]:
        """Each view's file and its mask's, as they are.

        Raises:
            LafiError: `bad_character`.
        """
        try:
            return [self.picture(each) for each in character.views]
        except LafiError as error:
            raise _bad(character, error) from error

    def picture(self, view: View) -> tuple[bytes, bytes | None]:
        """A view's file and its mask's.

        Raises:
            LafiError: naming the file.
        """
        return self.read(view.path), self.read(view.mask) if view.mask else None

    def preview(self, character: Character) -> Path:
        """What a card shows: a picture that is made for it, else the first view.

        Raises:
            OSError: the folder cannot be read.
        """
        made = (each for each in character.previews() if each.suffix.lower() in ENDINGS)
        return next(
            (each for each in made if files.usable(self.root, each)), character.views[0].path
        )

    def view_hash(self, view: View, background: str = "#ffffff", cutout: str = "auto") -> str:
        """The hash that a run with this view writes; read once for each change of its files.

        Raises:
            LafiError: naming the file that cannot be used.
        """
        paths = (view.path, *((view.mask,) if view.mask else ()))
        stamps = tuple((each, *files.stamp(each)) for each in paths)
        return _hash(self, stamps, background, cutout)

    def hash(self, character: Character, background: str, cutout: str) -> str:
        """Of a character: its picture's own, or one of all its views'.

        Raises:
            LafiError: `bad_character`.
        """
        try:
            each = [self.view_hash(view, background, cutout) for view in character.views]
        except LafiError as error:
            raise _bad(character, error) from error
        return whole_hash(each)

    def by_hash(
        self, hashes: Collection[str], background: str, cutout: str
    ) -> tuple[Character, View] | None:
        """The first view that has one of some hashes; one that cannot be used has none."""
        for character in self.characters() if hashes else ():
            for view in () if character.problem else character.views:
                with suppress(LafiError):
                    if self.view_hash(view, background, cutout) in hashes:
                        return character, view
        return None

    def read(self, path: Path) -> bytes:
        """A file within the library.

        Raises:
            LafiError: naming it, with what is wrong.
        """
        return files.read(self.root, path)

    # ---- what lies there ----------------------------------------------------------------------

    def _walk(self, folder: Path, depth: int) -> Iterator[Character]:
        try:
            entries = sorted(os.scandir(folder), key=lambda each: each.name)
        except FileNotFoundError:
            return
        except OSError as error:
            yield Character(names.shown(folder.name), folder, problem=files.say(error))
            return
        for entry in entries:
            path = folder / entry.name
            if entry.name.startswith("."):
                continue
            try:
                yield from self._entry(path, depth)
            except files.FAULTS as error:  # one alone: the others work
                yield Character(names.shown(path.stem), path, problem=files.say(error))

    def _entry(self, path: Path, depth: int) -> Iterator[Character]:
        if path.is_dir():  # the directory's entry fails at a link to itself
            yield from self._folder(path, depth)
        elif is_view(path):
            yield Character(names.normal(path.stem), path.with_suffix(""), (_view(path),))

    def _folder(self, path: Path, depth: int) -> Iterator[Character]:
        if not path.resolve().is_relative_to(self.root.resolve()):
            yield Character(path.name, path, problem="its folder leads out of the library")
            return
        views = tuple(_view(each) for each in sorted(path.iterdir()) if is_view(each))
        if views:
            yield Character(names.normal(path.name), path, views)
        elif depth:
            yield from self._walk(path, depth - 1)

    def _checked(self, found: Character, count: int) -> Character:
        """With its metadata and what is wrong."""
        problem, about = found.problem, {}
        if not problem and (message := names.check(found.name)):
            problem = f"its name {message}"
        if not problem and count > 1:
            problem = "there is more than one of this name"
        if not problem and len(found.views) > MOST_VIEWS:
            problem = f"it has {len(found.views)} views; at most {MOST_VIEWS} are used"
        try:
            if not problem and found.metadata_path.exists():
                about = metadata.read(self.read(found.metadata_path))
            for each in () if problem else found.views:
                self.view_hash(each)
        except LafiError as error:
            problem = error.message.rstrip(".")
        except files.FAULTS as error:
            problem = files.say(error)
        return Character(names.shown(found.name), found.base, found.views, about, problem)


def whole_hash(hashes: list[str]) -> str:
    """One for all views."""
    return hashes[0] if len(hashes) == 1 else sha256("".join(hashes).encode()).hexdigest()[:12]


def is_view(path: Path) -> bool:
    """Whether a file is a picture of a character: not its mask or preview."""
    companion = path.name.lower().endswith(MASK) or Path(path.stem).suffix.lower() == PREVIEW
    hidden = path.name.startswith(".")
    return path.suffix.lower() in ENDINGS and not companion and not hidden


def unknown(name: str, hint: str) -> LafiError:
    """There is no character of this name."""
    end = "" if hint.endswith("?") else "."
    return LafiError("unknown_character", f"there is no character {name!r}; {hint}{end}")


# Failures are not kept: another reading may be allowed.
@lru_cache(maxsize=4096)
def _hash(
    library: Library, stamps: tuple[tuple[Path, int, int], ...], background: str, cutout: str
) -> str:
    paths = [path for path, *_ in stamps]
    image, mask = ([library.read(each) for each in paths] + [None])[:2]
    try:
        return open_picture(image, mask, background, cutout).hash
    except LafiError as error:
        (wrong,) = error.problems
        if wrong["loc"] == [BACKGROUND]:
            raise
        path = paths[-1] if wrong["loc"] == ["mask"] else paths[0]
        raise invalid(names.shown(path.name), wrong["msg"]) from error


def _view(path: Path) -> View:
    mask = path.with_name(path.stem + MASK)
    return View(path, mask if mask.exists() else None)


def _bad(character: Character, error: LafiError) -> LafiError:
    return LafiError("bad_character", f"character {character.name}: {error.message.rstrip('.')}.")
