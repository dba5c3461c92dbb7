"""The matrix's own logic, without a WebUI: what it concludes, and what it writes."""

from __future__ import annotations

import base64
import io
import json

import numpy as np
import pytest
from PIL import Image

from lafi.webui.options import DEFAULTS
from tests.e2e.client import Answer, Picture, WebUI
from tests.e2e.matrix import faults, features, neighbours, sampling, table
from tests.e2e.matrix.facts import Facts
from tests.e2e.matrix.scenario import Guard, Scenario
from tests.e2e.matrix.verdict import Outcome, Shot, Verdict, judge

GREY, DARK, LIGHT = (
    Picture(np.full((8, 8, 3), value, dtype=np.uint8)) for value in (128, 120, 140)
)
CLAIM = ("..., LAFI reference: 1346c14e7a5b",)
PLAIN = Shot(200, "", (GREY,), ("Steps: 4",))
SCENARIO = Scenario("name")


def encoded(picture: Picture) -> str:
    buffer = io.BytesIO()
    Image.fromarray(picture.pixels).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def report(injected: int = 3, error: str = "", passes: int = 1) -> dict:
    one = {"injected": injected, "evaluations": 4}
    return {"passes": [one] * passes, "error": {"code": error} if error else None}


def made(**changes) -> Shot:
    fields = {"status": 200, "pictures": (DARK,), "infotexts": CLAIM, "run": report()}
    return Shot(**(fields | changes))


def verdict(scenario=SCENARIO, before=PLAIN, first=None, again=None, after=PLAIN) -> Outcome:
    first = first or made()
    return judge(scenario, before, first, again or first, after)


def test_a_run_that_keeps_all_promises_passes():
    outcome = verdict()
    assert outcome.verdict is Verdict.PASS
    assert outcome.seen == "8 from plain; 3 of 4 injected; repeated equal; next plain picture equal"


