"""Infotext: what is written, what the host makes of it, and what comes back."""

from __future__ import annotations

import json
import logging
import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from modules import shared

from lafi import __version__
from lafi.kinds import BlockSet, Choice, Integer, Number, Place
from lafi.settings import FIELDS, LafiSettings, validate
from lafi.webui import infotext

# The WebUIs' format: "key: value" pairs, a value in JSON quotes where it holds a comma, a colon or
# a new line, and WIDTHxHEIGHT split in two.
PAIR = re.compile(r'\s*(\w[\w \-/]+):\s*("(?:\\.|[^\\"])+"|[^,]*)(?:,|$)')
SIZE = re.compile(r"^(\d+)x(\d+)$")


def write(params: dict[str, str]) -> str:
    def quote(value: str) -> str:
        special = any(mark in value for mark in ",:\n")
        return json.dumps(value, ensure_ascii=False) if special else value

    return ", ".join(
        key if key == value else f"{key}: {quote(value)}" for key, value in params.items()
    )


def parse(line: str) -> dict[str, str]:
    params = {}
    for key, value in PAIR.findall(line):
        if len(value) > 1 and value[0] == value[-1] == '"':
            value = json.loads(value)
        size = SIZE.match(value)
        if size:
            params[f"{key}-1"], params[f"{key}-2"] = size.groups()
        else:
            params[key] = value
    return params


def field_values(field):
    kind = field.kind
    if isinstance(kind, Integer):
        return st.integers(kind.minimum, kind.maximum)
    if isinstance(kind, Number):
        return st.floats(kind.minimum, kind.maximum).map(lambda each: float(kind.write(each)))
    if isinstance(kind, Choice):
        return st.sampled_from(kind.choices)
    if isinstance(kind, BlockSet):
        return st.sampled_from(["", "19-56", "0,7-10", "flux-vital"])
    if isinstance(kind, Place):
        return st.sampled_from(["", "left", "right third", "50-100%", "0.2-1,0-0.5", "5-15"])
    return st.text(st.characters(exclude_categories=["Cs"])).map(str.strip)


PLAIN = LafiSettings(enabled=True, image="A")
any_settings = st.builds(
    LafiSettings,
    enabled=st.just(True),
    image=st.just("A"),
    **{field.name: field_values(field) for field in infotext.STORED},
)


@settings(deadline=None)
@given(any_settings)
@example(LafiSettings(enabled=True, image="A", prompt="12x34"))
@example(LafiSettings(enabled=True, image="A", prompt='"quoted"'))
@example(LafiSettings(enabled=True, image="A", prompt='""'))
@example(LafiSettings(enabled=True, image="A", prompt="LAFI prompt"))
@example(LafiSettings(enabled=True, image="A", prompt='a, "b": c\\\nd'))
def test_settings_survive_the_round_trip(wanted):
    before = {"Steps": "20", "Sampler": "Euler a"}
    after = {"Size": "512x512", "Version": "v1.10.1"}
    params = parse(write({**before, **infotext.describe(wanted, [["0123456789ab"]]), **after}))
    infotext.on_infotext_pasted("", params)
    assert params["LAFI enabled"] == "True"
    assert infotext.read(params) == {
        field: getattr(wanted, field.name) for field in infotext.STORED
    }
    assert params["Sampler"] == "Euler a"
    assert params["Size-1"] == "512"


def test_only_what_differs_is_written():
    assert infotext.describe(PLAIN, [["0123456789ab"]]) == {
        "LAFI reference": "0123456789ab",
        "LAFI depth": "100",
        "LAFI cutoff": "80",
        "LAFI version": __version__,
    }
    wanted = LafiSettings(enabled=True, image="A", depth=33.5, stream="noise", noise_seed=5)
    written = infotext.describe(wanted, [["0123456789ab"]])
    assert written["LAFI depth"] == "33.5"
    assert written["LAFI stream"] == "noise"
    assert written["LAFI noise seed"] == "5"
    assert "LAFI strength" not in written


