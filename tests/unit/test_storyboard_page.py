"""The page of a storyboard: where panels and texts stand, for any sizes and texts."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFont

from lafi.storyboard import lettering, page
from lafi.storyboard.lettering import bundled_font, wrap
from lafi.storyboard.page import Box, Layout, draw_page

COLOURS = [(200, 40, 60), (20, 90, 160), (90, 160, 40), (220, 180, 30), (120, 60, 160), (9, 9, 9)]
PLAIN = Layout(columns=3, gutter=10, margin=20, border=2, captions="off")


def picture_font(size: int) -> ImageFont.ImageFont:
    """The only font of Pillow before 10.1, as most WebUIs have it."""
    return ImageFont.load_default_imagefont()


def pictures(*sizes: tuple[int, int]) -> list[Image.Image]:
    colours = itertools.cycle(COLOURS)
    return [Image.new("RGB", size, next(colours)) for size in sizes]


def plan(sizes: list[tuple[int, int]], layout: Layout, captions: list[str] | None = None):
    return page._fitting(sizes, captions or [""] * len(sizes), layout, bundled_font)


def test_panels_of_one_size_stand_in_a_grid_and_keep_their_pixels() -> None:
    noise = np.random.default_rng(1).integers(0, 256, (4, 64, 96, 3), np.uint8)
    drawn = draw_page([Image.fromarray(each) for each in noise], [""] * 4, PLAIN)
    assert drawn.size == (2 * 20 + 3 * (96 + 4) + 2 * 10, 2 * 20 + 2 * (64 + 4) + 10)
    pixels = np.asarray(drawn)
    for n, (left, top) in enumerate([(22, 22), (132, 22), (242, 22), (22, 100)]):
        assert (pixels[top : top + 64, left : left + 96] == noise[n]).all()
        assert (pixels[top - 2, left - 2 : left + 98] == 0).all()
        assert (pixels[top + 65, left - 2 : left + 98] == 0).all()
    assert (pixels[:20] == 255).all()
    assert (pixels[:, 120:130] == 255).all()


def test_a_row_of_wide_panels_sets_the_width_and_others_grow_to_it() -> None:
    made = plan([(128, 64), (128, 64), (96, 64), (128, 64)], Layout(2, 10, 20, 0, "off"))
    assert made.boxes[:2] == [Box(20, 20, 128, 64), Box(158, 20, 128, 64)]
    third, fourth = made.boxes[2:]
    assert third.left == 20
    assert fourth.left + fourth.width == 286
    assert third.height == fourth.height == round(64 * 256 / 224)
    assert fourth.left - third.left - third.width == 10


def test_a_short_last_row_is_not_blown_up() -> None:
    assert plan([(64, 64)] * 4, PLAIN).boxes[3] == Box(22, 100, 64, 64)


def test_panels_of_a_row_have_the_height_of_the_lowest() -> None:
    made = plan([(64, 64), (64, 128)], Layout(2, 10, 20, 0, "off"))
    assert made.boxes == [Box(20, 20, 64, 64), Box(94, 20, 32, 64)]


def test_captions_under_panels_make_room_for_the_longest_of_the_row() -> None:
    sizes = [(128, 64)] * 4
    layout = Layout(2, 10, 20, 2, "under")
    bare = plan(sizes, layout)
    made = plan(sizes, layout, ["short", "a caption that needs more than one line", "", ""])
    assert [len(text.lines) for text in made.texts] == [1, 2]
    below = made.texts[1].top + made.texts[1].height
    assert made.boxes[2].top - 2 == below + 10
    assert made.size[1] - bare.size[1] == below - (made.boxes[0].top + 64 + 2)
    assert made.texts[0].top >= made.boxes[0].top + 64 + 2


def test_captions_in_panels_stay_in_them() -> None:
    layout = Layout(2, 10, 20, 2, "in")
    captions = ["Hello there", "many words " * 50]
    made = plan([(128, 96)] * 2, layout, captions)
    assert made.size == plan([(128, 96)] * 2, layout).size
    for text, box in zip(made.inner, made.boxes, strict=True):
        assert box.left < text.left
        assert text.left + text.width <= box.left + box.width
        assert text.top >= box.top
    panels = pictures((128, 96), (128, 96))
    drawn = np.asarray(draw_page(panels, ["Hello there", ""], layout))
    changed = np.argwhere((drawn != np.asarray(draw_page(panels, ["", ""], layout))).any(-1))
    (top, left), (bottom, right) = changed.min(0), changed.max(0)
    assert made.boxes[0].left <= left
    assert right < made.boxes[0].left + 128
    assert made.boxes[0].top + 48 < top
    assert bottom < made.boxes[0].top + 96


def test_the_title_stands_above_and_in_the_middle() -> None:
    layout = Layout(2, 10, 20, 2, "off", "Anna")
    made = plan([(128, 64)] * 2, layout)
    title = made.texts[0]
    assert title.top == 20
    assert made.boxes[0].top == 20 + title.height + 10 + 2
    assert abs((title.left + title.width / 2) - made.size[0] / 2) <= 1
    assert (
        np.asarray(draw_page(pictures((128, 64)), [""], layout))[20 : 20 + title.height].min() < 99
    )


def test_transparent_parts_are_white() -> None:
    drawn = draw_page([Image.new("RGBA", (64, 64), (0, 0, 0, 0))], [""], Layout(1, 0, 0, 0))
    assert drawn.getextrema() == ((255, 255),) * 3


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA"])
def test_panels_may_have_any_mode(mode: str) -> None:
    assert draw_page([Image.new(mode, (64, 64))], ["x"], PLAIN).mode == "RGB"


def test_a_page_that_would_be_too_large_is_smaller_as_a_whole(monkeypatch) -> None:
    sizes, layout = [(512, 512)] * 20, Layout(4, 16, 24, 4, "under", "Title")
    whole = plan(sizes, layout, ["caption"] * 20)
    monkeypatch.setattr(page, "MOST_PIXELS", 10**6)
    small = plan(sizes, layout, ["caption"] * 20)
    assert 0.8e6 < small.size[0] * small.size[1] <= 1e6
    assert small.size[0] / small.size[1] == pytest.approx(whole.size[0] / whole.size[1], rel=0.1)
    monkeypatch.setattr(page, "LONGEST_SIDE", 500)
    assert max(plan(sizes, layout).size) <= 500
    assert draw_page(pictures(*sizes), [""] * 20, layout).size == plan(sizes, layout).size


@pytest.mark.parametrize("fonts", [bundled_font, picture_font])
@pytest.mark.parametrize("captions", ["under", "in", "off"])
def test_any_text_can_be_drawn(fonts, captions: str) -> None:
    text = "Ünï 你好 \U0001f600 \ud800 \x00\t\u202e العربية " + "x" * 200
    layout = Layout(2, captions=captions, title=text)
    assert draw_page(pictures((64, 64), (64, 64)), [text, ""], layout, fonts).width >= 128


def test_without_sizes_or_freetype_pillows_small_font_serves(monkeypatch) -> None:
    """As Pillow 9.5 has it, which takes no size."""
    small = ImageFont.load_default_imagefont()
    monkeypatch.setattr(lettering.ImageFont, "load_default", lambda: small)
    assert bundled_font(30) is small


@given(st.text(), st.integers(0, 300), st.sampled_from([bundled_font, picture_font]))
def test_lines_fit_and_keep_all_words(text: str, width: int, fonts) -> None:
    font = fonts(14)
    lines = wrap(text, font, width)
    assert all(font.getlength(line) <= width or len(line) == 1 for line in lines)
    assert "".join(lines).replace(" ", "") == "".join(lettering._drawable(text, font).split())


def test_a_font_says_what_it_has_no_picture_of() -> None:
    assert lettering.lacking(bundled_font(20), "Hi there,\nyou\t2!") == ""
    assert lettering.lacking(bundled_font(20), "Hi \u4f60\u597d\u200d") == "\u4f60\u597d"
    assert lettering.lacking(picture_font(20), "\u4f60") == ""


SIDES = st.integers(1, 300)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(SIDES, SIDES), min_size=1, max_size=9),
    st.builds(
        Layout,
        st.integers(1, 10),
        st.integers(0, 100),
        st.integers(0, 100),
        st.integers(0, 20),
        st.sampled_from(["under", "in", "off"]),
        st.sampled_from(["", "A title"]),
    ),
)
def test_panels_lie_on_the_page_and_beside_each_other(sizes, layout: Layout) -> None:
    made = plan(sizes, layout, ["A caption of a few words"] * len(sizes))
    line = layout.border
    outer = [
        (box.left - line, box.top - line, box.left + box.width + line, box.top + box.height + line)
        for box in made.boxes
    ]
    for left, top, right, bottom in outer:
        assert left >= layout.margin
        assert top >= layout.margin
        assert right <= made.size[0] - layout.margin
        assert bottom <= made.size[1] - layout.margin
    for (l1, t1, r1, b1), (l2, t2, r2, b2) in itertools.combinations(outer, 2):
        assert r1 <= l2 or r2 <= l1 or b1 <= t2 or b2 <= t1
