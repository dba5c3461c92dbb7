"""The table of fields: every way in agrees with every other, and every wrong value is named."""

from __future__ import annotations

import json
import math
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lafi.errors import LafiError
from lafi.kinds import BlockSet, Choice, Integer, Number, Place, Switch, Text
from lafi.lists import Entries, Images, Masks, Views
from lafi.presets import (
    LIKENESS,
    LIKENESS_STEP,
    PRESETS,
    likeness,
    nearest_likeness,
    preset,
)
from lafi.regions import WORDS
from lafi.settings import BY_NAME, FIELDS, Field, LafiSettings, parse, schema, validate


class Picture:
    """What LAFI takes for a picture: it can be converted."""

    def convert(self, mode: str) -> Picture:
        return self


PICTURE = Picture()
PICTURES = st.sampled_from([PICTURE, "data:image/png;base64,AAAA", b"bytes of a file"])
NO_PICTURES = st.sampled_from([{}, 5, object(), bytearray(b"bytes")])


def good(field: Field) -> st.SearchStrategy[Any]:
    """Values that a field accepts."""
    kind = field.kind
    if isinstance(kind, Number):
        low, high = kind.minimum, kind.maximum
        whole = st.integers(math.ceil(low), math.floor(high))
        return whole if isinstance(kind, Integer) else whole | st.floats(low, high)
    return {
        Switch: st.booleans(),
        Choice: st.sampled_from(kind.choices or ("",)),
        Text: st.text(st.characters(codec="utf-8")),
        Place: st.sampled_from(["", "0-50%", "0.2-1,0-0.5", *WORDS]),
        BlockSet: st.sampled_from(["", "3", "19-56", "0, 7-10,18", "flux-vital"]),
        Masks: PICTURES,
        Images: PICTURES | st.lists(PICTURES, min_size=1, max_size=3).map(tuple),
        Views: st.lists(PICTURES, min_size=1, max_size=3).map(tuple),
        Entries: st.lists(entries(), max_size=2).map(tuple),
    }[type(kind)]


def entries() -> st.SearchStrategy[dict[str, Any]]:
    """Further references with all their fields."""
    return st.fixed_dictionaries({
        "image": PICTURES | st.lists(PICTURES, min_size=1, max_size=2).map(tuple),
        "mask": st.none() | PICTURES,
        "strength": st.none() | st.floats(0, 4),
        "region": st.sampled_from(["", *WORDS]),
        "prompt": st.text(st.characters(codec="utf-8")),
        "name": st.text(st.characters(codec="utf-8")),
    })  # fmt: skip


def wrong(field: Field) -> st.SearchStrategy[Any]:
    """Values that a field refuses."""
    kind = field.kind
    junk = st.sampled_from([None, [], {}, object()])
    if isinstance(kind, Number):
        outside = (st.floats(allow_nan=True) | st.integers() | st.just(10**400)).filter(
            lambda value: not kind.minimum <= value <= kind.maximum
        )
        half = st.just(kind.minimum + 0.5)
        broken = half if isinstance(kind, Integer) else st.nothing()
        return junk | outside | broken | st.booleans() | st.just("50")
    return {
        Switch: junk | st.sampled_from(["true", 2, 0.5, math.nan]),
        Choice: junk | st.text().filter(lambda value: value not in kind.choices),
        Text: junk | st.integers() | st.sampled_from(["\ud800", "a\udfff"]),
        Place: junk | st.sampled_from([0.5, "lefft", "0.5", "0.5-0.2", "\ud800"]),
        BlockSet: junk | st.sampled_from([3, "a", "5-3", "1,,2", "-1", "flux", "\ud800", "1000"]),
        Masks: NO_PICTURES | st.lists(NO_PICTURES, min_size=1, max_size=1),
        Images: NO_PICTURES | st.lists(NO_PICTURES, min_size=1, max_size=1),
        Views: NO_PICTURES | st.lists(NO_PICTURES, min_size=1, max_size=1),
        Entries: st.sampled_from([5, "x", {}, [5], [[]], [{}], [{"image": ""}], [{"imag": "x"}]]),
    }[type(kind)]