def test_keys_are_ones_that_hosts_can_read():
    keys = [field.infotext for field in FIELDS] + [infotext.REFERENCE, infotext.VERSION]
    assert all(re.fullmatch(r"\w[\w \-/]+", key) for key in keys)
    assert len(set(keys)) == len(keys)


def test_what_is_missing_returns_to_its_default():
    params = {"LAFI version": "0.1.0", "LAFI depth": "50"}
    infotext.on_infotext_pasted("", params)
    assert params["LAFI depth"] == "50"
    assert params["LAFI strength"] == str(LafiSettings().strength)
    assert params["LAFI stream"] == "inversion"
    assert params["LAFI prompt"] == ""


@pytest.mark.parametrize("params", [
    {"Steps": "20"}, {"LAFI error": "no_model"}, {"Steps": "20", "LAFI depth": "50"},
], ids=str)  # fmt: skip
def test_a_text_that_does_not_say_that_lafi_ran_decides_nothing(params):
    after = dict(params)
    infotext.on_infotext_pasted("", after)
    assert after == params
    assert infotext.paste_note(after) == infotext.NOTHING_SAID


@pytest.fixture
def skipping():
    """Names the fields that the user told the host to disregard."""
    yield lambda *keys: setattr(shared.opts, "infotext_skip_pasting", list(keys))
    shared.reset()


@pytest.mark.parametrize("field", [FIELDS[0], *infotext.STORED], ids=lambda field: field.name)
def test_a_disregarded_field_keeps_the_value_of_the_page(skipping, field):
    params = {"LAFI version": "0.1.0", "LAFI depth": "50", "LAFI stream": "noise"}
    params.pop(field.infotext, None)  # as the host does before it asks
    skipping(field.infotext, "Steps")
    infotext.on_infotext_pasted("", params)
    assert field.infotext not in params
    others = {each.infotext for each in (FIELDS[0], *infotext.STORED)} - {field.infotext}
    assert others <= set(params)


def test_a_host_without_that_setting_is_one_that_disregards_nothing(skipping):
    del shared.opts.data["infotext_skip_pasting"], shared.opts.data_labels["infotext_skip_pasting"]
    params = {"LAFI version": "0.1.0"}
    infotext.on_infotext_pasted("", params)
    assert params["LAFI enabled"] == "True"
    assert params["LAFI depth"] == "100"


@pytest.mark.parametrize(
    ("key", "text", "default"),
    [
        ("LAFI depth", "150", "100"),
        ("LAFI depth", "deep", "100"),
        ("LAFI cutoff", "nan", "80"),
        ("LAFI stream", "sideways", "inversion"),
        ("LAFI fidelity", "1.5", "1"),
        ("LAFI noise seed", "1.5", "-1"),
    ],
)
def test_an_unusable_value_is_named_and_replaced(caplog, key, text, default):
    params = {"LAFI version": "0.1.0", key: text}
    with caplog.at_level(logging.WARNING, "LAFI"):
        infotext.on_infotext_pasted("", params)
    assert params[key] == default
    assert key in caplog.text


@pytest.mark.parametrize(("rows", "fidelity"), [("positive", "1"), ("both", "0")])
def test_the_rows_of_old_pictures_are_a_fidelity(rows, fidelity):
    params = {"LAFI version": "0.1.0", "LAFI rows": rows}
    infotext.on_infotext_pasted("", params)
    assert params["LAFI fidelity"] == fidelity
    later = {"LAFI version": "0.1.0", "LAFI rows": rows, "LAFI fidelity": "0.5"}
    infotext.on_infotext_pasted("", later)
    assert later["LAFI fidelity"] == "0.5"


