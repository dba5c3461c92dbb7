"""The error that users see."""

from __future__ import annotations

from lafi.errors import LafiError, invalid, invalid_fields


def test_bad_input_names_its_fields() -> None:
    problems = [{"loc": ["depth"], "msg": "is wrong"}, {"loc": ["start"], "msg": "is too high"}]
    error = invalid_fields(problems)
    assert (error.code, error.problems) == ("invalid_settings", problems)
    assert str(error) == "LAFI: depth: is wrong; start: is too high."


def test_one_field() -> None:
    assert invalid("mask", "is empty").problems == [{"loc": ["mask"], "msg": "is empty"}]


def test_anything_else_has_advice() -> None:
    error = LafiError("no_model", "no checkpoint is loaded.", "Choose one.")
    assert str(error) == "LAFI: no checkpoint is loaded. Choose one."
    assert str(LafiError("code", "message.")) == "LAFI: message."