def consistent(values: dict[str, Any]) -> bool:
    """Whether the fields agree with each other, each being good by itself."""
    lonely = not values["image"] and not values["views"]
    unowned = lonely and (values["mask"] or values["region"] or values["prompt"])
    return not (values.get("enabled") and (unowned or 0 < values["cutoff"] <= values["start"]))


WHOLE = st.fixed_dictionaries({field.name: good(field) for field in FIELDS}).filter(consistent)


@given(WHOLE)
def test_a_dict_and_positions_agree(values: dict[str, Any]) -> None:
    by_position = parse([values[field.name] for field in FIELDS])
    assert parse([values]) == by_position == validate(values)
    assert all(getattr(by_position, name) == value for name, value in values.items())


@given(WHOLE)
def test_settings_survive_their_own_dict(values: dict[str, Any]) -> None:
    settings = validate(values)
    assert validate(vars(settings)) == settings
    pictures = ("image", "mask", "views", "references")
    images = {name: getattr(settings, name) for name in pictures}
    assert validate({"enabled": settings.enabled, **images, **settings.changed()}) == settings


@given(WHOLE)
def test_settings_survive_infotext(values: dict[str, Any]) -> None:
    settings = validate(values)
    for name, value in settings.changed().items():
        kind = BY_NAME[name].kind
        read = kind.read(kind.write(value))
        expected = pytest.approx(value, rel=1e-9) if isinstance(value, float) else value
        assert read == expected
        assert kind.check(read) is None


@pytest.mark.parametrize("field", FIELDS, ids=lambda field: field.name)
@given(data=st.data())
def test_a_wrong_value_is_refused_and_named(field: Field, data: st.DataObject) -> None:
    value = data.draw(wrong(field))
    with pytest.raises(LafiError) as caught:
        validate({"image": PICTURE, field.name: value})
    assert caught.value.code == "invalid_settings"
    for each in caught.value.problems:
        (loc,) = each["loc"]
        assert re.match(r"\w+", loc)[0] == field.name
        assert f"{loc}: " in str(caught.value)


@given(st.sets(st.sampled_from([field.name for field in FIELDS]), min_size=1))
def test_every_wrong_field_is_named(names: set[str]) -> None:
    with pytest.raises(LafiError) as caught:
        validate(dict.fromkeys(names, bytearray(b"")))
    assert {each["loc"][0] for each in caught.value.problems} == names


@given(st.text(st.characters(codec="utf-8"), min_size=1).filter(lambda each: each not in BY_NAME))
def test_an_unknown_field_is_named(name: str) -> None:
    with pytest.raises(LafiError) as caught:
        parse([{"image": PICTURE, name: 1}])
    assert [each["loc"] for each in caught.value.problems] == [[name[:80]]]


def test_a_name_that_no_answer_could_hold_is_escaped() -> None:
    with pytest.raises(LafiError) as caught:
        parse([{"image": PICTURE, "\ud800" + "x" * 10**6: 1}])
    assert caught.value.problems[0]["loc"] == ["\\ud800" + "x" * 79]
    assert len(str(caught.value).encode()) < 500


def test_a_misspelt_field_gets_a_hint() -> None:
    with pytest.raises(LafiError, match="did you mean cutoff"):
        parse([{"image": PICTURE, "cut_off": 50}])


@pytest.mark.parametrize("field", FIELDS, ids=lambda field: field.name)
def test_the_default_is_good_and_everywhere_the_same(field: Field) -> None:
    assert field.kind.check(field.default) is None
    assert getattr(LafiSettings(), field.name) == field.default
    assert schema()["properties"][field.name]["default"] == field.default
    assert field.label
    assert field.help.endswith(".")


def test_the_order_of_fields_is_public() -> None:
    assert [field.name for field in FIELDS[:23]] == [
        "enabled", "image", "depth", "cutoff", "start", "strength", "fidelity", "stream", "prompt",
        "mask", "cutout", "passes", "fit", "noise_seed", "layers", "refresh", "region",
        "references", "anchor", "views", "blocks", "position", "reference_size",
    ]  # fmt: skip


def test_the_schema_is_json_and_closed() -> None:
    described = json.loads(json.dumps(schema()))
    assert described["additionalProperties"] is False
    assert list(described["properties"]) == [field.name for field in FIELDS]


