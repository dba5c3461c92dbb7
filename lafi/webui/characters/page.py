"""The page *Characters* among the host's extra networks."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

from modules import shared, ui_extra_networks
from modules.ui_extra_networks import quote_js

from ...errors import LafiError
from ...settings import BY_NAME
from . import files, metadata, names
from .editor import CharacterEditor
from .folder import library
from .library import Character
from .tags import NAME

log = logging.getLogger("LAFI")


class CharactersPage(ui_extra_networks.ExtraNetworksPage):
    """A card for each character; a click puts its tag and its activation text into the prompt."""

    def __init__(self) -> None:
        super().__init__("Characters")

    def refresh(self) -> None:
        """Nothing is kept between two looks at the folder."""

    def create_item(
        self, name: str, index: int | None = None, enable_filter: bool = True
    ) -> dict[str, Any] | None:
        """A card by name; None if there is no such character."""
        try:
            return self._item(library().look(name), index)
        except LafiError:
            return None

    def list_items(self) -> Iterator[dict[str, Any]]:
        """All cards. One that cannot be used says why."""
        for index, character in enumerate(library().characters()):
            yield self._item(character, index)

    def allowed_directories_for_previews(self) -> list[str]:
        """Where the host may read cards' pictures, and write their previews."""
        return [str(library().root)]

    def create_user_metadata_editor(self, ui: Any, tabname: str) -> CharacterEditor:
        """The host's editor with a character's fields."""
        return CharacterEditor(ui, tabname, self)

    def read_user_metadata(self, item: dict[str, Any], use_cache: bool = True) -> None:
        """From beside the character: the host would look beside a view."""
        try:
            character = library().look(item["name"])
        except LafiError as error:
            item["user_metadata"], item["description"] = {}, str(error)
            return
        item["user_metadata"] = dict(character.metadata)
        item["description"] = _description(character)

    def _item(self, character: Character, index: int | None) -> dict[str, Any]:
        item: dict[str, Any] = {
            "name": "".join(each if names.may_hold(each) else "_" for each in character.name),
            "description": _description(character),
            "user_metadata": dict(character.metadata),
            "prompt": quote_js(""),
            "negative_prompt": quote_js(""),
            "shorthash": "",
            "preview": None,
            # Hosts write both into the page as they are.
            "filename": str(library().root),
            "search_terms": [],
            "local_preview": "",
            "sort_keys": {"default": index},
        }
        if character.problem:
            return item
        try:
            return item | self._usable(character, index)
        except (LafiError, OSError) as error:  # it was there a moment ago
            reason = error.message if isinstance(error, LafiError) else files.say(error)
            return item | {"description": f"Cannot be used: {reason}"}

    def _usable(self, character: Character, index: int | None) -> dict[str, Any]:
        about, place = character.metadata, str(character.views[0].path)
        digest = library().hash(character, shared.opts.img2img_background_color, "auto")
        strength = metadata.strength(about) or BY_NAME["strength"].default
        words, negative = (
            _line(about.get(key)) for key in (metadata.ACTIVATION, metadata.NEGATIVE)
        )
        # With a number, so that the host finds the tag again and a second click removes it.
        tag = f"<{NAME}:{character.name}:{strength:g}>"
        return {
            "filename": place,
            "shorthash": digest,
            "preview": self.link_preview(str(library().preview(character))),
            "search_terms": [self.search_terms_from_path(place), digest],
            "local_preview": f"{character.base}.preview.{shared.opts.samples_format}",
            "sort_keys": {
                "default": index,
                **self.get_sort_keys(place),
                "name": character.name.lower(),
            },
            "prompt": quote_js(f"{tag} {words}".rstrip()),
            "negative_prompt": quote_js(f"({negative}:1)" if negative else ""),
        }


def register() -> None:
    """Adds the page and makes its folder, so that it can be found."""
    try:
        library().root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        log.warning("the folder of the characters cannot be made: %s", error)
    ui_extra_networks.register_page(CharactersPage())


def _description(character: Character) -> str:
    if character.problem:
        return f"Cannot be used: {character.problem}."
    return str(character.metadata.get("description") or "")


def _line(text: Any) -> str:
    """On one line: it becomes part of a line of JavaScript."""
    return " ".join(str(text or "").split())
