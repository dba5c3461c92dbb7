"""Who is whose reference in a storyboard, and whether its lines can be done: known before anything
is made, as far as no panel is skipped.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

from modules import extra_networks, shared

from ..errors import LafiError, invalid
from ..settings import LafiSettings
from ..settings import parse as parse_lafi
from ..storyboard.panels import Panel
from ..storyboard.settings import StoryboardSettings
from . import checks, kept, options
from .characters import metadata, tags
from .characters.folder import library
from .request import NAME
from .series import Part, Trace, together

# How Dynamic Prompts and others write what they choose later.
WILDCARD = re.compile(r"[{}]|__")
# Stands for a picture that is still to be made; a mask and views belong to one that was loaded.
LATER = {"image": "a picture", "mask": None, "views": None}
KEEPS_NOTHING = "the WebUI keeps no recordings (Settings > LAFI)"


class Roles:
    """Of all panels; checked when it is built.

    Args:
        p: the host's request, the pattern of all panels.
        settings: of the storyboard.
        panels: its lines.

    Attributes:
        lafi: LAFI's settings for all panels, with a stand-in for the reference.

    Raises:
        LafiError: naming the line, where there is one.
    """

    def __init__(self, p: Any, settings: StoryboardSettings, panels: Sequence[Panel]) -> None:
        self.p, self.settings, self.panels = p, settings, panels
        self._args = _lafi_args(p)
        # With a reference the settings are checked as the panels will use them.
        self.lafi: LafiSettings = parse_lafi(self._args, LATER)
        self._loaded = bool(parse_lafi(self._args, {"enabled": False}).characters)
        self._asked = [self._checked(number) for number in range(len(panels))]

    @property
    def has_reference(self) -> bool:
        """Whether LAFI's own accordion, or the request, is on and has a picture."""
        return self.lafi.enabled and self._loaded

    # ---- prompts ------------------------------------------------------------------------------

    def prompts(self, panel: Panel) -> dict[str, str]:
        """A panel's, by the host's names. The hires pass has its own where the request has: without
        one the host takes the panel's."""
        p, ending = self.p, self.settings.ending
        found = {
            "prompt": _join(p.prompt, panel.prompt, ending),
            "negative_prompt": _join(p.negative_prompt, panel.negative_prompt),
        }
        if getattr(p, "hr_prompt", ""):
            found["hr_prompt"] = _join(p.hr_prompt, panel.prompt, ending)
        if getattr(p, "hr_negative_prompt", ""):
            found["hr_negative_prompt"] = _join(p.hr_negative_prompt, panel.negative_prompt)
        return found

    def _calls(self, panel: Panel) -> bool:
        """Whether a panel's own prompt, or a style of the host's, names a character."""
        styles = getattr(self.p, "styles", None) or []
        table = getattr(shared, "prompt_styles", None)
        written = table.get_style_prompts(styles) if styles and table else []
        return any(map(tags.calls, (self.prompts(panel)["prompt"], *written)))

    # ---- before anything is made --------------------------------------------------------------

    def _checked(self, number: int) -> LafiSettings:
        """A panel's settings of LAFI's.

        Raises:
            LafiError: naming the line.
        """
        panel = self.panels[number]
        try:
            self._check_tags(panel)
            calls = self._calls(panel)
            given = self._given(number, LATER["image"] if self._earlier(number) else None)
            guessed = calls or WILDCARD.search(self.prompts(panel)["prompt"]) is not None
            asked = parse_lafi(self._args, {**given, **panel.settings}, guessed)
            if not guessed:
                self._refuse_idle(panel, asked, number)
            if asked.enabled:
                hires = getattr(self.p, "enable_hr", False)
                one = SimpleNamespace(batch_size=self.p.batch_size, n_iter=1, enable_hr=hires)
                checks.check(asked, one)
        except LafiError as error:
            raise invalid(f"line {panel.line}", error.message.removesuffix(".")) from error
        return asked

    def _refuse_idle(self, panel: Panel, asked: LafiSettings, number: int) -> None:
        """Settings that would do nothing are a mistake.

        Raises:
            LafiError: naming them.
        """
        idle = ", ".join(f"--{name}" for name in panel.settings if name != "enabled")
        if not idle or (asked.enabled and (asked.characters or asked.anchor != "off")):
            return
        if panel.settings.get("enabled") is False:
            why = "it has --enabled false"
        elif self.settings.reference == "loaded":
            why = "LAFI is off"
        else:
            why = "it is the first, which the others refer to"
        raise invalid(idle, f"does nothing where no reference acts; {why}")

    def _check_tags(self, panel: Panel) -> None:
        """Whether the library has the characters that a panel names; what a wildcard will name is
        not known yet.

        Raises:
            LafiError: a tag is wrong, or a strength beside it has no say.
        """
        texts = self.prompts(panel)
        asked: dict[str, Any] = {
            "negative_prompts": [texts["negative_prompt"]],
            "hr_negative_prompts": [texts.get("hr_negative_prompt", "")],
        }
        for name, data in (
            ("prompt", "extra_network_data"),
            ("hr_prompt", "hr_extra_network_data"),
        ):
            text = texts.get(name, "")
            if not WILDCARD.search(text):
                plain, asked[data] = extra_networks.parse_prompt(text)
                asked[name + "s"] = [plain]
        if getattr(self.p, "disable_extra_networks", False):
            return
        tags.check(SimpleNamespace(**asked))
        called = tags.called(SimpleNamespace(**asked))
        if called and "strength" in panel.settings and all(map(_has_strength, called)):
            shown = ", ".join(each.text for each in called)
            raise invalid(
                "--strength", f"does nothing: the prompt or the library gives {shown} one"
            )

    # ---- references ---------------------------------------------------------------------------

    def takes_part(self, number: int) -> bool:
        """Whether a panel may be another's reference: not if its line switches LAFI off."""
        panel = self.panels[number]
        return panel.settings.get("enabled") is not False or self._calls(panel)

    def _follows(self, number: int) -> bool:
        """Whether a panel's reference is another panel, if there is one."""
        loaded = self.settings.reference == "loaded"
        return not loaded and self.takes_part(number) and not self._calls(self.panels[number])

    def _earlier(self, number: int) -> bool:
        """Whether a panel has another as its reference, if none is skipped."""
        return self._follows(number) and any(map(self.takes_part, range(number)))

    def overrides(self, number: int, shown: Any) -> dict[str, Any]:
        """LAFI's fields that decide whom a panel is to show, and those of its line.

        Args:
            shown: the picture of the panel that is the reference; None where none is made yet.
        """
        return self._given(number, shown) | self.panels[number].settings

    def _given(self, number: int, shown: Any) -> dict[str, Any]:
        if self.settings.reference == "loaded" or self._calls(self.panels[number]):
            return {}
        if shown is None:
            acts = self.has_reference or self.lafi.anchor != "off"
            return {} if acts else {"enabled": False}
        # The mask and the views belong to the picture that was loaded.
        return {"enabled": True, "image": shown, "mask": None, "views": None}

    def part(self, p: Any, number: int, shown: Trace | None) -> tuple[Part, Trace | None]:
        """What a panel does in the series, and what it leaves there; None where it is no reference.

        Args:
            p: its request.
            shown: what the panel has left that is the reference; None where none is made yet.
        """
        sees = shown if self._follows(number) else None
        taken = shown is not None and self.settings.reference != "last"
        if taken or self.settings.reference == "loaded" or not self.takes_part(number):
            return Part(p, None, sees), None
        wanted, keeps = self._those_after(number), options.value(options.REPLAY)
        asked = together(wanted) if wanted else self.lafi
        trace = Trace(asked, kept.own_bank, "" if keeps else KEEPS_NOTHING)
        return Part(p, trace if wanted and keeps else None, sees), trace

    def _those_after(self, number: int) -> list[LafiSettings]:
        """The settings of the panels that may see what a panel leaves, in its full size."""
        later = [each for each in range(number + 1, len(self.panels)) if self.takes_part(each)]
        if self.settings.reference == "last":
            later = later[:1]
        asked = [self._asked[each] for each in later if self._follows(each)]
        return [each for each in asked if each.acts and each.reference_size == 100]


def _has_strength(tag: Any) -> bool:
    return (
        tag.strength is not None or metadata.strength(library().find(tag.name).metadata) is not None
    )


def _join(*parts: str) -> str:
    return " ".join(part.strip() for part in parts if part.strip())


def _lafi_args(p: Any) -> Sequence[Any]:
    """LAFI's own arguments in the host's request.

    Raises:
        LafiError: LAFI's script does not run in it, so no panel could have a reference.
    """
    for script in p.scripts.alwayson_scripts:
        if script.title().lower() == NAME:
            args: Sequence[Any] = p.script_args[script.args_from : script.args_to]
            return args
    raise LafiError(
        "unsupported_host",
        "this WebUI does not run LAFI's own script beside the storyboard.",
        "Switch LAFI on in Settings > Extensions.",
    )
