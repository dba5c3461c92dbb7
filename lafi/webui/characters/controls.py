"""The accordion's part of the library: save as a character, find by hash, cut out."""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import gradio as gr
from modules import shared

from ...errors import LafiError, invalid
from ...settings import BY_NAME
from .. import infotext
from ..decode import decode
from ..figure import find_figure
from . import metadata, names, writing
from .folder import library
from .tags import NAME

# The controls that are saved with a picture, in the order of `save`.
SAVED = ("image", "mask", "strength", "region", "prompt", "views")
SAVE, FIND, CUT = "Save as character", "Find by hash", "Cut out the figure of the reference"


def build(
    script: Any, controls: Mapping[str, Any], note: Any, tab: str, js: Callable[[str], dict]
) -> list[tuple[Any, Any]]:
    """The controls and their events; what they add to the host's infotext fields.

    Args:
        controls: the settings' controls by name.
        note: the line that answers.
        js: the argument that gives an event a JavaScript function.
    """
    with gr.Row():
        name = gr.Textbox(
            label="Name of the character",
            placeholder="anna",
            elem_id=script.elem_id("ui_character"),
        )
        save_it = gr.Button(SAVE, elem_id=script.elem_id("ui_save"))
    with gr.Row():
        find_it = gr.Button(FIND, elem_id=script.elem_id("ui_find"))
        cut_it = gr.Button(CUT, elem_id=script.elem_id("ui_cut_out"))
    name.do_not_save_to_config = True
    # Filled by the page's script, and by a pasted picture's parameters. With a value of its own:
    # hosts make what is pasted of the value's type, and gradio 4's is else none.
    data, pasted = (
        gr.Textbox("", visible=False, elem_id=script.elem_id(f"ui_{each}"))
        for each in ("save_data", "pasted")
    )
    saved = [controls[each] for each in SAVED]
    given = ", ".join(("name", *SAVED))
    save_it.click(
        fn=save,
        inputs=[name, *saved, data],
        outputs=[note],
        show_progress=False,
        **js(
            f"async ({given}) => [{given}, "
            f"...(image || views?.length ? [''] : await lafi.selectedPicture('{tab}'))]"
        ),
    )
    find_it.click(
        fn=find,
        inputs=[pasted, controls["cutout"]],
        outputs=[controls["image"], controls["mask"], note],
        show_progress=False,
    )
    cut_it.click(fn=cut, inputs=[controls["image"]], outputs=[controls["mask"], note])
    return [(pasted, lambda params: params.get(infotext.REFERENCE, ""))]


def save(
    name: str,
    image: Any,
    mask: Any,
    strength: float,
    region: str,
    prompt: str,
    views: Any,
    data: str,
) -> str:
    """Saves the loaded reference with all its views, else the gallery's picture, under a new name;
    what to say."""
    try:
        name = names.clean(name, "name of the character")
        loaded = [each for each in (image, *(views or ())) if each is not None]
        if not loaded and not data:
            raise invalid("image", "is missing; load a reference, or generate a picture first")
        about = _metadata(strength, region, prompt) if loaded else {}
        # The mask is of the first, as in a run.
        masks = [mask] + [None] * len(loaded)
        saved = list(zip(loaded, masks, strict=False)) or [(data, None)]
        writing.save(library(), name, saved, about, new=True)
    except LafiError as error:
        return html.escape(str(error))
    tag = html.escape(f"<{NAME}:{name}>")
    return f"Saved: write {tag} into the prompt, or refresh the page Characters and click its card."


def find(hashes: str, cutout: str) -> Sequence[Any]:
    """The picture that a pasted text's reference names: image, mask and what to say."""
    nothing = [gr.update(), gr.update()]
    wanted = set((hashes or "").split())
    if not wanted:
        return [*nothing, "Paste a picture's generation parameters first: they name its reference."]
    try:
        found = library().by_hash(wanted, shared.opts.img2img_background_color, cutout)
        if found is None:
            return [*nothing, "No character of the library has this picture."]
        character, view = found
        image, mask = library().picture(view)
        said = f"Found: it is {character.name} of the library."
        return [decode("image", image), mask and decode("mask", mask), html.escape(said)]
    except LafiError as error:
        return [*nothing, html.escape(str(error))]


def cut(image: Any) -> Sequence[Any]:
    """A mask of the reference's figure, and what to say."""
    if image is None:
        return [gr.update(), "Load a reference first."]
    try:
        mask, maker = find_figure(decode("image", image))
    except LafiError as error:
        return [gr.update(), html.escape(str(error))]
    return [mask, html.escape(f"Cut out by {maker}; the mask shows what is used.")]


def _metadata(strength: float, region: str, prompt: str) -> dict[str, Any]:
    """What of the accordion's settings belongs to the character."""
    own = {key: text.strip() for key, text in (("region", region), ("prompt", prompt)) if text}
    about: dict[str, Any] = {metadata.OWN: own} if own else {}
    if strength != BY_NAME["strength"].default:
        about[metadata.WEIGHT] = strength
    return about
