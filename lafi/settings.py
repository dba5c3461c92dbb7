"""The settings of one run: ONE table that drives UI, API, validation, infotext, X/Y/Z and docs.

The order of `FIELDS` is public: positional API arguments and saved workflows index it. Only append.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from .errors import invalid_fields


@dataclass(frozen=True)
class Field:
    """One setting. `kind` is bool, number, integer, choice, text or image."""

    name: str
    kind: str
    default: Any
    label: str
    help: str
    minimum: float | None = None
    maximum: float | None = None
    step: float | None = None
    unit: str = ""
    choices: tuple[str, ...] = ()

    @property
    def infotext(self) -> str:
        """Key under which the value stands in a picture's generation parameters."""
        return "LAFI " + self.name.replace("_", " ")

    def check(self, value: Any) -> str | None:
        """What is wrong with `value`, or None."""
        return _CHECKS[self.kind](self, value)

    def schema(self) -> dict[str, Any]:
        """This field as a JSON schema property."""
        kinds: dict[str, dict[str, Any]] = {
            "bool": {"type": "boolean"},
            "number": {"type": "number", "minimum": self.minimum, "maximum": self.maximum},
            "integer": {"type": "integer", "minimum": self.minimum, "maximum": self.maximum},
            "choice": {"type": "string", "enum": list(self.choices)},
            "text": {"type": "string"},
            "image": {"type": ["string", "null"], "contentEncoding": "base64"},
        }
        about = {"title": self.label, "description": self.help, "default": self.default}
        return about | kinds[self.kind]


FIELDS = (
    Field("enabled", "bool", False, "Enable LAFI", "Keep the character of a reference picture."),
    Field(
        "image", "image", None, "Reference image",
        "The picture whose character is kept. Transparent parts are left out.",
    ),
    Field(
        "depth", "number", 100, "Injection depth",
        "Share of the decoder's attention blocks that see the reference, counted from the output. "
        "100: the whole decoder, most identity. Lower: surface and texture only, freest pose. "
        "0: off.", 0, 100, 1, "%",
    ),
    Field(
        "cutoff", "number", 80, "Cutoff",
        "Injection ends at this share of the sampling run; the model finishes by itself. 0: off.",
        0, 100, 1, "%",
    ),
    Field(
        "start", "number", 0, "Start",
        "Injection begins at this share of the run. 5 to 15 lets the prompt settle the pose first.",
        0, 100, 1, "%",
    ),
    Field(
        "strength", "number", 1, "Strength",
        "Weight of the reference in the attention. 1: as strong as the picture's own content. "
        "0: off.", 0, 4, 0.05,
    ),
    Field(
        "stream", "choice", "noise", "Reference stream",
        "How the reference is brought to each noise level. noise: one fixed noise, fastest. "
        "inversion: the model's own path back from the reference, once per run. "
        "denoise: denoised beside the picture.",
        choices=("noise", "inversion", "denoise"),
    ),
    Field(
        "rows", "choice", "both", "Rows",
        "both: prompt and negative prompt see the reference. positive: only the prompt does; "
        "stronger, as CFG then amplifies the reference.", choices=("both", "positive"),
    ),
    Field(
        "prompt", "text", "", "Reference prompt",
        "Describes the reference picture, not the new one: no pose words. May stay empty.",
    ),
    Field(
        "mask", "image", None, "Reference mask",
        "White: the parts of the reference to use. Without it the reference's transparency serves.",
    ),
    Field(
        "passes", "choice", "both", "Passes",
        "Which passes see the reference when hires fix is on.",
        choices=("both", "first", "hires"),
    ),
    Field(
        "fit", "choice", "crop", "Fit",
        "How the reference meets the picture's size. crop: fill and cut. pad: all of it, edges "
        "repeated. stretch: distort.", choices=("crop", "pad", "stretch"),
    ),
    Field(
        "noise_seed", "integer", -1, "Noise seed",
        "Seed of the reference's noise. -1: derived from the reference, whatever the picture's "
        "seed.", -1, 2**32 - 1, 1,
    ),
    Field(
        "layers", "choice", "decoder", "Layers",
        "decoder: LAFI. all: every self-attention layer, as other methods do; for comparison.",
        choices=("decoder", "all"),
    ),
    Field(
        "refresh", "integer", 1, "Refresh",
        "Record the reference once for so many evaluations, at the noise level in their middle. "
        "1: exact. More: a faster first picture, slightly different; below 12 steps stay at 1 or "
        "2.", 1, 8, 1,
    ),
)  # fmt: skip
BY_NAME = {field.name: field for field in FIELDS}

# What the page sets at one press; docs/evidence.md has what each keeps of a character.
PRESETS: dict[str, dict[str, Any]] = {
    "Preset: balanced": {},
    "Preset: more likeness": {"rows": "positive", "strength": 2.0},
    "Preset: fast": {"refresh": 4},
}
PRESET_FIELDS = ("depth", "cutoff", "start", "strength", "rows", "refresh")


def preset(name: str) -> dict[str, Any]:
    """All of `PRESET_FIELDS` as a preset has them."""
    return {field: BY_NAME[field].default for field in PRESET_FIELDS} | PRESETS[name]


