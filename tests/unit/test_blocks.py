"""Blocks of a transformer as text."""

from __future__ import annotations

import pytest

from lafi.blocks import PRESETS, Blocks, parse_blocks


@pytest.mark.parametrize(("text", "numbers"), [
    ("3", {3}), ("19-21", {19, 20, 21}), (" 0, 7 - 9 ,18 ", {0, 7, 8, 9, 18}), ("5-5,5", {5}),
], ids=str)  # fmt: skip
def test_numbers_and_ranges(text: str, numbers: set[int]) -> None:
    assert parse_blocks(text) == Blocks(frozenset(numbers))


@pytest.mark.parametrize("text", ["", "  "])
def test_nothing_named(text: str) -> None:
    assert parse_blocks(text) is None


@pytest.mark.parametrize("text", ["a", "5-3", "1,,2", "1,", "-1", "1-", "1000", "0.5", "flux"])
def test_what_is_wrong_is_said_with_examples(text: str) -> None:
    with pytest.raises(ValueError, match=r"must be blocks such as 19-56.*flux-content"):
        parse_blocks(text)


@pytest.mark.parametrize("name", PRESETS)
def test_a_known_set_lies_within_its_network(name: str) -> None:
    found, of = parse_blocks(name), PRESETS[name]["of"]
    assert found is not None
    assert found.of == of == 57
    assert max(found.numbers) < 57
    assert PRESETS[name]["about"]


def test_the_known_sets_are_the_papers() -> None:
    sizes = {name: len(getattr(parse_blocks(name), "numbers", ())) for name in PRESETS}
    assert sizes == {"flux-content": 13, "flux-vital": 9, "flux-alternate": 19}
