"""The lines of a storyboard, and its table of settings."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lafi.errors import LafiError
from lafi.presets import likeness
from lafi.settings import BY_NAME as LAFI
from lafi.settings import parse as parse_lafi
from lafi.storyboard.panels import OPTIONS, Panel, parse_panels
from lafi.storyboard.settings import FIELDS, StoryboardSettings, arguments, parse

NAMES = {
    "sampler_name": {"euler": "Euler", "k_euler": "Euler", "dpm++ 2m": "DPM++ 2M"},
    "scheduler": {"karras": "Karras"},
}


def panels(text: str) -> list[Panel]:
    return parse_panels(text, NAMES)


def refusal(text: str) -> list[tuple[str, str]]:
    """Which lines are refused, and why."""
    with pytest.raises(LafiError) as caught:
        panels(text)
    assert caught.value.code == "invalid_settings"
    return [(each["loc"][0], each["msg"]) for each in caught.value.problems]


def test_a_line_is_a_panel_and_keeps_its_number() -> None:
    made = panels("a knight\n\n  # a comment --seed x\r\n\tthe knight's horse \n")
    assert made == [Panel(1, "a knight"), Panel(4, "the knight's horse")]


def test_options_as_prompts_from_file_has_them() -> None:
    line = (
        '--prompt "a boy" runs --negative_prompt blurry, dark --seed 5 --steps 20 --cfg_scale 3.5 '
        "--width 768 --height 512 --sampler_name dpm++ 2M --restore_faces true --tiling false"
    )
    assert panels(line) == [
        Panel(
            1,
            "a boy runs",
            "blurry, dark",
            request={
                "seed": 5,
                "steps": 20,
                "cfg_scale": 3.5,
                "width": 768,
                "height": 512,
                "sampler_name": "DPM++ 2M",
                "restore_faces": True,
                "tiling": False,
            },
        )
    ]


def test_words_before_the_options_are_the_prompt_as_it_stands() -> None:
    made = panels(r"it's \(a\) \"boy\" -- tired, 5--6 --caption 'Oh'")
    assert made == [Panel(1, r"it's \(a\) \"boy\" -- tired, 5--6", caption="Oh")]


@pytest.mark.parametrize(
    ("text", "caption"),
    [
        ("--caption Off he goes", "Off he goes"),
        ('--caption "It\'s \\"me\\" -- Anna"', 'It\'s "me" -- Anna'),
        ("--caption 你好", "你好"),
        ('--caption ""', ""),
    ],
)
def test_captions(text: str, caption: str) -> None:
    assert panels(text) == [Panel(1, caption=caption)]


@pytest.mark.parametrize("size", ["768x512", "768X512", "768\u00d7512"])
def test_a_size_is_a_width_and_a_height(size: str) -> None:
    assert panels(f"a --size {size}")[0].request == {"width": 768, "height": 512}


def test_lafis_own_settings_may_differ_by_line() -> None:
    made = panels("a --depth 50 --stream noise\nb --enabled false\nc --likeness 50")
    strength, fidelity = likeness(50)
    assert [each.settings for each in made] == [
        {"depth": 50, "stream": "noise"},
        {"enabled": False},
        {"strength": strength, "fidelity": fidelity},
    ]
    for each in made:
        parse_lafi([{"image": "x"}], each.settings)


def test_every_setting_with_an_axis_is_an_option() -> None:
    assert {name for name, each in LAFI.items() if each.kind.axis} <= set(OPTIONS)
    assert len(set(OPTIONS)) == len(OPTIONS)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("a --sed 5", "--sed is not an option; did you mean --seed?"),
        ("a --xyz 5", "--xyz is not an option; known are --prompt, "),
        ("a --outpath_samples /tmp", "--outpath_samples is not an option"),
        ("a --seed", "--seed has no value"),
        ("a --seed five", "--seed must be a whole number from -1 to 4294967295, not five"),
        ("a --seed 5 6", "--seed must be a whole number from -1 to 4294967295, not 5 6"),
        ("a --steps 0", "--steps must be a whole number from 1 to 1000, not 0"),
        ("a --cfg_scale nan", "--cfg_scale must be a number from 0 to 100, not nan"),
        ("a --seed 1 --seed 2", "--seed: seed is given twice"),
        ("a --width 64 --size 64x64", "--size: width is given twice"),
        ("a --strength 1 --likeness 50", "--likeness: strength is given twice"),
        ("a --prompt b", "--prompt: prompt is given twice"),
        ("a --size 768", "--size must be such as 768x512, not 768"),
        ("a --size 768x510", "--size must be a multiple of 8, not 510"),
        ("a --size 8x8", "--size must be a whole number from 64 to 8192, not 8"),
        ("a --sampler_name Eular", "--sampler_name: the WebUI has no Eular; did you mean Euler?"),
        ("a --scheduler x", "--scheduler: the WebUI has no x"),
        ("a --depth 101", "--depth must be a number from 0 to 100, not 101"),
        ("a --stream none", "--stream must be one of noise, inversion, denoise, not none"),
        ("a --enabled maybe", "--enabled must be true or false, not maybe"),
        ("a --caption it's", "a quotation mark is not closed; text with an apostrophe"),
        ("a --caption x\\", "a backslash stands at the end: --caption x\\"),
        ("a —seed 5", "—seed begins with a dash; write --seed"),
    ],
)
def test_a_bad_line_is_named(line: str, said: str) -> None:
    ((name, message),) = refusal(f"good --seed 1\n# {line}\n{line}\ngood")
    assert name == "line 3"
    assert said in message


def test_all_bad_lines_are_named_at_once() -> None:
    assert [name for name, _ in refusal("--a 1\nb\n--c 1")] == ["line 1", "line 3"]


def test_a_text_without_panels_is_refused() -> None:
    assert refusal("# nothing\n\n") == [("panels", "holds no panel; write one panel a line")]


HOSTILE = st.text(st.sampled_from([*" \t'\"\\-x5#\n\r,é你\u2028\x00\ud800—"]) | st.characters())
PARTS = st.lists(
    st.sampled_from([f"--{name}" for name in OPTIONS])
    | st.sampled_from(["5", "1e999", "nan", "-1", "768x512", "true", '"', "'", "\\", "\n", "word"])
    | st.integers().map(str)
    | HOSTILE
).map(" ".join)


@given(HOSTILE | PARTS)
def test_any_text_gives_panels_or_names_lines(text: str) -> None:
    try:
        made = panels(text)
    except LafiError as error:
        names = [each["loc"][0] for each in error.problems]
        assert names
        assert all(name == "panels" or name.startswith("line ") for name in names)
        str(error).encode()
        return
    assert made
    assert len({each.line for each in made}) == len(made)


@given(st.integers(1, 30), st.sampled_from(["--seed x", "--foo 1", "--caption '"]))
def test_the_number_is_the_lines(number: int, bad: str) -> None:
    lines = ["a"] * 30
    lines[number - 1] = bad
    assert [name for name, _ in refusal("\n".join(lines))] == [f"line {number}"]


# ---- the table of settings ---------------------------------------------------------------------


def test_a_dict_and_positions_agree() -> None:
    settings = parse([{"panels": "a", "columns": 3, "pdf": True}])
    assert settings == StoryboardSettings(panels="a", columns=3, pdf=True)
    assert parse(arguments(settings)) == settings
    assert settings.changed() == {"panels": "a", "columns": 3, "pdf": True}


def test_the_order_of_the_settings_is_public() -> None:
    assert [field.name for field in FIELDS[:11]] == [
        "panels", "ending", "seeds", "reference", "captions", "title", "columns", "gutter",
        "margin", "border", "pdf",
    ]  # fmt: skip


@pytest.mark.parametrize("field", FIELDS, ids=lambda field: field.name)
def test_the_defaults_are_good(field) -> None:
    assert field.kind.check(field.default) is None
    assert field.help.endswith(".")
    assert field.infotext == f"LAFI storyboard {field.name}"


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ([], ["panels"]),
        ([{}], ["panels"]),
        ([{"panels": " \n"}], ["panels"]),
        ([{"panels": 5}], ["panels"]),
        ([{"panels": "a", "column": 2}], ["column"]),
        ([{"panels": "a", "columns": 0, "captions": "over"}], ["columns", "captions"]),
        ([{"panels": "a", "title": "\ud800"}], ["title"]),
        ([{"panels": "a"}, "b"], ["panels"]),
        (["a"] * 12, ["script_args"]),
    ],
)
def test_wrong_settings_are_named(given: list, named: list[str]) -> None:
    with pytest.raises(LafiError) as caught:
        parse(given)
    assert [each["loc"][0] for each in caught.value.problems][: len(named)] == named
