"""The pages of extra networks."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from . import ui_extra_networks_user_metadata

extra_pages: list[ExtraNetworksPage] = []


def register_page(page: ExtraNetworksPage) -> None:
    """Adds one."""
    extra_pages.append(page)


def quote_js(s: str) -> str:
    """A text of JavaScript."""
    s = s.replace("\\", "\\\\")
    s = s.replace('"', '\\"')
    return f'"{s}"'


class ExtraNetworksPage:
    """Base of the pages."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.name = title.lower()
        self.items: dict[str, Any] = {}

    def link_preview(self, filename: str) -> str:
        """The address of a card's picture."""
        return f"./sd_extra_networks/thumb?filename={filename}"

    def search_terms_from_path(self, filename: str) -> str:
        """What a search for its folder finds."""
        parents = map(Path, self.allowed_directories_for_previews())
        return next((str(Path(filename).relative_to(each.parent)) for each in parents), "")

    def get_sort_keys(self, path: str) -> dict[str, Any]:
        """What cards are sorted by."""
        about = Path(path).stat()
        return {"date_modified": int(about.st_mtime), "name": Path(path).name.lower()}

    def allowed_directories_for_previews(self) -> list[str]:
        """Folders whose pictures the host may show."""
        return []

    def list_items(self) -> Iterable[dict[str, Any]]:
        """All cards."""
        raise NotImplementedError

    def create_user_metadata_editor(
        self, ui: Any, tabname: str
    ) -> ui_extra_networks_user_metadata.UserMetadataEditor:
        """What edits a card's metadata."""
        return ui_extra_networks_user_metadata.UserMetadataEditor(ui, tabname, self)
