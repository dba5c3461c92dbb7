"""Tags in prompts, ``<lafi:anna:1.5:left>``: which characters a pass calls, and how.

The host parses prompts and keeps what it found on `p`, for the first pass and for the hires pass.
That is read where it is needed, so nothing of ours can be older than the prompt.
"""

from __future__ import annotations

import itertools
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from modules import extra_networks, shared

from ...errors import LafiError, invalid, problem
from ...references import ENTRY
from . import metadata
from .folder import library

log = logging.getLogger("LAFI")
NAME = "lafi"
TAG = re.compile(r"<\s*lafi\b:?([^<>]*)>?", re.IGNORECASE)
# What stays in a prompt that the host could not read as a tag.
LEFT_OVER = re.compile(r"<\s*lafi\b[^<>]{0,40}>?", re.IGNORECASE)
POSITIONS = ("name", "strength", "region")
NEGATIVE = "tags do nothing in a negative prompt"
DIFFER = (
    "the pictures of one batch call different characters; make them one after another (batch "
    "count instead of batch size)"
)


@dataclass(frozen=True)
class Tag:
    """One tag.

    Attributes:
        text: as it stands in the prompt.
        strength: None where the tag says nothing of it.
        region: in words, empty for everywhere.
    """

    text: str
    name: str
    strength: float | None = None
    region: str = ""


def parse(items: Sequence[str]) -> Tag:
    """A tag from its parts, as the host has split them at colons.

    Raises:
        LafiError: what is wrong with it.
    """
    text = f"<{NAME}:{':'.join(items)}>"
    parts = [[part.strip() for part in item.partition("=")] for item in items]
    named = [(key.lower(), value) for key, sign, value in parts if sign]
    places = [each for each in POSITIONS if each not in dict(named)]
    plain = [key for key, sign, _ in parts if not sign]
    pairs = [*named, *itertools.zip_longest(places[: len(plain)], plain)]
    given = dict(pairs)
    if len(given) < len(pairs) or not given.keys() <= set(POSITIONS):
        raise _wrong(text, f"is no tag; a tag is <{NAME}:NAME:STRENGTH:REGION>")
    values: dict[str, Any] = {"name": given.get("name", ""), "region": given.get("region", "")}
    if given.get("strength"):
        values["strength"] = ENTRY["strength"][0].read(given["strength"])
    for key in ("strength", "region"):
        if key in values and (message := ENTRY[key][0].check(values[key])):
            raise _wrong(text, f"{key} {message}")
    return Tag(text, **values)


def forget(p: Any) -> None:
    """What the host has read of an earlier run of the same request: it reads the prompts anew
    before each batch, but those of the hires pass only if there is one."""
    for data in ("extra_network_data", "hr_extra_network_data"):
        if getattr(p, data, None) is not None:
            setattr(p, data, None)


def called(p: Any) -> tuple[Tag, ...]:
    """What the pass of this moment calls.

    Raises:
        LafiError: a tag is wrong.
    """
    hires = getattr(p, "is_hr_pass", False)
    return _tags(p, "hr_extra_network_data" if hires else "extra_network_data")


def expected(p: Any) -> bool:
    """Whether a prompt has a tag before anyone has changed the prompts."""
    if getattr(p, "disable_extra_networks", False):
        return False
    prompts = [*_texts(p, "all_prompts"), *_texts(p, "all_hr_prompts")]
    return any(LEFT_OVER.search(each) for each in prompts)


def calls(text: str) -> bool:
    """Whether a text calls a character when it becomes a prompt. A tag that is wrong counts, too:
    whoever checks it tells."""
    return not all(map(_is_off, TAG.findall(text)))


def _is_off(inside: str) -> bool:
    try:
        return parse(inside.split(":")).strength == 0
    except LafiError:
        return False


def check(p: Any) -> bool:
    """Whether a batch calls anyone in any of its passes; looked at before the first of them.

    Raises:
        LafiError: a tag is wrong, stands where it does nothing, or cannot be done.
    """
    if getattr(p, "disable_extra_networks", False):
        return False
    for name in ("prompts", "hr_prompts"):
        for prompt in _texts(p, name):
            if found := LEFT_OVER.search(prompt):
                raise invalid("prompt", f"{found[0]!r} is no tag; a tag is <{NAME}:NAME>")
    for name in ("negative_prompts", "hr_negative_prompts"):
        for prompt in _texts(p, name):
            if found := LEFT_OVER.search(prompt):
                raise invalid("negative prompt", f"{found[0]!r}: {NEGATIVE}")
    _refuse_different(p)
    written = [*_written(p, "extra_network_data"), *_written(p, "hr_extra_network_data")]
    tags = [tag for tag in written if tag.strength != 0]
    for tag in tags:
        _find(tag)
    for tag in written:
        if tag not in tags:
            log.info("%s has strength 0: it is off, as if it were not there.", tag.text)
    return bool(tags)


def references(tags: Sequence[Tag]) -> list[dict[str, Any]]:
    """What tags call, as `references` has it: one entry for each view.

    Raises:
        LafiError: there is no such character, or it cannot be used.
    """
    entries = []
    for tag in tags:
        character = _find(tag)
        about = character.metadata
        strength = metadata.strength(about) if tag.strength is None else tag.strength
        shared_by_views = {
            "strength": strength,
            "region": tag.region or metadata.setting(about, "region"),
            "prompt": metadata.setting(about, "prompt"),
            "name": character.name,
        }
        pictures = library().pictures(character)
        entries += [{"image": image, "mask": mask, **shared_by_views} for image, mask in pictures]
    return entries


def hashes(tags: Sequence[Tag], cutout: str) -> dict[str, str]:
    """The hash of each character that tags call."""
    background = shared.opts.img2img_background_color
    return {
        character.name: library().hash(character, background, cutout)
        for character in map(_find, tags)
    }


def _tags(p: Any, data: str) -> tuple[Tag, ...]:
    """Those that act: with a strength of 0 a tag is off, as a LoRA's is."""
    return tuple(each for each in _written(p, data) if each.strength != 0)


def _written(p: Any, data: str) -> list[Tag]:
    if getattr(p, "disable_extra_networks", False):
        return []
    kinds = (getattr(p, data, None) or {}).items()
    return [parse(each.items) for kind, params in kinds if kind.lower() == NAME for each in params]


def _find(tag: Tag) -> Any:
    try:
        return library().find(tag.name)
    except LafiError as error:
        message = error.message.removeprefix("name: ").rstrip(".")
        raise _wrong(tag.text, message, error.code) from error


def _refuse_different(p: Any) -> None:
    """Hosts take the first picture's tags for the whole batch."""
    size, number = getattr(p, "batch_size", 1), getattr(p, "iteration", 0)
    for name in ("all_prompts", "all_hr_prompts"):
        prompts = _texts(p, name)[number * size : (number + 1) * size]
        if len({_in_prompt(prompt) for prompt in prompts}) > 1:
            raise invalid("prompt", DIFFER)


def _in_prompt(prompt: str) -> tuple[tuple[str, ...], ...]:
    _, found = extra_networks.parse_prompt(prompt)
    return tuple(
        tuple(each.items)
        for kind, params in found.items()
        if kind.lower() == NAME
        for each in params
    )


def _texts(p: Any, name: str) -> list[str]:
    return [each for each in getattr(p, name, None) or () if isinstance(each, str)]


def _wrong(text: str, message: str, code: str = "invalid_settings") -> LafiError:
    end = "" if message.endswith("?") else "."
    said = problem("prompt", f"{text}: {message}")
    return LafiError(code, f"prompt: {text}: {message}{end}", problems=[said])
