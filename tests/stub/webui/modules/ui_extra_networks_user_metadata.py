"""The editor of a card's metadata."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import gradio as gr


class UserMetadataEditor:
    """Base of the editors."""

    def __init__(self, ui: Any, tabname: str, page: Any) -> None:
        self.ui, self.tabname, self.page = ui, tabname, page
        self.box: Any = None
        self.edit_name_input: Any = None
        self.button_edit: Any = None
        self.edit_name: Any = None
        self.edit_description: Any = None
        self.edit_notes: Any = None
        self.html_filedata: Any = None
        self.html_preview: Any = None
        self.button_save: Any = None

    def get_user_metadata(self, name: str) -> dict[str, Any]:
        """Of a card."""
        found: dict[str, Any] = self.page.items.get(name, {}).get("user_metadata") or {}
        return found

    def create_default_editor_elems(self) -> None:
        """What every card has."""
        self.edit_name, self.html_filedata, self.html_preview = gr.HTML(), gr.HTML(), gr.HTML()
        self.edit_description = gr.Textbox(label="Description")

    def create_default_buttons(self) -> None:
        """Cancel and save."""
        self.button_save = gr.Button("Save")

    def put_values_into_components(self, name: str) -> tuple[Any, ...]:
        """Name, description, table of facts, preview, notes."""
        about = self.get_user_metadata(name)
        return name, about.get("description", ""), "", "", about.get("notes", "")

    def setup_save_handler(
        self, button: Any, func: Callable[..., Any], components: Sequence[Any]
    ) -> None:
        """What the button does."""
        button.click(fn=func, inputs=[self.edit_name_input, *components], outputs=[])

    def create_editor(self) -> None:
        """The controls."""

    def create_ui(self) -> None:
        """The whole editor."""
        self.box = gr.Group()
        self.edit_name_input = gr.Textbox()
        self.button_edit = gr.Button()
        self.create_editor()
