"""Runs a scenario on a WebUI."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager, nullcontext
from functools import singledispatch

from ..client import Picture, WebUI
from ..pictures import OTHER_REFERENCE, REFERENCE
from .facts import QUEUE, STATE
from .scenario import Fault, Fields, Guard, Queue, Reload, Scenario, Stop
from .verdict import ROUNDING, Findings, Outcome, Shot, Verdict, judge, judge_fault

ARM, DISARM, RELOAD = "/lafi-test/arm", "/lafi-test/disarm", "/lafi-test/reload"
GUARDED = ("/lafi/v1/version", "/lafi/v1/schema", "/lafi/v1/last-run")
# How long a WebUI may take to reload its page, in seconds.
PATIENCE = 180


def run(scenario: Scenario, webui: WebUI) -> Outcome:
    """One row of the table."""
    if scenario.skip:
        return Outcome(scenario.name, Verdict.SKIPPED, scenario.skip)
    try:
        with _options(scenario, webui):
            return play(scenario, webui)
    except (AssertionError, LookupError, TimeoutError) as error:
        # One scenario's trouble; the others still run.
        return Outcome(scenario.name, Verdict.FAIL, f"{type(error).__name__}: {error}"[:300])


def _options(scenario: Scenario, webui: WebUI) -> AbstractContextManager:
    if not scenario.options:
        return nullcontext()
    change = webui.lasting_options if scenario.lasting else webui.options
    return change(**scenario.options)


class Camera:
    """Makes a scenario's pictures."""

    def __init__(self, scenario: Scenario, webui: WebUI) -> None:
        self.scenario, self.webui = scenario, webui
        self.lafi: Fields = {"image": REFERENCE} | scenario.lafi

    def plain(self, beside: bool = True) -> Shot:
        """Without LAFI; `beside` is whether the other extension acts."""
        return self._shoot(None, beside)

    def made(self) -> Shot:
        """With LAFI."""
        return self._shoot(self.lafi, True)

    def first(self) -> Shot:
        """With LAFI, which has to record."""
        self.webui.clear_bank()
        return self.made()

    def _shoot(self, lafi: Fields | None, beside: bool) -> Shot:
        payload = {"route": self.scenario.route} | self.scenario.payload
        if others := self.scenario.beside if beside else self.scenario.apart:
            payload["alwayson_scripts"] = others
        before = self.webui.last_run()
        answer = self.webui.request(lafi, **payload)
        run = self.webui.last_run()
        new = run if run != before else None
        return Shot.of(answer, new, whole="script_name" in payload)


@singledispatch
def play(scenario: Scenario, webui: WebUI) -> Outcome:
    """What the scenario's kind does; the host's options are set."""
    camera = Camera(scenario, webui)
    if scenario.route == "img2img" or scenario.beside:
        # The VAE draws from the random state that the run before has left: now it is the same one.
        # And what another extension does to the host in its first run, is done.
        camera.plain()
    naked = camera.plain(beside=False) if scenario.beside else None
    if naked is not None:
        # Nor is some others' first run after one without them like the next ones (Kohya Hires.fix).
        camera.plain()
    before = camera.plain()
    made, again = camera.first(), camera.made()
    outcome = judge(scenario, before, made, again, camera.plain())
    if naked is None or outcome.verdict is Verdict.SKIPPED:
        return outcome
    return _with_neighbour(outcome, naked, before, camera.plain(beside=False))


def _with_neighbour(outcome: Outcome, naked: Shot, before: Shot, after: Shot) -> Outcome:
    """Adds what the other extension does by itself, and that both are gone afterwards."""
    alone = max(before.distances(naked))
    found = Findings([f"the extension alone {alone:.3g}", outcome.seen])
    if outcome.verdict is Verdict.FAIL:
        found.wrong.append(found.seen.pop())
    found.equal("next picture without either", after, naked)
    # Beside one that does nothing here, nothing is shown.
    return found.outcome(outcome.name, outcome.verdict if alone else Verdict.SKIPPED)


@play.register
def _fault(scenario: Fault, webui: WebUI) -> Outcome:
    """The fault comes in a run that records; that it came at all is part of the check."""
    camera = Camera(scenario, webui)
    plain, made = camera.plain(), camera.first()
    if plain.failed or made.failed:
        return Outcome(scenario.name, Verdict.FAIL, f"without the fault: {plain.text}{made.text}")
    before = webui.get(STATE)
    webui.clear_bank()
    fault = {"where": scenario.where, "call": scenario.call, "kind": scenario.kind}
    armed = webui.post(ARM, fault)
    assert armed.status == 200, armed
    try:
        broken = camera.made()
    finally:
        fired = webui.post(DISARM).body["fired"]
    left = webui.get(STATE)
    found = judge_fault(scenario, plain, made, broken, camera.plain(), camera.first())
    if not fired:
        found.wrong.append("the fault never came")
    stops = scenario.kind in ("interrupt", "skip")
    if broken.failed == stops and not scenario.may_recover:
        found.wrong.append("an error to the host" if stops else "the error was swallowed")
    if left["hooks"] != before["hooks"]:
        found.wrong.append(f"{left['hooks']} hooks after it, {before['hooks']} before")
    return found.outcome(scenario.name)


