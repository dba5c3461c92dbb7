"""Promises 3, 4, 5 and 8, which only the model's inside shows: the host checks itself."""

from __future__ import annotations

import pytest

from .pictures import REFERENCE


@pytest.mark.parametrize("batch", [1, 2, 4])
def test_selftest(webui, batch, stream) -> None:
    body = {"batch": batch, "stream": stream, "size": max(64, webui.size // 2)}
    answer = webui.post("/lafi/v1/selftest", body)
    assert answer.status == 200, answer
    checks = answer.body["checks"]
    assert {check["promise"] for check in checks} >= {3, 4, 5, 8}
    assert [check for check in checks if not check["passed"]] == []


def test_leaves_nothing_behind(webui, plain, injected) -> None:
    before = plain().picture, injected().picture
    assert webui.post("/lafi/v1/selftest", {"size": max(64, webui.size // 2)}).status == 200
    after = webui.generate().picture, webui.generate({"image": REFERENCE}).picture
    assert before == after