@dataclass(frozen=True)
class LafiSettings:
    """Checked settings of one run. Build with `parse`, or directly in code that is trusted."""

    enabled: bool = False
    image: Any = None
    depth: float = 100
    cutoff: float = 80
    start: float = 0
    strength: float = 1
    stream: str = "noise"
    rows: str = "both"
    prompt: str = ""
    mask: Any = None
    passes: str = "both"
    fit: str = "crop"
    noise_seed: int = -1
    layers: str = "decoder"
    refresh: int = 1

    @property
    def acts(self) -> bool:
        """Whether anything would be injected at all (the first promise: else nothing changes)."""
        sites = self.depth > 0 or self.layers == "all"
        return self.enabled and sites and self.cutoff > 0 and self.strength > 0

    def changed(self) -> dict[str, Any]:
        """The fields that differ from their defaults, images and `enabled` left out."""
        return {
            field.name: value
            for field in FIELDS
            if field.kind != "image" and field.name != "enabled"
            for value in [getattr(self, field.name)]
            if value != field.default
        }

    def as_dict(self) -> dict[str, Any]:
        """All fields by name."""
        return asdict(self)


def parse(args: Sequence[Any], overrides: Mapping[str, Any] | None = None) -> LafiSettings:
    """Settings from a script's arguments: one dict of fields, or values in the table's order.

    A dict that leaves `enabled` out is enabled: who names LAFI in a request wants it.

    Args:
        args: what the WebUI hands over. After a dict come the other fields' values, as defaults or
            from an infotext; the dict goes before them.
        overrides: fields that X/Y/Z or another extension sets, on top.

    Raises:
        LafiError: `invalid_settings`, with a problem for every wrong field.
    """
    if len(args) > len(FIELDS):
        problem = f"{len(args)} positional arguments, at most {len(FIELDS)} are known"
        raise invalid_fields([{"loc": ["args"], "msg": problem}])
    values = {field.name: value for field, value in zip(FIELDS, args, strict=False)}
    if args and isinstance(args[0], Mapping):
        values |= {"enabled": True} | dict(args[0])
    return validate(values | dict(overrides or {}))


def validate(values: Mapping[str, Any]) -> LafiSettings:
    """Settings from values by name.

    Raises:
        LafiError: `invalid_settings`, with a problem for every wrong field.
    """
    problems = [_problem(str(name), _unknown(str(name))) for name in values if name not in BY_NAME]
    known = {name: value for name, value in values.items() if name in BY_NAME}
    for name, value in known.items():
        message = BY_NAME[name].check(value)
        if message:
            problems.append(_problem(name, message))
    if not problems:
        settings = LafiSettings(**{name: _clean(BY_NAME[name], v) for name, v in known.items()})
        problems = list(_contradictions(settings))
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


def from_text(field: Field, text: str) -> Any:
    """The value that an infotext or an X/Y/Z cell writes as `text`; unreadable text stays text,
    so that `validate` names it."""
    if field.kind == "bool":
        return {"true": True, "false": False}.get(text.strip().lower(), text)
    if field.kind in ("number", "integer"):
        try:
            return float(text) if field.kind == "number" else int(text)
        except ValueError:
            return text
    return text


def to_text(value: Any) -> str:
    """A value as infotext writes it."""
    return f"{value:.10g}" if isinstance(value, float) else str(value)


def _contradictions(settings: LafiSettings) -> Iterable[dict[str, Any]]:
    if not settings.enabled:
        return
    if settings.image is None:
        yield _problem("image", "is missing; give a reference image, or disable LAFI")
    if 0 < settings.cutoff <= settings.start:
        message = f"must be below cutoff ({settings.cutoff:g}), else nothing is injected"
        yield _problem("start", message)


def _problem(name: str, message: str) -> dict[str, Any]:
    return {"loc": [name], "msg": message}


def _unknown(name: str) -> str:
    near = difflib.get_close_matches(name, BY_NAME, 1)
    hint = f"; did you mean {near[0]}?" if near else f"; known are {', '.join(BY_NAME)}"
    return "is not a setting" + hint


def _clean(field: Field, value: Any) -> Any:
    if field.kind == "number":
        return float(value)
    if field.kind == "integer":
        return int(value)
    if field.kind == "bool":
        return bool(value)
    if field.kind == "image" and isinstance(value, str) and not value.strip():
        return None
    return value


def _check_bool(field: Field, value: Any) -> str | None:
    return None if isinstance(value, bool) or value in (0, 1) else "must be true or false"


def _check_number(field: Field, value: Any) -> str | None:
    wanted = "whole number" if field.kind == "integer" else "number"
    wrong = f"must be a {wanted} from {field.minimum:.10g} to {field.maximum:.10g}"
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return wrong
    if not field.minimum <= value <= field.maximum:  # type: ignore[operator]
        return f"{wrong}, not {value:.10g}"
    if field.kind == "integer" and value != int(value):
        return f"{wrong}, not {value:.10g}"
    return None


def _check_choice(field: Field, value: Any) -> str | None:
    if isinstance(value, str) and value in field.choices:
        return None
    return f"must be one of {', '.join(field.choices)}"


def _check_text(field: Field, value: Any) -> str | None:
    return None if isinstance(value, str) else "must be text"


def _check_image(field: Field, value: Any) -> str | None:
    # The core of the extension runs without Pillow: a picture is what can be converted like one.
    if value is None or isinstance(value, str) or hasattr(value, "convert"):
        return None
    return "must be a base64 string, a data URL or a picture"


_CHECKS = {
    "bool": _check_bool,
    "number": _check_number,
    "integer": _check_number,
    "choice": _check_choice,
    "text": _check_text,
    "image": _check_image,
}

assert [field.name for field in FIELDS] == [each.name for each in fields(LafiSettings)]
