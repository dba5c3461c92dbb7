"""Several pictures in one request: every fault is named where it is, and what is asked is clear."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lafi.errors import LafiError
from lafi.regions import Region
from lafi.settings import LafiSettings, parse, schema

A, B, C = "AAAA", "BBBB", "CCCC"


def ask(**fields: Any) -> LafiSettings:
    return parse([fields])


def refused(**fields: Any) -> dict[str, str]:
    """What a request is answered, by field."""
    with pytest.raises(LafiError) as caught:
        ask(**fields)
    return {each["loc"][0]: each["msg"] for each in caught.value.problems}


@pytest.mark.parametrize(("fields", "name", "says"), [
    ({"image": [A, 5]}, "image[1]", "must be a base64 string, a data URL or a picture"),
    ({"image": [A, ""]}, "image[1]", "is empty"), ({"image": []}, "image", "is missing"),
    ({"image": 5}, "image", "or a list of them"), ({"image": [[A]]}, "image[0]", "must be a base"),
    ({"views": [A, None]}, "views[1]", "is empty"), ({"mask": [A, 5]}, "mask[1]", "must be a base"),
    ({"references": A}, "references", 'must be a list of objects such as {"image": "..."}'),
    ({"references": {"image": A}}, "references", "must be a list of objects"),
    ({"references": [A]}, "references[0]", 'must be an object such as {"image": "..."}'),
    ({"references": [{}]}, "references[0].image", "is missing"),
    ({"references": [{"image": A}, {"image": ""}]}, "references[1].image", "is missing"),
    ({"references": [{"image": [A, 7]}]}, "references[0].image[1]", "must be a base64 string"),
    ({"references": [{"image": A, "strength": 9}]}, "references[0].strength", "from 0 to 4, not 9"),
    ({"references": [{"image": A, "strength": "1"}]}, "references[0].strength", "must be a number"),
    ({"references": [{"image": A, "region": "lefft"}]}, "references[0].region", "mean left?"),
    ({"references": [{"image": A, "prompt": 3}]}, "references[0].prompt", "must be text"),
    ({"references": [{"image": A, "mask": 3}]}, "references[0].mask", "must be a base64 string"),
    ({"references": [{"image": A, "strenght": 1}]}, "references[0].strenght",
     "is not a setting of a reference; did you mean strength?"),
    ({"references": [{"image": A, "depth": 1}]}, "references[0].depth",
     "is not a setting of a reference; known are image, mask, strength"),
    ({"region": "sky"}, "region", "is no region; known are left, right"),
    ({"region": ""}, "region", ""), ({"region": 3}, "region", "must be text"),
    ({"anchor": "all"}, "anchor", "must be one of off, batch"),
], ids=str)  # fmt: skip
def test_every_fault_is_named_where_it_is(fields: dict[str, Any], name: str, says: str) -> None:
    if not says:
        assert ask(image=A, **fields).region == ""
        return
    answer = refused(**{"image": A, **fields})
    assert list(answer) == [name]
    assert says in answer[name]


def test_all_faults_of_all_references_are_named() -> None:
    entries = [{"image": A, "strength": 9}, {"image": B, "region": "x", "prompt": 1}, {}]
    assert list(refused(image=A, references=entries)) == [
        "references[0].strength", "references[1].region", "references[1].prompt",
        "references[2].image",
    ]  # fmt: skip


def test_a_name_that_is_a_novel_is_cut_short() -> None:
    (name,) = refused(image=A, references=[{"image": A, "\ud800" + "x" * 10**5: 1}])
    assert len(name) < 100
    name.encode()


def test_a_request_needs_some_picture_or_an_anchor() -> None:
    assert refused(depth=50) == {"image": "is missing; give a reference image, or disable LAFI"}
    for fields in ({"image": A}, {"views": [A]}, {"references": [{"image": A}]},
                   {"anchor": "batch"}):  # fmt: skip
        assert ask(**fields).acts


@pytest.mark.parametrize(("name", "value"), [("mask", B), ("region", "left"), ("prompt", "a boy")])
@pytest.mark.parametrize("fields", [{"anchor": "batch"}, {"references": [{"image": A}]}], ids=str)
def test_what_is_of_the_reference_image_needs_one(fields, name: str, value: str) -> None:
    answer = refused(**fields, **{name: value})
    assert answer == {name: "is of the reference image, and there is none"}


def test_one_picture_is_one_character() -> None:
    (only,) = ask(image=A, mask=B, region="left", prompt="a boy", strength=1.5).characters
    assert only.pictures == (("image", A),)
    assert (only.where, only.masks, only.strength) == ("", (("mask", B),), 1.5)
    assert (only.region, only.prompt, only.name) == (Region(x1=0.5), "a boy", "")


def test_views_are_pictures_of_the_same_character() -> None:
    (only,) = ask(image=[A, B], views=[C]).characters
    assert only.pictures == (("image[0]", A), ("image[1]", B), ("views[0]", C))
    assert ask(image=A, views=[B]).characters[0].pictures == (("image", A), ("views[0]", B))
    assert ask(views=[B]).characters[0].pictures == (("views[0]", B),)


def test_further_references_are_characters_with_the_runs_strength_or_their_own() -> None:
    entries = [
        {"image": B, "strength": 0.5, "region": "right", "prompt": "a girl", "name": "Ann"},
        {"image": [A, C], "mask": B},
    ]
    first, second, third = ask(image=A, strength=3, references=entries).characters
    assert first.pictures == (("image", A),)
    assert second.where == "references[0]."
    assert second.pictures == (("references[0].image", B),)
    assert (second.strength, second.region) == (0.5, Region(x0=0.5))
    assert (second.prompt, second.name) == ("a girl", "Ann")
    assert [name for name, _ in third.pictures] == [f"references[1].image[{i}]" for i in (0, 1)]
    assert (third.strength, third.region) == (3, None)
    names = [(image[0], mask[0], mask[1]) for image, mask in third.views]
    assert names == [
        ("references[1].image[0]", "references[1].mask", B),
        ("references[1].image[1]", "mask", None),
    ]


def test_each_view_may_have_its_mask() -> None:
    (only,) = ask(image=[A, B], views=[C], mask=[None, A, ""]).characters
    assert [mask for _, (_, mask) in only.views] == [None, A, None]
    entries = [{"image": A, "mask": [B, C]}]
    assert refused(image=A, mask=[B, C], references=entries) == {
        "mask": "has 2 pictures, for 1 of the character",
        "references[0].mask": "has 2 pictures, for 1 of the character",
    }


def test_what_is_left_out_or_null_is_the_default() -> None:
    entry = {"image": A, "mask": None, "strength": None}
    assert ask(references=[entry]) == ask(references=[{"image": A}])
    assert ask(image=A, references=None).references == ask(image=A).references == ()


@pytest.mark.parametrize(("fields", "acts"), [
    ({"image": A, "strength": 0}, False),
    ({"image": A, "strength": 0, "references": [{"image": B, "strength": 1}]}, True),
    ({"image": A, "strength": 0, "references": [{"image": B}]}, False),
    ({"references": [{"image": B, "strength": 0}]}, False),
    ({"anchor": "batch", "strength": 0}, False), ({"anchor": "batch", "cutoff": 0}, False),
], ids=str)  # fmt: skip
def test_it_acts_if_any_of_them_weighs_something(fields: dict[str, Any], acts: bool) -> None:
    assert ask(**fields).acts is acts


def test_overrides_reach_into_a_reference() -> None:
    given = {"image": A, "references": [{"image": B}, {"image": C, "strength": 1}]}
    settings = parse([given], {"references[1].strength": 2.5, "depth": 50})
    usual = LafiSettings().strength
    assert [each.strength for each in settings.characters] == [usual, usual, 2.5]
    assert settings.depth == 50
    assert given["references"][1]["strength"] == 1  # whose request it is keeps it


@pytest.mark.parametrize(("name", "loc"), [
    ("references[2].strength", "references[2]"),
    ("references[0].strenght", "references[0].strenght"),
    ("references[0].strength", "references[0].strength"),
])  # fmt: skip
def test_an_override_of_what_is_not_there_is_named(name: str, loc: str) -> None:
    with pytest.raises(LafiError) as caught:
        parse([{"image": A, "references": [{"image": B}, {"image": C}]}], {name: 9})
    assert [each["loc"] for each in caught.value.problems] == [[loc]]


def test_the_schema_says_what_a_reference_may_hold() -> None:
    properties = json.loads(json.dumps(schema()))["properties"]
    item = properties["references"]["items"]
    assert item["required"] == ["image"]
    assert item["additionalProperties"] is False
    assert item["properties"]["strength"]["maximum"] == 4
    assert {each.get("type") if isinstance(each.get("type"), str) else "picture"
            for each in properties["image"]["oneOf"]} == {"picture", "array"}  # fmt: skip