@play.register
def _stop(scenario: Stop, webui: WebUI) -> Outcome:
    short = Camera(Scenario(scenario.name), webui)
    plain, made = short.plain(), short.first()
    webui.clear_bank()
    lafi = {"image": REFERENCE} | scenario.lafi
    with webui.generating(lafi, **scenario.payload) as answers:
        assert webui.post(f"/sdapi/v1/{scenario.command}").status == 200
    broken = Shot.of(answers[0], webui.last_run())
    found = judge_fault(scenario, plain, made, broken, short.plain(), short.first())
    evaluations = broken.total("evaluations")
    if not 0 < evaluations < scenario.payload["steps"]:
        found.wrong.append(f"stopped after {evaluations} evaluations")
    return found.outcome(scenario.name)


@play.register
def _reload(scenario: Reload, webui: WebUI) -> Outcome:
    camera = Camera(scenario, webui)
    plain, made = camera.plain(), camera.first()
    before = webui.get(STATE)
    for _ in range(scenario.times):
        assert webui.post(RELOAD).status == 200
        _wait_for_another(webui, webui.get(STATE)["app"])
    found = Findings()
    found.equal("plain picture", camera.plain(), plain)
    found.equal("picture with LAFI", camera.first(), made)
    found.equal("repeated", camera.made(), made, 0.1)
    left = webui.get(STATE)
    for name in ("hooks", "wrappers"):
        if left[name] != before[name]:
            found.wrong.append(f"{name}: {left[name]}, before {before[name]}")
    return found.outcome(scenario.name)


def _wait_for_another(webui: WebUI, app: int) -> None:
    """Until the WebUI answers from another application object than `app`."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        time.sleep(1)
        if webui.has(STATE) and webui.get(STATE)["app"] != app:
            return
    raise TimeoutError(f"the WebUI did not come back within {PATIENCE} s")


@play.register
def _queue(scenario: Queue, webui: WebUI) -> Outcome:
    """Both wait before the first one runs; each must come out as it does when asked directly."""
    references = (REFERENCE, OTHER_REFERENCE)
    plain = webui.generate().picture
    direct = [webui.generate({"image": each}).picture for each in references]
    tasks = [webui.post(f"{QUEUE}/txt2img", webui.body({"image": each})) for each in references]
    found = Findings([f"{direct[0].distance(direct[1]):.3g} between the two references"])
    for number, (task, wanted) in enumerate(zip(tasks, direct, strict=True), 1):
        (result,) = _results(webui, task.body["task_id"])
        off = Picture.decode(result["image"]).distance(wanted)
        found.check(f"queued picture {number} is {off:.2g} off the direct one", off <= ROUNDING)
        found.check(f"its infotext names LAFI {number}", "LAFI reference" in result["infotext"])
    found.check("next plain picture equal", webui.generate().picture == plain)
    return found.outcome(scenario.name)


def _results(webui: WebUI, task: str) -> list[dict]:
    """A queued request's pictures, once they are there."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        status = webui.get(f"/agent-scheduler/v1/task/{task}")["data"]["status"]
        if status not in ("pending", "running"):
            return webui.get(f"/agent-scheduler/v1/task/{task}/results")["data"]
        time.sleep(0.5)
    raise TimeoutError(f"the queued request has not run within {PATIENCE} s")


@play.register
def _guard(scenario: Guard, webui: WebUI) -> Outcome:
    stranger = webui.stranger()
    wanted = stranger.try_get("/sdapi/v1/samplers").status
    found = Findings([f"the host answers {wanted}"])
    for path in GUARDED:
        if (status := stranger.try_get(path).status) != wanted:
            found.wrong.append(f"{path} answers {status} without the password")
        if (status := webui.try_get(path).status) != 200:
            found.wrong.append(f"{path} answers {status} with it")
    for path in ("/lafi/v1/validate", "/lafi/v1/selftest", "/lafi/v1/bank/clear"):
        if (status := stranger.post(path).status) != wanted:
            found.wrong.append(f"{path} answers {status} without the password")
    return found.outcome(scenario.name)