def test_a_dict_means_enabled_unless_it_says_otherwise() -> None:
    assert parse([{"image": PICTURE}]).enabled
    assert not parse([{"enabled": False}]).enabled
    assert not parse([]).enabled


def test_missing_image_is_an_error_only_when_enabled() -> None:
    with pytest.raises(LafiError) as caught:
        parse([{}])
    assert [each["loc"] for each in caught.value.problems] == [["image"]]
    assert parse([{"enabled": False}]).image is None


@pytest.mark.parametrize("blank", ["", "  "])
def test_a_blank_image_is_none(blank: str) -> None:
    with pytest.raises(LafiError, match="image"):
        parse([{"image": blank}])


def test_a_window_that_holds_nothing_is_an_error() -> None:
    with pytest.raises(LafiError) as caught:
        parse([{"image": PICTURE, "start": 80}])
    assert [each["loc"] for each in caught.value.problems] == [["start"]]
    assert parse([{"image": PICTURE, "start": 80, "cutoff": 0}]).acts is False


def test_too_many_positions_are_an_error() -> None:
    with pytest.raises(LafiError) as caught:
        parse([False] * (len(FIELDS) + 1))
    assert [each["loc"] for each in caught.value.problems] == [["args"]]


def test_overrides_win() -> None:
    settings = parse([{"image": PICTURE, "depth": 10}], {"depth": 50})
    assert settings.depth == 50
    with pytest.raises(LafiError, match="depth"):
        parse([{"image": PICTURE}], {"depth": 101})


@pytest.mark.parametrize(("values", "acts"), [
    ({}, True), ({"enabled": False}, False), ({"depth": 0}, False), ({"cutoff": 0}, False),
    ({"strength": 0}, False), ({"depth": 0, "layers": "all"}, True),
    ({"depth": 0, "blocks": "19-56"}, True),
], ids=str)  # fmt: skip
def test_whether_anything_would_be_injected(values: dict[str, Any], acts: bool) -> None:
    assert parse([{"image": PICTURE, **values}]).acts is acts


def test_a_former_setting_names_the_one_that_took_its_place() -> None:
    with pytest.raises(LafiError, match="use fidelity: 0 for both, 1 for positive") as caught:
        parse([{"image": PICTURE, "rows": "positive"}])
    assert [each["loc"] for each in caught.value.problems] == [["rows"]]


@pytest.mark.parametrize(("percent", "s", "f"), LIKENESS)
def test_the_likeness_goes_through_its_table(percent: float, s: float, f: float) -> None:
    assert likeness(percent) == (s, f)


def test_the_likeness_runs_straight_between_and_stays_within() -> None:
    assert likeness(60) == (2.1, 0.7)
    assert likeness(-1) == likeness(0)
    assert likeness(101) == likeness(100)
    for percent in range(101):
        strength, fidelity = likeness(percent)
        assert BY_NAME["strength"].kind.check(strength) is None
        assert BY_NAME["fidelity"].kind.check(fidelity) is None


def test_every_position_of_the_dial_comes_back() -> None:
    """And lies on both numbers' own steps, so that no slider rounds it into another one."""
    for percent in range(0, 101, LIKENESS_STEP):
        numbers = likeness(percent)
        assert nearest_likeness(*numbers) == percent
        assert [round(each / 0.05, 6) % 1 for each in numbers] == [0, 0]


@pytest.mark.parametrize(("strength", "fidelity", "percent"), [
    (0, 0, 0), (0.72, 0.12, 10), (1.5, 0.45, 50), (3.6, 1, 90), (4, 1, 100), (4, 0, 100),
], ids=str)  # fmt: skip
def test_numbers_of_ones_own_have_a_nearest_likeness(strength, fidelity, percent) -> None:
    assert nearest_likeness(strength, fidelity) == percent


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_settings_and_differ(name) -> None:
    values = preset(name)
    settings = parse([{"enabled": True, "image": PICTURE, **values}])
    assert {field: getattr(settings, field) for field in values} == values
    assert [other for other in PRESETS if preset(other) == values] == [name]