def test_rows_that_never_were_are_named(caplog):
    params = {"LAFI version": "0.1.0", "LAFI rows": "sideways"}
    with caplog.at_level(logging.WARNING, "LAFI"):
        infotext.on_infotext_pasted("", params)
    assert params["LAFI fidelity"] == "1"
    assert "LAFI fidelity" in caplog.text


def test_clear_removes_only_lafi():
    params = {"LAFI depth": "5", "LAFI error": "no_model", "Steps": "20"}
    infotext.clear(params)
    assert params == {"Steps": "20"}


def test_every_control_takes_its_key():
    pairs = infotext.paste_fields({field.name: f"control {field.name}" for field in FIELDS})
    wanted = [field for field in FIELDS if field.name != "references"]
    assert pairs == [(f"control {field.name}", field.infotext) for field in wanted]


def test_the_note_names_the_reference():
    assert "0123456789ab" in infotext.paste_note(
        {"LAFI version": "0.1.0", "LAFI reference": "0123456789ab"}
    )
    assert "nothing of LAFI" in infotext.paste_note({"Steps": "20"})


# ---- several pictures -------------------------------------------------------------------------

FURTHER = [
    {"image": "B", "strength": 1.5, "region": "0.5-1,0-0.5", "prompt": 'a, "b": c', "name": "Ann"},
    {"image": ["C", "D"]},
]


def of_several(**fields):
    """The keys of a run with two further references, as a host reads them back."""
    wanted = validate({"enabled": True, "references": FURTHER, **fields})
    own = [["aaaaaaaaaaaa", "eeeeeeeeeeee"]] if wanted.image else []
    hashes = [*own, ["bbbbbbbbbbbb"], ["cccccccccccc", "dddddddddddd"]]
    return parse(write(infotext.describe(wanted, hashes)))


def test_every_reference_is_written_with_its_pictures():
    written = of_several(image=["A", "E"], region="left")
    assert written["LAFI reference"] == "aaaaaaaaaaaa eeeeeeeeeeee"
    assert written["LAFI region"] == "left"
    assert written["LAFI reference 2"] == "bbbbbbbbbbbb"
    assert written["LAFI strength 2"] == "1.5"
    assert written["LAFI region 2"] == "0.5-1,0-0.5"
    assert written["LAFI prompt 2"] == 'a, "b": c'
    assert written["LAFI name 2"] == "Ann"
    assert written["LAFI reference 3"] == "cccccccccccc dddddddddddd"
    assert [key for key in written if key.endswith(" 3")] == ["LAFI reference 3"]


def test_a_first_reference_that_is_not_there_is_not_written():
    written = of_several()
    assert "LAFI reference" not in written
    assert written["LAFI reference 2"] == "bbbbbbbbbbbb"


def test_an_anchor_alone_has_no_reference():
    written = infotext.describe(validate({"enabled": True, "anchor": "batch"}), [])
    assert written["LAFI anchor"] == "batch"
    assert "LAFI reference" not in written
    assert infotext.paste_note(written) == "Pasted settings need no reference."


def test_the_note_names_all_pictures_to_load():
    note = infotext.paste_note(of_several(image=["A", "E"]))
    assert note == (
        "Pasted settings belong to reference aaaaaaaaaaaa and as more views eeeeeeeeeeee: load "
        "those pictures above. Reference 2 was bbbbbbbbbbbb (strength 1.5, region 0.5-1,0-0.5, "
        'prompt a, "b": c, name Ann): no part of the page holds it. Reference 3 was cccccccccccc '
        "dddddddddddd: no part of the page holds it."
    )


def test_a_pasted_region_that_is_none_is_named_and_replaced(caplog):
    params = {"LAFI version": "0.1.0", "LAFI region": "sky", "LAFI anchor": "all"}
    with caplog.at_level(logging.WARNING, "LAFI"):
        infotext.on_infotext_pasted("", params)
    assert (params["LAFI region"], params["LAFI anchor"]) == ("", "off")
    assert "LAFI region" in caplog.text
