"""The matrix's runner on a WebUI that is none."""

from __future__ import annotations

import json
from contextlib import contextmanager

from tests.e2e.client import Answer, Result
from tests.e2e.matrix.runner import run
from tests.e2e.matrix.scenario import Fault, Queue, Scenario
from tests.e2e.matrix.verdict import Outcome, Verdict
from tests.e2e.pictures import REFERENCE

from .test_matrix import CLAIM, DARK, GREY, LIGHT, SCENARIO, encoded, report


class Pretended:
    """A WebUI with LAFI; `sticky`: it is never switched off again, `deaf`: faults do not come."""

    def __init__(self, sticky: bool = False, deaf: bool = False) -> None:
        self.sticky, self.deaf = sticky, deaf
        self.reports, self.error = 0, ""
        self.on = self.armed = False
        self.open: dict | None = None

    def last_run(self) -> dict:
        return report(error=self.error) | {"number": self.reports}

    def clear_bank(self) -> int:
        return 0

    def get(self, path: str) -> dict:
        return {"hooks": 3}

    def post(self, path: str, body: dict | None = None) -> Answer:
        came = self.armed and not self.deaf
        self.armed = path.endswith("/arm")
        return Answer(200, {"fired": came})

    @contextmanager
    def options(self, **values):
        self.open = values
        yield
        self.open = None

    def request(self, lafi=None, **payload) -> Answer:
        self.on = lafi is not None or (self.sticky and self.on)
        self.reports += lafi is not None
        self.error = "RuntimeError" if lafi is not None and self.armed and not self.deaf else ""
        if self.error:
            return Answer(500, {"detail": "a fault"})
        plain = LIGHT if "loud" in payload.get("alwayson_scripts", {}) else GREY
        picture, text = (DARK, CLAIM[0]) if self.on else (plain, "")
        info = json.dumps({"infotexts": [text], "all_seeds": [7]})
        return Answer(200, {"images": [encoded(picture)], "info": info})


def test_a_scenario_runs_with_its_options_and_takes_them_back():
    webui = Pretended()
    assert run(Scenario("name", options={"a": 1}), webui).verdict is Verdict.PASS
    assert webui.open is None


def test_a_run_that_stays_switched_on_fails():
    outcome = run(SCENARIO, Pretended(sticky=True))
    assert outcome.verdict is Verdict.FAIL
    assert "next plain picture differs by 8" in outcome.seen


def test_beside_a_neighbour_the_picture_without_either_counts_too():
    beside = Scenario("name", beside={"loud": {"args": []}})
    outcome = run(beside, Pretended())
    assert outcome.verdict is Verdict.PASS
    assert outcome.seen.startswith("the extension alone 12; 20 from plain")
    assert outcome.seen.endswith("next picture without either equal")
    assert run(beside, Pretended(sticky=True)).verdict is Verdict.FAIL


def test_beside_a_neighbour_that_does_nothing_nothing_is_shown():
    beside = Scenario("name", beside={"quiet": {"args": []}})
    outcome = run(beside, Pretended())
    assert outcome.verdict is Verdict.SKIPPED
    assert outcome.seen.startswith("the extension alone 0; 8 from plain")


def test_a_neighbour_that_acts_by_itself_is_switched_off_for_the_picture_without_either():
    outcome = run(Scenario("name", beside={"quiet": {}}, apart={"loud": {}}), Pretended())
    assert outcome.verdict is Verdict.PASS
    assert outcome.seen.startswith("the extension alone 12; 8 from plain")


class Queueing(Pretended):
    """Agent Scheduler's queue; `stale`: it runs every request with the first one's reference."""

    def __init__(self, stale: bool = False) -> None:
        super().__init__()
        self.stale = stale
        self.references: list[str] = []

    def body(self, lafi) -> dict:
        return lafi

    def generate(self, lafi=None) -> Result:
        picture = GREY if lafi is None else DARK if lafi["image"] == REFERENCE else LIGHT
        return Result([picture], [""], {})

    def post(self, path: str, body: dict | None = None) -> Answer:
        self.references.append(body["image"])
        return Answer(200, {"task_id": len(self.references) - 1})

    def get(self, path: str) -> dict:
        if not path.endswith("/results"):
            return {"data": {"status": "done"}}
        number = 0 if self.stale else int(path.split("/")[-2])
        picture = self.generate({"image": self.references[number]}).picture
        return {"data": [{"image": encoded(picture), "infotext": CLAIM[0]}]}


def test_each_queued_request_must_come_out_with_its_own_reference():
    assert run(Queue("name"), Queueing()).verdict is Verdict.PASS
    stale = run(Queue("name"), Queueing(stale=True))
    assert stale.verdict is Verdict.FAIL
    assert "not so: queued picture 2 is 20 off the direct one" in stale.seen


def test_what_cannot_even_be_asked_fails_and_the_others_go_on():
    class Silent(Pretended):
        def last_run(self) -> dict:
            raise AssertionError("GET /lafi/v1/last-run: 404")

    outcome = run(SCENARIO, Silent())
    assert outcome.verdict is Verdict.FAIL
    assert outcome.seen == "AssertionError: GET /lafi/v1/last-run: 404"


def test_a_skipped_scenario_asks_nothing():
    assert run(Scenario("name", skip="why"), None) == Outcome("name", Verdict.SKIPPED, "why")


def test_a_fault_must_come_and_leave_nothing():
    assert run(Fault("name"), Pretended()).verdict is Verdict.PASS
    stopped = run(Fault("name", kind="skip"), Pretended())
    assert (stopped.verdict, "an error to the host" in stopped.seen) == (Verdict.FAIL, True)
    recovers = Fault("name", kind="skip", may_recover=True)
    assert run(recovers, Pretended()).verdict is Verdict.PASS
    deaf = run(Fault("name"), Pretended(deaf=True))
    assert deaf.verdict is Verdict.FAIL
    assert "the fault never came" in deaf.seen
