"""The storyboard's controls on the txt2img and img2img pages, built from its table of settings."""

from __future__ import annotations

from typing import Any

import gradio as gr

from ..storyboard.settings import BY_NAME, FIELDS

LINES = 8
PLACEHOLDER = (
    'a knight at the gate --caption "Morning."\n'
    'a knight riding through a wood --size 768x512 --caption "The way is long."'
)
# How the controls stand on the page.
ROWS = (
    ("panels",),
    ("ending",),
    ("reference", "seeds"),
    ("title", "captions"),
    ("columns", "gutter"),
    ("margin", "border"),
    ("pdf",),
)


def build_ui(script: Any) -> list[Any]:
    """The controls in the order of the table."""
    controls: dict[str, Any] = {}
    for names in ROWS:
        with gr.Row():
            for name in names:
                controls[name] = _control(script, name)
    script.infotext_fields = [(controls[field.name], field.infotext) for field in FIELDS]
    script.paste_field_names = [field.infotext for field in FIELDS]
    return [controls[field.name] for field in FIELDS]


def _control(script: Any, name: str) -> Any:
    field = BY_NAME[name]
    kind, arguments = field.kind.control(field.default)
    if name == "panels":
        arguments |= {"lines": LINES, "placeholder": PLACEHOLDER}
    control = getattr(gr, kind)(
        label=field.caption, info=field.help, elem_id=script.elem_id(name), **arguments
    )
    # As with LAFI's own controls: a stored default would outlive the version that it is of.
    control.do_not_save_to_config = True
    return control
