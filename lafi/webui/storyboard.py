"""The storyboard's run: one request of the host for each panel, then the page of them all.

Each panel is a run of LAFI's own (see run.py), which gets its reference and its line's settings as
overrides. What is left to do here: to check all lines first, to stop where the user wants, and to
keep what is done.
"""

from __future__ import annotations

import copy
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from modules import extra_networks, sd_samplers, sd_schedulers, shared
from modules.processing import Processed, fix_seed, process_images

from ..errors import LafiError, invalid
from ..settings import LafiSettings
from ..settings import parse as parse_lafi
from ..storyboard.panels import Panel, parse_panels
from ..storyboard.settings import StoryboardSettings, parse
from . import http, storyboard_page
from .characters import tags
from .request import NAME
from .xyz import OVERRIDES

log = logging.getLogger("LAFI")
# How a prompt calls a character of the library.
TAG = re.compile(r"<\s*lafi\b", re.IGNORECASE)
# How Dynamic Prompts and others write what they choose later.
WILDCARD = re.compile(r"[{}]|__")
# Stands for a picture that is still to be made; a mask and views belong to one that was loaded.
LATER = {"image": "a picture", "mask": None, "views": None}


def run(p: Any, args: Sequence[Any]) -> Processed:
    """Makes a storyboard; the host's request is the pattern of all panels.

    Raises:
        LafiError: for bad input, before anything is made; over the API as the host answers it.
    """
    try:
        board = Storyboard(p, args)
    except LafiError as error:
        raise http.answer(p, error) from error
    return board.make()


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
        lafi: LAFI's settings for all panels, with a stand-in for the reference.
        first: the request of the first panel that came to its end, as the host left it.
    """

    def __init__(self, p: Any, args: Sequence[Any]) -> None:
        self.p = p
        self.settings: StoryboardSettings = parse(args)
        self.panels = parse_panels(self.settings.panels, _names())
        self._args = _lafi_args(p)
        # With a reference the settings are checked as the panels will use them.
        self.lafi: LafiSettings = parse_lafi(self._args, LATER)
        self._loaded = bool(parse_lafi(self._args, {"enabled": False}).characters)
        for panel in self.panels:
            self._check(panel)
        # Of the API's requests without save_images.
        self._saves = not p.do_not_save_grid
        if self.settings.pdf and not self._saves:
            raise invalid("pdf", "is a file, but the request saves none; set save_images")
        self.made: list[Made] = []
        self.first: Any = None

    @property
    def has_reference(self) -> bool:
        """Whether LAFI's own accordion, or the request, is on and has a picture."""
        return self.lafi.enabled and self._loaded

    def _check(self, panel: Panel) -> None:
        """LAFI's settings for one panel.

        Raises:
            LafiError: naming the line.
        """
        own = self.settings.reference == "loaded" and not TAG.search(self._prompt(panel))
        shown = {} if own else {"enabled": True, **LATER}
        try:
            parse_lafi(self._args, {**shown, **panel.settings})
            self._check_tags(panel)
        except LafiError as error:
            raise invalid(f"line {panel.line}", error.message.removesuffix(".")) from error

    def _check_tags(self, panel: Panel) -> None:
        """Whether the library has the characters that a panel names; what a wildcard will name is
        not known yet.

        Raises:
            LafiError: a tag is wrong.
        """
        if WILDCARD.search(self._prompt(panel)):
            return
        prompt, networks = extra_networks.parse_prompt(self._prompt(panel))
        negative = _join(self.p.negative_prompt, panel.negative_prompt)
        asked = {"prompts": [prompt], "negative_prompts": [negative]}
        tags.check(SimpleNamespace(**asked, extra_network_data=networks))

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
        result = process_images(p)
        first = result.index_of_first_image
        pictures, infotexts = result.images[first:], result.infotexts[first:]
        # Masks and the like, which a host adds, have no text of their own.
        texts = [*infotexts, *[""] * len(pictures)][: len(pictures)]
        stopped = shared.state.interrupted or shared.state.skipped
        complete = bool(pictures) and not stopped
        if complete and self.first is None:
            self.first = p
        return Made(panel, result, pictures, texts, complete)

    def _request(self, panel: Panel, number: int) -> Any:
        """The host's request for one panel."""
        p = copy.copy(self.p)
        for shared_dict in ("extra_generation_params", "override_settings"):
            setattr(p, shared_dict, dict(getattr(p, shared_dict)))
        p.prompt = self._prompt(panel)
        p.negative_prompt = _join(p.negative_prompt, panel.negative_prompt)
        # Prompts of their own for the hires pass; without one the host takes the panel's.
        if getattr(p, "hr_prompt", ""):
            p.hr_prompt = _join(p.hr_prompt, panel.prompt, self.settings.ending)
        if getattr(p, "hr_negative_prompt", ""):
            p.hr_negative_prompt = _join(p.hr_negative_prompt, panel.negative_prompt)
        if self.settings.seeds == "counted":
            # As the host counts within a batch.
            counted = "subseed" if p.subseed_strength else "seed"
            setattr(p, counted, getattr(p, counted) + number * p.batch_size)
        for name, value in panel.request.items():
            setattr(p, name, value)
        given = getattr(p, OVERRIDES, None) or {}
        setattr(p, OVERRIDES, {**given, **self._reference(p.prompt), **panel.settings})
        return p

    def _prompt(self, panel: Panel) -> str:
        return _join(self.p.prompt, panel.prompt, self.settings.ending)

    def _reference(self, prompt: str) -> dict[str, Any]:
        """LAFI's fields that decide whom a panel is to show."""
        if self.settings.reference == "loaded" or TAG.search(prompt):
            return {}
        done = self.complete
        if not done:
            acts = self.has_reference or self.lafi.anchor != "off"
            return {} if acts else {"enabled": False}
        shown = done[0 if self.settings.reference == "first" else -1]
        # The mask and the views belong to the picture that was loaded.
        return {"enabled": True, "image": shown.pictures[0], "mask": None, "views": None}

    @property
    def complete(self) -> list[Made]:
        """The panels that came to their end: those that the page shows."""
        return [each for each in self.made if each.complete]

    def _processed(self) -> Processed:
        p = self.p
        images = [picture for each in self.made for picture in each.pictures]
        infotexts = [text for each in self.made for text in each.infotexts]
        log.info("storyboard: %d of %d panels made.", len(self.complete), len(self.panels))
        if self.complete:
            page, text = storyboard_page.make(self, self._saves)
            images.insert(0, page)
            infotexts.insert(0, text)
        return Processed(
            p,
            images,
            p.seed,
            infotexts[0] if infotexts else "",
            subseed=p.subseed,
            all_prompts=self._each("prompt"),
            all_negative_prompts=self._each("negative_prompt"),
            all_seeds=self._each("seed"),
            all_subseeds=self._each("subseed"),
            index_of_first_image=1 if self.complete else 0,
            infotexts=infotexts or None,
        )

    def _each(self, name: str) -> list[Any] | None:
        """One of the host's lists, such as all seeds, for the page and all pictures."""
        found = [
            listed[min(n, len(listed) - 1)]
            for each in self.made
            for listed in [getattr(each.result, f"all_{name}s")]
            for n in range(len(each.pictures))
        ]
        return ([getattr(self.p, name)] if self.complete else []) + found or None


def _join(*parts: str) -> str:
    return " ".join(part.strip() for part in parts if part.strip())


def _names() -> dict[str, dict[str, str]]:
    """The host's samplers and schedulers, from lower case to their own spelling."""
    schedulers = {
        name.lower(): each.label
        for each in sd_schedulers.schedulers
        for name in (each.name, each.label)
    }
    return {"sampler_name": dict(sd_samplers.samplers_map), "scheduler": schedulers}


def _lafi_args(p: Any) -> Sequence[Any]:
    """LAFI's own arguments in the host's request.

    Raises:
        LafiError: LAFI's script does not run in it, so no panel could have a reference.
    """
    for script in p.scripts.alwayson_scripts:
        if script.title().lower() == NAME:
            return p.script_args[script.args_from : script.args_to]
    raise LafiError(
        "unsupported_host",
        "this WebUI does not run LAFI's own script beside the storyboard.",
        "Switch LAFI on in Settings > Extensions.",
    )