WRONG = {
    "the plain picture again": ({"first": made(pictures=(GREY,))}, "1 of 1 pictures are the plain"),
    "no report": ({"first": made(run=None)}, "last-run tells of no new run"),
    "nothing injected": ({"first": made(run=report(0))}, "0 passes injected, not 1"),
    "an error, swallowed": ({"first": made(run=report(error="vae_nan"))}, "an error: vae_nan"),
    "an infotext without it": ({"first": made(infotexts=("Steps: 4",))}, "1 infotexts do not name"),
    "another picture again": ({"again": made(pictures=(LIGHT,))}, "repeated differs by 20"),
    "something left behind": ({"after": Shot(200, "", (DARK,))}, "next plain picture differs by 8"),
    "the host broken": ({"after": Shot(500, "gone")}, "next plain picture: HTTP 500 gone"),
    "more pictures": ({"first": made(pictures=(DARK, DARK))}, "2 pictures for 1"),
    "an error of the host's": (
        {"first": Shot(500, "boom", run=report(error="RuntimeError"))},
        "boom",
    ),
    "an error without a report": ({"first": Shot(500, "boom")}, "HTTP 500, no code: boom"),
    "another refusal": ({"first": Shot(500, "no", run=report(error="vae_nan"))}, "vae_nan: no"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_fails_and_is_told(case):
    changes, told = WRONG[case]
    outcome = verdict(Scenario("name", refusals=("no_model",)), **changes)
    assert outcome.verdict is Verdict.FAIL
    assert told in outcome.seen


def test_each_picture_of_a_batch_must_differ():
    pair = Shot(200, "", (GREY, GREY))
    half = made(pictures=(DARK, GREY))
    outcome = verdict(before=pair, first=half, after=pair)
    assert outcome.verdict is Verdict.FAIL
    assert "1 of 2 pictures are the plain ones" in outcome.seen


def test_each_pass_must_have_injected():
    both = Scenario("name", passes=2)
    assert verdict(both).verdict is Verdict.FAIL
    assert verdict(both, first=made(run=report(passes=2))).verdict is Verdict.PASS


def test_runs_within_the_pictures_must_have_injected_where_that_is_wanted():
    inside = Scenario("name", inner=2)
    acted, idle = {"passes": [{"injected": 1}]}, {"passes": [{"injected": 0}]}
    one, two = (made(run=report() | {"inner": runs}) for runs in ([acted, idle], [acted, acted]))
    assert verdict(inside, first=one).verdict is Verdict.FAIL
    assert verdict(inside, first=two).verdict is Verdict.PASS


def test_rounding_is_told_and_no_fault():
    pixels = DARK.pixels.copy()
    pixels[0, 0, 0] += 1
    outcome = verdict(again=made(pictures=(Picture(pixels),)))
    assert outcome.verdict is Verdict.PASS
    assert "repeated 0.0052 off" in outcome.seen


def test_a_clear_refusal_needs_its_code_and_an_unchanged_next_picture():
    scenario = Scenario("name", refusals=("mask_does_not_fit",))
    refused = Shot(500, "...", run=report(error="mask_does_not_fit"))
    assert verdict(scenario, first=refused).verdict is Verdict.REFUSED
    spoilt = verdict(scenario, first=refused, after=Shot(200, "", (DARK,)))
    assert spoilt.verdict is Verdict.FAIL


def test_what_the_host_itself_cannot_do_is_skipped():
    outcome = verdict(before=Shot(404, json.dumps({"detail": "no such\nsampler"})))
    assert outcome == Outcome("name", Verdict.SKIPPED, "the host itself: no such sampler")


def test_a_host_whose_own_picture_is_black_is_skipped():
    """A sampler for flow models on another one: nothing can differ from that."""
    black = Shot(200, "", (GREY, Picture(np.zeros((8, 8, 3), dtype=np.uint8))), ("Steps: 4",))
    outcome = verdict(before=black)
    assert (outcome.verdict, "black" in outcome.seen) == (Verdict.SKIPPED, True)


# ---- the scenarios ------------------------------------------------------------------------------

BARE = Facts(samplers=("Euler a", "DPM++ 2M"))


def everything(facts: Facts) -> list[Scenario]:
    kinds = (sampling, features, neighbours, faults)
    return [each for kind in kinds for each in kind.scenarios(facts)]


def test_names_are_unique():
    names = [each.name for each in everything(BARE)]
    assert sorted(names) == sorted(set(names))


def test_a_bare_host_skips_with_a_word():
    skipped = {each.name: each.skip for each in everything(BARE) if each.skip}
    assert skipped["refiner"] == "the host has only one checkpoint"
    assert skipped["HyperTile"].startswith("the host has no option hypertile_enable_unet")
    assert skipped["ADetailer"] == "the host has no script adetailer"
    assert skipped["--medvram"] == "the host was started without --medvram"
    assert "faults_extension" in skipped["Reload UI twice"]
    assert skipped["SD upscale"] == "the host has no script sd upscale"


def test_a_host_that_has_more_skips_less():
    scripts = {("txt2img", "adetailer"): [{"label": "Enable", "value": False}]}
    facts = Facts(
        checkpoints=("other",),
        flags={"medvram": True, "api_auth": "x:y"},
        faults=True,
        scripts=scripts,
    )
    found = {each.name: each for each in everything(facts)}
    for name in ("refiner", "--medvram", "--api-auth", "Reload UI twice", "ADetailer"):
        assert found[name].skip == ""
    assert isinstance(found["--api-auth"], Guard)
    assert found["ADetailer"].beside["adetailer"]["args"][0] is True


def test_a_host_with_tiles_may_recover_from_a_vae_that_is_too_large():
    name = "out of memory while the VAE decodes the picture, call 1"
    for options, recovers in ((frozenset({"forge_preset"}), True), (frozenset(), False)):
        found = {each.name: each for each in everything(Facts(options=options))}
        assert found[name].may_recover is recovers
        assert not found[name.replace("out of memory", "exception")].may_recover


def test_script_arguments_go_by_label_or_position():
    known = [{"label": "A", "value": 1}, {"label": "", "value": 2}]
    facts = Facts(scripts={("txt2img", "some script"): known})
    assert facts.arguments("some script", "txt2img", {"A": 5, 3: 7}) == [5, 2, None, 7]
    with pytest.raises(KeyError, match="no argument B"):
        facts.arguments("some script", "txt2img", {"B": 5})


# ---- the table ----------------------------------------------------------------------------------

ROWS = [
    Outcome("[a|b]", Verdict.PASS, "8 from plain"),
    Outcome("refiner", Verdict.SKIPPED, "one checkpoint"),
    Outcome("other", Verdict.FAIL, ""),
]


def test_a_table_is_read_as_it_was_written(tmp_path):
    path = tmp_path / "matrix.md"
    path.write_text(table.render("Title", ["a host"], ROWS), encoding="utf-8")
    assert list(table.read(path).values()) == ROWS
    text = path.read_text(encoding="utf-8")
    assert text.startswith("# Title\n\n- a host\n- 3 scenarios: 1 pass, 1 fail, 0 refused")
    assert table.read(tmp_path / "none.md") == {}


def test_a_skip_does_not_replace_what_ran():
    old = {each.name: each for each in ROWS}
    new = [
        Outcome("[a|b]", Verdict.SKIPPED, "why"),
        Outcome("refiner", Verdict.PASS, "now"),
        Outcome("third", Verdict.PASS, ""),
    ]
    merged = table.merge(old, new)
    assert merged == [ROWS[0], new[1], ROWS[2], new[2]]


# ---- the client ---------------------------------------------------------------------------------


class Listening(WebUI):
    """A WebUI that writes down what it is sent, and lists no option of an extension."""

    def __init__(self) -> None:
        super().__init__("http://user:pass%40@host:1/", 64, 1)
        self.sent: list[dict] = []

    def request(self, lafi=None, route="txt2img", **payload) -> Answer:
        self.sent.append(payload["override_settings"])
        info = json.dumps({"infotexts": [""], "all_seeds": [7]})
        return Answer(200, {"images": [encoded(GREY)], "info": info})

    def get(self, path: str) -> dict:
        return {}


@pytest.mark.parametrize("name", DEFAULTS)
def test_the_client_puts_unlisted_options_back_to_their_defaults(name):
    webui = Listening()
    with webui.options(**{name: "other"}):
        assert webui.sent == [{name: "other"}]
    assert webui.sent[1:] == [{name: DEFAULTS[name]}]


def test_the_client_takes_the_password_from_the_address():
    webui = Listening()
    assert webui.url == "http://host:1"
    assert base64.b64decode(webui.headers["Authorization"].split()[1]) == b"user:pass@"
    assert webui.stranger().headers == {}
