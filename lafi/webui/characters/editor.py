"""The host's metadata editor with a character's fields."""

from __future__ import annotations

from typing import Any

import gradio as gr
from modules.ui_extra_networks_user_metadata import UserMetadataEditor

from ...errors import LafiError
from ...references import WEIGHT
from ...settings import BY_NAME
from . import metadata, writing
from .folder import library

TEXTS = ("description", metadata.ACTIVATION, metadata.NEGATIVE)


class CharacterEditor(UserMetadataEditor):
    """Activation text, preferred strength, region and reference prompt beside the host's fields."""

    def create_editor(self) -> None:
        """The controls, and what they do."""
        self.create_default_editor_elems()
        activation = gr.Textbox(
            label="Activation text", info="Goes into the prompt together with the tag"
        )
        strength = gr.Slider(
            label="Preferred strength", info="0: as in LAFI's settings", value=0.0,
            minimum=0.0, maximum=WEIGHT.maximum, step=WEIGHT.step,
        )  # fmt: skip
        negative = gr.Textbox(label="Negative prompt", info="Goes into the negative prompt")
        own = [
            gr.Textbox(label=BY_NAME[name].label, info=BY_NAME[name].help)
            for name in metadata.SETTINGS
        ]
        self.edit_notes = gr.TextArea(label="Notes", lines=4)
        self.create_default_buttons()
        edited = [self.edit_description, activation, negative, strength, *own, self.edit_notes]
        viewed = [self.edit_name, self.html_filedata, self.html_preview, *edited]
        self.button_edit.click(fn=self.values, inputs=[self.edit_name_input], outputs=viewed).then(
            fn=lambda: gr.update(visible=True), inputs=[], outputs=[self.box]
        )
        self.setup_save_handler(self.button_save, self.save, edited)

    def values(self, name: str) -> list[Any]:
        """What the controls show of a character."""
        title, _, table, preview, notes = self.put_values_into_components(name)
        about = self.get_user_metadata(name)
        return [
            *(title, table, preview),
            *(about.get(key) or "" for key in TEXTS),
            metadata.strength(about) or 0.0,
            *(metadata.setting(about, key) for key in metadata.SETTINGS),
            notes,
        ]

    def save(self, name: str, *values: Any) -> None:
        """Writes what the controls hold beside the character; what LAFI does not know stays.

        Raises:
            gr.Error: with what is wrong.
        """
        *texts, strength = values[: len(TEXTS) + 1]
        *own, notes = values[len(TEXTS) + 1 :]
        about = self.get_user_metadata(name)
        about = about | dict(zip(TEXTS, texts, strict=True))
        about |= {metadata.WEIGHT: strength, "notes": notes}
        about[metadata.OWN] = {
            key: text for key, text in zip(metadata.SETTINGS, own, strict=True) if text
        }
        self.write_user_metadata(name, about)

    def write_user_metadata(self, name: str, about: dict[str, Any]) -> None:
        """In one piece, and only what can be read again."""
        try:
            writing.save(library(), name, None, about)
        except LafiError as error:
            raise gr.Error(str(error)) from error
        self.page.items.get(name, {})["user_metadata"] = about
