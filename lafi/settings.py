"""The settings of one run: ONE table that drives UI, API, validation, infotext, X/Y/Z and docs.

The table is `LafiSettings` itself. Its order is public: positional API arguments and saved
workflows index it. Only append.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .errors import hint, invalid, invalid_fields, problem
from .fields import Field as Field
from .kinds import BlockSet, Choice, Integer, Kind, Number, Place, Switch, Text
from .lists import Entries, Images, Masks, Views
from .references import ENTRY, WEIGHT, Character


def _setting(kind: Kind, default: Any, label: str, text: str) -> Any:
    return dataclasses.field(default=default, metadata={"table": (kind, default, label, text)})


@dataclass(frozen=True)
class LafiSettings:
    """Checked settings of one run. Build with `parse`, or directly in code that is trusted."""

    # fmt: off
    enabled: bool = _setting(
        Switch(), False, "Enable LAFI",
        "Keep the character of a reference picture.",
    )
    image: Any = _setting(
        Images(), None, "Reference image",
        "The picture whose character is kept. Transparent parts are left out.",
    )
    depth: float = _setting(
        Number(0, 100, 1, "%"), 100, "Injection depth",
        "Share of the decoder's attention blocks that see the reference, counted from the "
        "output. 100: the whole decoder, most identity. Lower: surface and texture only, "
        "freest pose. 0: off.",
    )
    cutoff: float = _setting(
        Number(0, 100, 1, "%"), 80, "Cutoff",
        "Injection ends at this share of the sampling run; the model finishes by itself. 0: "
        "off.",
    )
    start: float = _setting(
        Number(0, 100, 1, "%"), 0, "Start",
        "Injection begins at this share of the run. 5 to 15 lets the prompt settle the pose "
        "first.",
    )
    strength: float = _setting(
        WEIGHT, 3, "Strength",
        "How strongly the picture looks at the reference. 1: as much as at itself. 3: three times "
        "as much. 0: off.",
    )
    fidelity: float = _setting(
        Number(0, 1, 0.05), 1, "Fidelity",
        "How far the CFG scale amplifies the reference. 1: in full, most likeness. 0: not at all, "
        "freest. Lower it where colours burn.",
    )
    stream: str = _setting(
        Choice(("noise", "inversion", "denoise")), "inversion", "Reference stream",
        "How the reference is shown to the model. inversion: along the model's own path, nearest "
        "to the character. noise: with a fixed noise, fastest. denoise: beside the picture, "
        "slowest.",
    )
    prompt: str = _setting(
        Text(), "", "Reference prompt",
        "Describes the reference picture, not the new one: no pose words. May stay empty.",
    )
    mask: Any = _setting(
        Masks(), None, "Reference mask",
        "White: the parts of the reference to use. Without it the reference's transparency "
        "serves.",
    )
    cutout: str = _setting(
        Choice(("auto", "strict", "off")), "auto", "Cut out the figure",
        "auto: a flat or transparent background only shows where the figure ends, so that no wall "
        "or floor comes along; a mask goes before it. strict: nothing of it is seen. off: the "
        "whole picture is used.",
    )
    passes: str = _setting(
        Choice(("both", "first", "hires")), "both", "Passes",
        "Which passes see the reference when hires fix is on.",
    )
    fit: str = _setting(
        Choice(("whole", "crop", "pad", "stretch")), "whole", "Fit",
        "How the reference meets the picture's size. whole: all of it, in its own proportions, "
        "as large as fits into its region. crop: fill and cut, around the masked part. pad: all of "
        "it, edges repeated. stretch: distort.",
    )
    noise_seed: int = _setting(
        Integer(-1, 2**32 - 1, 1), -1, "Noise seed",
        "Seed of the reference's noise. -1: derived from the reference, whatever the "
        "picture's seed.",
    )
    layers: str = _setting(
        Choice(("decoder", "all")), "decoder", "Layers",
        "decoder: LAFI. all: every self-attention layer, as other methods do; for comparison.",
    )
    refresh: int = _setting(
        Integer(0, 8, 1), 0, "Refresh",
        "How many of the model's evaluations share one recording of the reference. 0: a few "
        "recordings serve the whole run. 1: a new one each time, exact and slowest. More: faster, "
        "slightly different.",
    )
    region: str = _setting(
        Place(), "", "Region",
        "Where in the new picture the reference acts. Empty: everywhere. In shares of it: across, "
        "or across and down.",
    )
    references: tuple[dict[str, Any], ...] = _setting(
        Entries(ENTRY, "reference", ("image",)), (), "Further references",
        "Other characters, each with its picture or views, region, strength, mask and prompt.",
    )
    anchor: str = _setting(
        Choice(("off", "batch")), "off", "Batch anchor",
        "batch: the first picture of a batch is the reference of the others; needs no reference "
        "image.",
    )
    views: Any = _setting(
        Views(), None, "More views",
        "Further pictures of the same character: side, back, face. Each is cut out and fitted by "
        "itself.",
    )
    blocks: str = _setting(
        BlockSet(), "", "Blocks",
        "Transformers only: which blocks see the reference, counted from 0, in place of depth and "
        "layers. Empty: by depth.",
    )
    position: str = _setting(
        Choice(("own", "beside", "none", "soft")), "own", "Position",
        "Flux and Chroma only: where the reference stands. own: at the same places. beside: to the "
        "right of the picture. none: nowhere. soft: at the same places, told apart less sharply.",
    )
    reference_size: float = _setting(
        Number(25, 100, 5, "%"), 100, "Reference size",
        "How large the reference is shown, against the side that Fit gives it. 50 takes a quarter "
        "of the memory. One that would not fit is shown smaller by itself.",
    )
    # fmt: on

    @property
    def characters(self) -> tuple[Character, ...]:
        """All that the references show: the first, if it has a picture, then `references`."""
        first = {name: getattr(self, name, "") for name in ENTRY}
        own = [Character.of("", first, self.strength, self.views)]
        entries = enumerate(self.references)
        more = (Character.of(f"references[{i}].", each, self.strength) for i, each in entries)
        return tuple(each for each in (*own, *more) if each.pictures)

    @property
    def acts(self) -> bool:
        """Whether anything would be injected at all (the first promise: else nothing changes)."""
        sites = self.depth > 0 or self.layers == "all" or bool(self.blocks)
        weights = [each.strength for each in self.characters]
        weights += [self.strength] * (self.anchor == "batch")
        return self.enabled and sites and self.cutoff > 0 and any(weights)

    def changed(self) -> dict[str, Any]:
        """The fields that differ from their defaults, pictures and `enabled` left out."""
        return {
            field.name: value
            for field in FIELDS
            if field.stored
            for value in [getattr(self, field.name)]
            if value != field.default
        }


FIELDS = tuple(
    Field(each.name, *each.metadata["table"]) for each in dataclasses.fields(LafiSettings)
)
BY_NAME = {field.name: field for field in FIELDS}

# A part of a field, as overrides name it.
PART = re.compile(r"(references)\[(\d{1,4})\]\.(\w+)")

# Settings of former versions: what a request that still names one is told.
FORMER = {"rows": "is not a setting any more; use fidelity: 0 for both, 1 for positive"}


def parse(
    args: Sequence[Any], overrides: Mapping[str, Any] | None = None, called: bool = False
) -> LafiSettings:
    """Settings from a script's arguments: one dict of fields, or values in the table's order.

    A dict that leaves `enabled` out is enabled: who names LAFI in a request wants it.

    Args:
        args: what the WebUI hands over. After a dict come the other fields' values, as defaults or
            from an infotext; the dict goes before them.
        overrides: fields that X/Y/Z or another extension sets, on top; also parts of them, such as
            ``references[0].strength``.
        called: whether references come from elsewhere as well: a prompt's tags.

    Raises:
        LafiError: `invalid_settings`, with a problem for every wrong field.
    """
    if len(args) > len(FIELDS):
        message = f"{len(args)} positional arguments, at most {len(FIELDS)} are known"
        raise invalid("args", message)
    values = {field.name: value for field, value in zip(FIELDS, args, strict=False)}
    if args and isinstance(args[0], Mapping):
        values |= {"enabled": True} | dict(args[0])
    for name, value in (overrides or {}).items():
        part = PART.fullmatch(name)
        values |= {name: value} if part is None else _with_part(values, part, value)
    return validate(values, called)


def _with_part(values: Mapping[str, Any], part: re.Match[str], value: Any) -> dict[str, Any]:
    """The field that `part` names, one field of one of its entries replaced."""
    field, index, inner = part[1], int(part[2]), part[3]
    entries = values.get(field) or ()
    if not isinstance(entries, (list, tuple)) or len(entries) <= index:
        raise invalid(f"{field}[{index}]", "is not there, so it has nothing to change")
    changed = list(entries)
    if isinstance(changed[index], Mapping):
        changed[index] = {**changed[index], inner: value}
    return {field: changed}


def validate(values: Mapping[str, Any], called: bool = False) -> LafiSettings:
    """Settings from values by name; references may come from elsewhere as well (`called`).

    Raises:
        LafiError: `invalid_settings`, with a problem for every wrong field.
    """
    problems = [_unknown(name) for name in values if name not in BY_NAME]
    known = {BY_NAME[name]: value for name, value in values.items() if name in BY_NAME}
    for field, value in known.items():
        problems += [problem(field.name + at, what) for at, what in field.kind.faults(value)]
    if not problems:
        settings = LafiSettings(**{each.name: each.kind.clean(v) for each, v in known.items()})
        problems = list(_contradictions(settings, called))
    if problems:
        raise invalid_fields(problems)
    return settings


def schema() -> dict[str, Any]:
    """The settings as a JSON schema, for API clients."""
    return {
        "title": "LAFI",
        "type": "object",
        "additionalProperties": False,
        "properties": {field.name: field.schema() for field in FIELDS},
    }


def _contradictions(settings: LafiSettings, called: bool) -> Iterable[dict[str, Any]]:
    if not settings.enabled:
        return
    pictures = settings.image or settings.views
    if not (pictures or settings.references or called) and settings.anchor == "off":
        yield problem("image", "is missing; give a reference image, or disable LAFI")
    elif not pictures:
        # They belong to the first reference alone.
        for name in ("mask", "region", "prompt"):
            if getattr(settings, name):
                yield problem(name, "is of the reference image, and there is none")
    for each in settings.characters:
        if len(each.masks) > len(each.pictures):
            message = f"has {len(each.masks)} pictures, for {len(each.pictures)} of the character"
            yield problem(f"{each.where}mask", message)
    if 0 < settings.cutoff <= settings.start:
        message = f"must be below cutoff ({settings.cutoff:g}), else nothing is injected"
        yield problem("start", message)


def _unknown(name: Any) -> dict[str, Any]:
    if name in FORMER:
        return problem(name, FORMER[name])
    return problem(name, "is not a setting" + hint(name, BY_NAME))
