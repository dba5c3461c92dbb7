"""LAFI's controls on the txt2img and img2img pages, built from the table of settings."""

from __future__ import annotations

import functools
import html
import json
from typing import Any

import gradio as gr
from modules.ui_components import InputAccordion

from .. import __version__
from ..errors import LafiError
from ..presets import (
    LIKENESS_STEP,
    PRESET_FIELDS,
    PRESETS,
    likeness,
    nearest_likeness,
    preset,
)
from ..settings import BY_NAME, FIELDS, Field
from . import infotext, kept, status
from .characters import controls as characters
from .characters import pasting
from .decode import decode

GRADIO = int(gr.__version__.split(".")[0])
UPLOAD = {"source": "upload"} if GRADIO < 4 else {"sources": ["upload", "clipboard"]}
# No mode of a picture: gradio would cut 16-bit greys off.
PICTURES: dict[str, dict[str, Any]] = {
    "Image": {"type": "pil", "image_mode": None, "height": 240, **UPLOAD},
    "File": {"interactive": True, "height": 120},
}
BADGE = '<span class="lafi-badge"></span>'
AT_HAND = ("depth", "cutoff")
GROUP, IN_GROUP = "Views, region and batch", (("views",), ("region", "anchor"))
LIKENESS_HELP = (
    "How much of the character comes through, against how free the pose is. Sets strength and "
    "fidelity."
)
MANY = 99  # pictures, for the line about the cost
# The dial's positions with the two numbers of each; the page only looks them up.
LIKENESS = json.dumps([[each, *likeness(each)] for each in range(0, 101, LIKENESS_STEP)])


def build_ui(script: Any, is_img2img: bool) -> list:
    """The accordion; returns its controls in the order of `FIELDS`.

    Hosts build the page several times, also only to read the defaults, so nothing is kept but the
    infotext fields that they collect from `script`.
    """
    accordion_id = script.elem_id("enabled")
    with InputAccordion(False, label="LAFI - character consistency", elem_id=accordion_id) as on:
        with on.extra():
            gr.HTML(f'<span class="lafi-version">{__version__}</span>{BADGE}')
        controls = {"enabled": on}
        with gr.Row():
            with gr.Column(min_width=200):
                controls["image"] = _control(script, BY_NAME["image"])
                take = gr.Button("Use selected gallery picture", elem_id=script.elem_id("ui_take"))
            with gr.Column(min_width=200):
                dial = _likeness_dial(script)
                controls |= {name: _control(script, BY_NAME[name]) for name in AT_HAND}
                with gr.Row():
                    presets = {name: _preset_button(script, name) for name in PRESETS}
        with gr.Accordion(label=GROUP, open=False, elem_id=script.elem_id("ui_group")), gr.Row():
            for column in IN_GROUP:
                with gr.Column(min_width=200):
                    controls |= {name: _control(script, BY_NAME[name]) for name in column}
        note = gr.HTML("", elem_id=script.elem_id("ui_note"), elem_classes="lafi-line")
        line = gr.HTML("", elem_id=script.elem_id("ui_status"), elem_classes="lafi-line")
        cut = gr.HTML("", elem_id=script.elem_id("ui_cut"), elem_classes="lafi-line")
        with gr.Accordion("Advanced", open=False, elem_id=script.elem_id("ui_advanced")):
            rest = [field for field in FIELDS if field.name not in controls]
            controls |= {field.name: _control(script, field) for field in rest}
            forget = gr.Button("Forget recordings", elem_id=script.elem_id("ui_forget"))
        for name, button in presets.items():
            changed = [controls[field] for field in PRESET_FIELDS]
            button.click(fn=functools.partial(_preset, name), outputs=changed, queue=False)
        forget.click(fn=_forget, outputs=[note], queue=False)
        tab = "img2img" if is_img2img else "txt2img"
        _connect_likeness(dial, controls["strength"], controls["fidelity"])
        _connect_status(script, controls, line)
        _connect_fit(script, controls, cut, tab)
        _connect_pictures(script, controls, take, note, tab)
        pasted = characters.build(script, controls, note, tab, js)
    _keep_out_of_defaults(on.accordion, dial, *controls.values())
    script.infotext_fields = [*infotext.paste_fields(controls), (note, _paste_note), *pasted]
    # Not the views: the host hands on what it was given, and gradio takes back no file's bytes.
    sent = [field for field in FIELDS if field.shown and field.name != "views"]
    script.paste_field_names = [field.infotext for field in sent]
    return [controls[field.name] for field in FIELDS]


def js(code: str) -> dict[str, str]:
    """The argument that gives an event a JavaScript function, by gradio's version."""
    return {"_js" if GRADIO < 4 else "js": code}


def _keep_out_of_defaults(*components: Any) -> None:
    """The host's file of page defaults would keep today's ranges and defaults for later versions;
    and LAFI switched on by it, without a picture, would refuse every run."""
    for component in components:
        component.do_not_save_to_config = True


def _control(script: Any, field: Field) -> Any:
    name, arguments = field.kind.control(field.default)
    if name == "State":
        return gr.State(**arguments)
    arguments |= {"label": field.caption, "elem_id": script.elem_id(field.name)}
    if name not in PICTURES:
        return getattr(gr, name)(info=field.help, **arguments)
    component = getattr(gr, name)(**arguments, **PICTURES[name])
    # Pictures have no `info` of their own.
    gr.HTML(html.escape(field.help), elem_classes="lafi-line")
    return component


