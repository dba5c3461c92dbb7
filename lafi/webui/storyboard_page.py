"""The storyboard's page: drawn with the host's font, described, and saved where its grids go."""

from __future__ import annotations

import copy
import logging
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modules import images, shared
from modules.processing import create_infotext
from PIL import ImageFont

from ..storyboard.lettering import Fonts, lacking
from ..storyboard.page import Layout, draw_page
from ..storyboard.settings import BY_NAME, FIELDS, StoryboardSettings
from . import infotext
from .options import overridden
from .request import STORYBOARD

if TYPE_CHECKING:
    from PIL import Image

    from .storyboard import Storyboard

log = logging.getLogger("LAFI")
# What the host calls a selectable script in its text; pasting selects it.
SCRIPT = "Script"
# Fonts of Windows, macOS and Linux with Chinese, Japanese, Korean; and with most other scripts.
FALLBACKS = (
    *("msyh.ttc", "YuGothM.ttc", "malgun.ttf", "PingFang.ttc", "NotoSansCJK-Regular.ttc"),
    *("arial.ttf", "Arial Unicode.ttf", "DejaVuSans.ttf"),
)
TRIAL = 20
# Dots per inch: of a PDF's paper size alone.
RESOLUTION = 150
# What a line may have changed, and the page's own text takes from the request.
OWN = (
    *("prompt", "negative_prompt", "seed", "subseed", "subseed_strength", "steps", "cfg_scale"),
    *("width", "height", "sampler_name", "scheduler", "denoising_strength"),
    *("restore_faces", "tiling", "seed_resize_from_w", "seed_resize_from_h"),
)


def make(board: Storyboard, saves: bool) -> tuple[Image.Image, str] | None:
    """The page of the panels that are complete, and its infotext; None where nothing could be
    drawn. What goes wrong takes nobody's panels away: it is said below the pictures and in the log.

    Args:
        saves: whether to write it to the disk, too.
    """
    try:
        page, text = _draw(board)
    except Exception as error:
        _tell(board, "the page could not be drawn", error)
        return None
    if saves:
        try:
            _save(board, page, text)
        except Exception as error:
            _tell(board, "the page could not be saved", error)
    return page, text


def _tell(board: Storyboard, what: str, error: Exception) -> None:
    said = f"LAFI storyboard: {what}: {type(error).__name__}: {error}"
    log.error(said, exc_info=error)
    board.p.comment(said)


def _draw(board: Storyboard) -> tuple[Image.Image, str]:
    settings, done = board.settings, board.complete
    layout = Layout(
        *(settings.columns, settings.gutter, settings.margin, settings.border),
        *(settings.captions, settings.title),
    )
    captions = [each.panel.caption for each in done]
    fonts = _fonts(" ".join([settings.title, *captions]))
    page = draw_page([each.pictures[0] for each in done], captions, layout, fonts)
    text = _infotext(board)
    if shared.opts.enable_pnginfo:
        page.info["parameters"] = text
    return page, text


def _fonts(text: str) -> Fonts:
    """The host's font; where that lacks characters, the first of the system that has them all."""
    lacks = lacking(images.get_font(TRIAL), text)
    for name in FALLBACKS if lacks else ():
        try:
            lacks_too = lacking(ImageFont.truetype(name, TRIAL), text)
        except OSError:  # not on this system
            continue
        if not lacks_too:
            return partial(ImageFont.truetype, name)
    if lacks:
        log.warning("storyboard: the font has no picture of %s; see Settings, font.", lacks)
    fonts: Fonts = images.get_font
    return fonts


def _save(board: Storyboard, page: Image.Image, text: str) -> None:
    p, settings = board.p, board.settings
    short = not shared.opts.grid_extended_filename
    path, _ = images.save_image(
        *(page, p.outpath_grids, "storyboard", p.seed, p.prompt, "png", text),
        short_filename=short,
        p=p,
        grid=True,
    )
    log.info("storyboard: the page is %s.", path)
    if settings.pdf:
        beside = Path(path).with_suffix(".pdf")
        page.save(
            beside, "PDF", resolution=RESOLUTION, quality=95, title=settings.title or STORYBOARD
        )


def _infotext(board: Storyboard) -> str:
    """What makes the same storyboard again: the request's parameters, LAFI's and the script's."""
    p = copy.copy(board.first)
    for name in OWN:
        if hasattr(board.p, name):
            setattr(p, name, getattr(board.p, name))
    params = infotext.without(p.extra_generation_params)
    if any(infotext.VERSION in each.result.extra_generation_params for each in board.complete):
        lafi = board.roles.lafi
        own = infotext.describe(lafi, [[""] for _ in lafi.characters])
        params |= {key: text for key, text in own.items() if not key.startswith(infotext.REFERENCE)}
        params |= _references(board)
    p.extra_generation_params = params | {SCRIPT: STORYBOARD} | describe(board.settings)
    negative = [p.negative_prompt]
    with overridden(p.override_settings):
        return create_infotext(
            p, [p.prompt], [p.seed], [p.subseed], index=0, all_negative_prompts=negative
        )


def _references(board: Storyboard) -> dict[str, str]:
    """What is said of references that were loaded; one that is a panel nobody has to load."""
    said = board.first.extra_generation_params if board.roles.has_reference else {}
    return {key: text for key, text in said.items() if key.startswith(infotext.REFERENCE)}


def describe(settings: StoryboardSettings) -> dict[str, str]:
    """The settings by their infotext's key, what is as it is by default left out."""
    changed = settings.changed().items()
    return {
        BY_NAME[name].infotext: infotext.write(BY_NAME[name].kind, value) for name, value in changed
    }


def on_infotext_pasted(text: str, params: dict[str, Any]) -> None:
    """Completes a page's parsed infotext, so that pasting it sets all of the storyboard's controls.

    Any other text leaves them as they are. A value that cannot be used is replaced by its default.
    """
    if params.get(SCRIPT) != STORYBOARD:
        return
    for field in FIELDS:
        found = infotext.find(params, field.infotext)
        value = field.default if found is None else field.kind.read(found)
        if problem := field.kind.check(value):
            log.warning("pasted infotext: %s: %s; the default is used.", field.infotext, problem)
            value = field.default
        params[field.infotext] = field.kind.write(value)
