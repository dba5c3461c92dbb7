"""Promise 10 under fire: whatever is sent, LAFI acts or names what is wrong, and touches nothing.

``LAFI_HOSTILE_CASES=10000`` tries that many requests instead of a few hundred.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from fastapi import HTTPException
from hypothesis import given, settings
from modules import errors
from modules.processing import StableDiffusionProcessingTxt2Img, process_images

from . import hostile
from .host import WebUI

CASES = int(os.environ.get("LAFI_HOSTILE_CASES", "200"))
# Of Python's own audit events, those that reach beyond this process. Code that is imported late
# is read from files as well.
BEYOND = ("open", "socket.", "subprocess.", "os.system", "os.exec", "os.posix_spawn", "urllib.")
CODE = (".py", ".pyc", ".so", "__pycache__")


class Watch:
    """Notes what reaches beyond the process, while it is on."""

    def __init__(self) -> None:
        self.on = False
        self.seen: list[str] = []
        sys.addaudithook(self._hook)

    def _hook(self, event: str, args: tuple[Any, ...]) -> None:
        if self.on and event.startswith(BEYOND) and not str(args[0]).endswith(CODE):
            self.seen.append(f"{event} {str(args)[:200]}")

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Fails if anything was reached inside."""
        self.seen.clear()
        self.on = True
        try:
            yield
        finally:
            self.on = False
        assert self.seen == []


@pytest.fixture(scope="module")
def watch() -> Watch:
    """One for all: such a hook cannot be taken away again."""
    return Watch()


@pytest.fixture(scope="module")
def host() -> Iterator[WebUI]:
    """One WebUI for all requests."""
    host = WebUI("a1111")
    logging.getLogger("LAFI").setLevel(logging.CRITICAL)
    host.injected(width=64, height=64, steps=2)  # what libraries read once is read now
    yield host
    host.close()
    logging.getLogger("LAFI").setLevel(logging.INFO)


def answer(host: WebUI, args: list[Any], pictures: int = 1) -> tuple[int, Any]:
    """Status and detail that the host would answer, or 200 and what was made.

    Args:
        pictures: in one batch; an anchor needs two.
    """
    host.script.args_to = len(args)
    p = StableDiffusionProcessingTxt2Img(
        scripts=host.runner, script_args=args, width=64, height=64, steps=2,
        batch_size=pictures,
    )  # fmt: skip
    p.is_api = True  # type: ignore[attr-defined]
    host.kept.clear()
    errors.exception_records.clear()
    try:
        return 200, process_images(p)
    except HTTPException as error:
        return error.status_code, error.detail


def names_of(args: list[Any]) -> set[str]:
    """What an answer may blame: what was sent, and what is missing or contradicts it."""
    from lafi.settings import FIELDS

    sent = {field.name for field, _ in zip(FIELDS, args, strict=False)}
    if args and isinstance(args[0], dict):
        sent |= {str(key)[:80].encode(errors="backslashreplace").decode() for key in args[0]}
    return sent | {"image", "start", "mask", "passes", "args"}


def check_refusal(problems: Any, args: list[Any]) -> None:
    """A refusal names fields, in words that any answer can hold."""
    assert problems
    json.dumps(problems, ensure_ascii=False, allow_nan=False).encode()
    for each in problems:
        assert set(each) == {"loc", "msg"}
        (name,) = each["loc"]
        # A part of a field stands behind it, such as references[0].image.
        assert {name, re.split(r"[\[.]", name)[0]} & names_of(args)
        assert 0 < len(each["msg"]) < 1000


def check_success(host: WebUI, made: Any, args: list[Any]) -> None:
    """A picture is one that LAFI had its part in, or one that did not ask for it."""
    from lafi.settings import parse

    infotext = made.infotexts[0]
    if parse(args).acts:
        report = host.kept.reports.find(infotext["LAFI run"])
        assert sum(each["injected"] for each in report["passes"]) > 0
        hashes = [infotext[key] for key in infotext if re.fullmatch(r"LAFI reference( \d+)?", key)]
        acted = [each["hash"] for each in report["references"] if each["acted"]]
        assert " ".join(hashes) == " ".join(acted)
        json.dumps(report, ensure_ascii=False, allow_nan=False).encode()
        json.dumps(infotext, ensure_ascii=False).encode()
    else:
        assert not [key for key in infotext if key.startswith("LAFI")]


@pytest.mark.filterwarnings("default")
@settings(max_examples=CASES)
@given(args=hostile.requests())
def test_a_request_is_obeyed_or_refused_by_name(host: WebUI, watch: Watch, args: list[Any]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's, of broken files
        with watch.watching():
            status, detail = answer(host, args)
    assert status in (200, 422), detail
    assert errors.exception_records == []
    if status == 422:
        check_refusal(detail, args)
    else:
        check_success(host, detail, args)


@settings(max_examples=CASES)
@given(body=hostile.requests().map(lambda args: args[0]))
def test_validate_says_what_a_generation_would(host: WebUI, watch: Watch, body: Any) -> None:
    from lafi.webui import api

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with watch.watching():
            checked = api.check(body)
        if not isinstance(body, dict):
            assert body is None or checked.content[0]["loc"] == ["body"]
            return
        status, detail = answer(host, [body], pictures=2)
    # What depends on the run or its checkpoint may still be wrong with it, and is found first.
    of_the_run = {"passes", "start", "mask", "blocks", "position"}
    run_alone = status == 422 and {each["loc"][0] for each in detail} <= of_the_run
    if isinstance(checked, dict):
        assert status == 200 or run_alone
        assert checked["valid"] is True
    else:
        assert (checked.status_code, status) == (422, 422)
        check_refusal(checked.content, [body])
        if run_alone and checked.content != detail:  # without it, both must say the same
            rest = {name: value for name, value in body.items() if name not in of_the_run}
            assert answer(host, [rest], pictures=2) == (422, checked.content)