def _likeness_dial(script: Any) -> Any:
    default = BY_NAME["strength"].default, BY_NAME["fidelity"].default
    return gr.Slider(
        minimum=0,
        maximum=100,
        step=LIKENESS_STEP,
        value=nearest_likeness(*default),
        label="Likeness (%)",
        info=LIKENESS_HELP,
        elem_id=script.elem_id("ui_likeness"),
    )


def _connect_likeness(dial: Any, strength: Any, fidelity: Any) -> None:
    """The dial sets both numbers, and follows them. `input` is what the user does alone, so that a
    dial that follows does not set them again; and the page does both by itself, at once."""
    dial.input(
        fn=None,
        inputs=[dial],
        outputs=[strength, fidelity],
        **js(f"(percent) => lafi.numbersOf({LIKENESS}, percent)"),
    )
    for number in (strength, fidelity):
        number.change(
            fn=None,
            inputs=[strength, fidelity],
            outputs=[dial],
            **js(f"(strength, fidelity) => lafi.likenessOf({LIKENESS}, strength, fidelity)"),
        )


def _preset_button(script: Any, name: str) -> Any:
    words = name.lower().replace(":", "").replace(" ", "_")
    return gr.Button(name, elem_id=script.elem_id(f"ui_{words}"))


def _preset(name: str) -> list[Any]:
    return list(preset(name).values())


def _connect_status(script: Any, controls: dict[str, Any], line: Any) -> None:
    refresh = gr.Button(visible=False, elem_id=script.elem_id("ui_refresh"))
    count = gr.Textbox("0", visible=False, elem_id=script.elem_id("ui_count"))
    refresh.click(
        fn=_status_line,
        inputs=[*(controls[name] for name in status.STATUS), count],
        outputs=[line],
        show_progress=False,
        queue=False,
    )
    _click_on_change(refresh, [controls[name] for name in ("enabled", *status.STATUS)])
    # Counted on the page: the pictures themselves would be sent at every move of a slider.
    pictures = [controls[name] for name in ("image", "views")]
    for each in pictures:
        counted = f"lafi.count(image, views, '{refresh.elem_id}')"
        each.change(fn=None, inputs=pictures, outputs=[count], **js(f"(image, views) => {counted}"))


def _connect_fit(script: Any, controls: dict[str, Any], line: Any, tab: str) -> None:
    refit = gr.Button(visible=False, elem_id=script.elem_id("ui_refit"))
    # Filled by the page's script: the host's own controls are not at hand here.
    size = gr.Textbox(visible=False, elem_id=script.elem_id("ui_size"))
    given = ", ".join(status.FIT)
    refit.click(
        fn=_fit_line,
        inputs=[*(controls[name] for name in status.FIT), size],
        outputs=[line],
        show_progress=False,
        queue=False,
        **js(f"({given}) => [{given}, lafi.size('{tab}')]"),
    )
    _click_on_change(refit, [controls[name] for name in status.FIT])


def _click_on_change(button: Any, controls: list) -> None:
    """The page's script clicks a hidden button: once for many quick changes of a slider."""
    for control in controls:
        control.change(fn=None, **js(f"() => lafi.refresh('{button.elem_id}')"))


def _status_line(*values: Any) -> str:
    *settings, count = values
    pictures = int(count) if str(count).isdecimal() else 1
    said = status.describe(dict(zip(status.STATUS, settings, strict=True)), min(pictures, MANY))
    return html.escape(said)


def _fit_line(*values: Any) -> str:
    *fields, size = values
    return html.escape(status.describe_fit(dict(zip(status.FIT, fields, strict=True)), size))


def _paste_note(params: dict[str, Any]) -> str:
    return html.escape(f"{infotext.paste_note(params)} {pasting.note(params)}".rstrip())


def _connect_pictures(
    script: Any, controls: dict[str, Any], take: Any, note: Any, tab: str
) -> None:
    shown = [controls[name] for name in ("enabled", "image", "views", "anchor")]
    given = "(on, image, views, anchor)"
    enough = "image || views?.length || anchor === 'batch'"
    mark = f"lafi.mark('{script.elem_id('enabled')}', on, {enough})"
    image = controls["image"]
    for each in shown:
        each.change(fn=None, inputs=shown, **js(f"{given} => {mark}"))
    # Another picture of the user's: what the note says of the old one no longer holds. Not at every
    # change: what puts a picture there by itself says so in the note.
    for happens in (image.upload, image.clear):
        happens(fn=None, outputs=[note], **js("() => ['']"))
    # Filled by the page's script with the picture's data: no path or address reaches the server.
    data = gr.Textbox(visible=False, elem_id=script.elem_id("ui_data"))
    take.click(
        fn=_picture_from_gallery,
        inputs=[data],
        outputs=[image, note],
        show_progress=False,
        **js(f"() => lafi.selectedPicture('{tab}')"),
    )


def _picture_from_gallery(data: str) -> tuple[Any, str]:
    if not data:
        return gr.update(), "The gallery is empty: generate a picture first."
    try:
        return decode("image", data), ""
    except LafiError as error:
        return gr.update(), html.escape(str(error))


def _forget() -> str:
    return f"{kept.forget() / 2**20:.0f} MiB of recorded reference tokens freed."
