"""The storyboard's run: one request of the host for each panel, then the page of them all.

Each panel is a run of LAFI's own (see run.py), which gets its reference and its line's settings as
overrides. What is left to do here: to check all lines first, to stop where the user wants, and to
keep what is done.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from modules import infotext_utils, sd_samplers, sd_schedulers, shared
from modules.processing import Processed, fix_seed, process_images

from ..errors import LafiError, invalid
from ..storyboard.panels import Panel, parse_panels
from ..storyboard.settings import StoryboardSettings, parse
from . import http, storyboard_page
from .request import STORYBOARD
from .series import ATTRIBUTE, Trace
from .storyboard_roles import Roles
from .xyz import OVERRIDES

log = logging.getLogger("LAFI")
HIRES_NEGATIVE = "Hires negative prompt"


def run(p: Any, args: Sequence[Any]) -> Processed | None:
    """Makes a storyboard; the host's request is the pattern of all panels. None where the host is
    to go on by itself.

    Raises:
        LafiError: for bad input, before anything is made; over the API as the host answers it.
    """
    try:
        if getattr(p, "txt2img_upscale", False):
            enlarge(p)
            return None
        board = Storyboard(p, args)
    except LafiError as error:
        raise http.answer(p, error) from error
    return board.make()


def enlarge(p: Any) -> None:
    """The gallery's button that enlarges a picture hands the page's own prompt over: a panel is
    enlarged by the prompt that it was made with.

    Raises:
        LafiError: the picture is a storyboard's page.
    """
    text = (getattr(p.firstpass_image, "info", None) or {}).get("parameters", "")
    said = infotext_utils.parse_generation_parameters(text, []) if text else {}
    if said.get("Script") == STORYBOARD:
        raise invalid("picture", "is the storyboard's page; choose one of its panels to enlarge")
    if not text:
        log.warning(
            "storyboard: the picture has no parameters; it is enlarged by the page's prompt."
        )
        return
    p.prompt, p.negative_prompt = said.get("Prompt", ""), said.get("Negative prompt", "")
    p.hr_prompt, p.hr_negative_prompt = said.get("Hires prompt", ""), said.get(HIRES_NEGATIVE, "")
    if getattr(shared.opts, "infotext_styles", "") != "Discard":
        # The host finds styles in a text, and leaves their words out of the prompt then.
        p.styles = said.get("Styles array", [])


@dataclass
class Made:
    """What the host made for one panel.

    Attributes:
        result: as the host answers; it holds no tensors, unlike the request.
        pictures: several with a batch size above 1.
        infotexts: as many.
        complete: whether it came to its end.
    """

    panel: Panel
    result: Processed
    pictures: list[Any]
    infotexts: list[str]
    complete: bool


class Storyboard:
    """One storyboard: checked when it is built, made by `make`.

    Attributes:
        p: the host's request, the pattern of all panels.
        roles: who is whose reference.
        first: the request of the first panel that came to its end, as the host left it.
    """

    def __init__(self, p: Any, args: Sequence[Any]) -> None:
        self.p = p
        self.settings: StoryboardSettings = parse(args)
        self.panels = parse_panels(self.settings.panels, _names())
        self.roles = Roles(p, self.settings, self.panels)
        # Of the API's requests without save_images; and the user may want no grids at all.
        self._saves = not p.do_not_save_grid and shared.opts.grid_save
        if self.settings.pdf and p.do_not_save_grid:
            raise invalid("pdf", "is a file, but the request saves none; set save_images")
        if self.settings.pdf and not self._saves:
            raise invalid("pdf", "is saved beside the page, but Settings say to save no grids")
        self.made: list[Made] = []
        self.first: Any = None
        # The panel that is the reference, and what it has left while it was made.
        self._shown: tuple[Made, Trace] | None = None

    def make(self) -> Processed:
        """The page, then all panels' pictures; those that are done where a panel fails.

        Raises:
            Exception: of a panel, where nothing is done, or over the API, which tells it no other
                way; the page of what is done is saved before.
        """
        p, failure = self.p, None
        fix_seed(p)
        # One picture stands for a panel; the page takes the place of the host's grids.
        p.n_iter, p.do_not_save_grid = 1, True
        try:
            self._make_panels()
        except Exception as error:
            if not self.complete:
                raise
            failure = error
            self._tell(error)
        finally:
            shared.state.textinfo = None
        done = self._processed()
        if failure is not None and getattr(p, "is_api", False):
            raise failure
        return done

    def _make_panels(self) -> None:
        state = shared.state
        state.job_count = len(self.panels)
        for number, panel in enumerate(self.panels):
            if state.interrupted or state.stopping_generation:
                break
            state.job = f"panel {number + 1} of {len(self.panels)}"
            state.textinfo = f"LAFI storyboard: {state.job}"
            self.made.append(self._make(panel, number))

    def _tell(self, error: Exception) -> None:
        """Of the panel that comes after those that are made, on the page and in the log."""
        line = self.panels[len(self.made)].line
        said = f"storyboard: line {line} failed, so the page ends before it: {error}"
        log.error(said, exc_info=not isinstance(error, LafiError))
        self.p.comment(f"LAFI {said}")

    def _make(self, panel: Panel, number: int) -> Made:
        p = self._request(panel, number)
        part, left = self.roles.part(p, number, self._shown[1] if self._shown else None)
        setattr(p, ATTRIBUTE, part)
        try:
            result = process_images(p)
        finally:
            setattr(p, ATTRIBUTE, None)
        first = result.index_of_first_image
        pictures, infotexts = result.images[first:], result.infotexts[first:]
        # Masks and the like, which a host adds, have no text of their own.
        texts = [*infotexts, *[""] * len(pictures)][: len(pictures)]
        stopped = shared.state.interrupted or shared.state.skipped
        made = Made(panel, result, pictures, texts, bool(pictures) and not stopped)
        if made.complete and self.first is None:
            self.first = p
        if made.complete and left is not None:
            self._shown = made, left
        return made

    def _request(self, panel: Panel, number: int) -> Any:
        """The host's request for one panel."""
        p = copy.copy(self.p)
        for shared_dict in ("extra_generation_params", "override_settings"):
            setattr(p, shared_dict, dict(getattr(p, shared_dict)))
        if self.settings.seeds == "counted":
            # As the host counts within a batch.
            counted = "subseed" if p.subseed_strength else "seed"
            setattr(p, counted, getattr(p, counted) + number * p.batch_size)
        for name, value in (self.roles.prompts(panel) | panel.request).items():
            setattr(p, name, value)
        shown = self._shown[0].pictures[0] if self._shown else None
        given = getattr(p, OVERRIDES, None) or {}
        setattr(p, OVERRIDES, {**given, **self.roles.overrides(number, shown)})
        return p

    @property
    def complete(self) -> list[Made]:
        """The panels that came to their end: those that the page shows."""
        return [each for each in self.made if each.complete]

    def _processed(self) -> Processed:
        p = self.p
        images = [picture for each in self.made for picture in each.pictures]
        infotexts = [text for each in self.made for text in each.infotexts]
        log.info("storyboard: %d of %d panels made.", len(self.complete), len(self.panels))
        drawn = storyboard_page.make(self, self._saves) if self.complete else None
        if drawn is not None:
            images.insert(0, drawn[0])
            infotexts.insert(0, drawn[1])
        return Processed(
            p,
            images,
            p.seed,
            infotexts[0] if infotexts else "",
            subseed=p.subseed,
            all_prompts=self._each("prompt", drawn),
            all_negative_prompts=self._each("negative_prompt", drawn),
            all_seeds=self._each("seed", drawn),
            all_subseeds=self._each("subseed", drawn),
            index_of_first_image=1 if drawn else 0,
            infotexts=infotexts or None,
        )

    def _each(self, name: str, page: Any) -> list[Any] | None:
        """One of the host's lists, such as all seeds, for the page, if there is one, and all
        pictures."""
        found = [
            listed[min(n, len(listed) - 1)]
            for each in self.made
            for listed in [getattr(each.result, f"all_{name}s")]
            for n in range(len(each.pictures))
        ]
        return ([getattr(self.p, name)] if page else []) + found or None


def _names() -> dict[str, dict[str, str]]:
    """The host's samplers and schedulers, from lower case to their own spelling."""
    schedulers = {
        name.lower(): each.label
        for each in sd_schedulers.schedulers
        for name in (each.name, each.label)
    }
    return {"sampler_name": dict(sd_samplers.samplers_map), "scheduler": schedulers}
