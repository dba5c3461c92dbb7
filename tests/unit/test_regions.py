"""Regions: words and shares, the cells inside, and what of a region lies in a part."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lafi.regions import WORDS, Region, parse_region

SHARES = st.floats(0, 1, allow_subnormal=False)


@pytest.mark.parametrize(("text", "region"), [
    ("left", Region(x1=0.5)), (" Right ", Region(x0=0.5)), ("top", Region(y1=0.5)),
    ("bottom", Region(y0=0.5)), ("centre", Region(0.25, 0.75)), ("center", Region(0.25, 0.75)),
    ("left third", Region(x1=1 / 3)), ("Middle-Third", Region(1 / 3, 2 / 3)),
    ("right_third", Region(x0=2 / 3)), ("centre third", Region(1 / 3, 2 / 3)),
    ("0-0.5", Region(x1=0.5)), ("0-.5", Region(x1=0.5)), ("50-100", Region(x0=0.5)),
    ("50%-100%", Region(x0=0.5)), ("0-50%", Region(x1=0.5)), ("0-1%", Region(x1=0.01)),
    ("0-1", Region()), ("0.2 - 0.8, 0.5 - 1", Region(0.2, 0.8, 0.5, 1)),
    ("0-100,50-100", Region(y0=0.5)),
], ids=str)  # fmt: skip
def test_what_a_text_names(text: str, region: Region) -> None:
    assert parse_region(text) == region


@pytest.mark.parametrize("text", ["", "  "])
def test_no_text_is_the_whole_picture(text: str) -> None:
    assert parse_region(text) is None


@pytest.mark.parametrize(("text", "says"), [
    ("lefft", "is no region; did you mean left?"), ("sky", "is no region; known are left, right"),
    ("sky", "0-50%"), ("0.5", "must be a word or shares such as"), ("0-0.5-1", "must be a word"),
    ("0-0.5,0-1,0-1", "must be a word"), ("0-0.5,", "must be a word"), ("-1-1", "must be a word"),
    ("0-0.5 left", "must be a word"), ("0.5-0.5", "must begin before it ends, not 0.5-0.5"),
    ("0-1,0.8-0.2", "must begin before it ends, not 0.8-0.2"), ("0-200", "within the picture"),
    ("0-150%", "within the picture"), ("1e3-2", "must be a word"), ("nan", "is no region"),
], ids=str)  # fmt: skip
def test_what_is_wrong_with_a_text(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=re.escape(says)):
        parse_region(text)


@given(st.text())
def test_any_text_is_a_region_or_says_what_is_wrong(text: str) -> None:
    try:
        region = parse_region(text)
    except ValueError:
        return
    assert region is None or (0 <= region.x0 < region.x1 <= 1 and region.y0 < region.y1 <= 1)


@given(st.integers(1, 33), st.integers(1, 33))
def test_halves_and_thirds_share_a_grid_out(height: int, width: int) -> None:
    """Each cell lies in one of them, whatever the size."""
    for words in (("left", "right"), ("top", "bottom"), [w for w in WORDS if "third" in w]):
        grids = [parse_region(word).cells(height, width) for word in words]
        assert all(
            sum(grid[y][x] for grid in grids) == 1 for y in range(height) for x in range(width)
        )


@given(st.integers(1, 20), st.integers(1, 20), st.sampled_from(sorted(WORDS)))
def test_a_cell_lies_where_its_centre_does(height: int, width: int, word: str) -> None:
    region = Region(*WORDS[word])
    assert region.cells(height, width) == [
        [region.contains((x + 0.5) / width, (y + 0.5) / height) for x in range(width)]
        for y in range(height)
    ]


def test_the_whole_holds_every_cell() -> None:
    assert all(all(row) for row in Region().cells(5, 3))


def test_a_region_seen_in_a_part() -> None:
    left, part = Region(x1=0.5), Region(0.25, 0.75, 0.5, 1)
    assert left.within(part) == Region(0, 0.5, 0, 1)
    assert left.within(Region()) == left
    assert left.within(Region(0.5, 1)) is None
    assert left.within(Region(0, 0.25)) == Region()
    assert Region(0.5, 1, 0, 0.5).within(part) is None


@given(st.tuples(SHARES, SHARES, SHARES, SHARES), SHARES, SHARES)
def test_a_point_lies_in_a_region_where_it_does_in_the_part(sides, x, y) -> None:
    part, region = Region(0.25, 0.75, 0.5, 1), Region(*sorted(sides[:2]), *sorted(sides[2:]))
    seen = region.within(part)
    point = part.x0 + x * (part.x1 - part.x0), part.y0 + y * (part.y1 - part.y0)
    near = any(abs(point[i] - side) < 1e-9 for i in (0, 1) for side in _sides(region)[i])
    if part.contains(*point) and not near:
        assert region.contains(*point) == (seen is not None and seen.contains(x, y))


def _sides(region: Region) -> tuple[tuple[float, float], tuple[float, float]]:
    return (region.x0, region.x1), (region.y0, region.y1)
