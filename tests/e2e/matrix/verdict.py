"""What came out of a scenario, and what that says. Knows no WebUI: it is tested alone."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from ..client import Answer, Picture
from .scenario import Scenario

# Mean difference, of 255, that other orders of the same sums may make: recorded and replayed.
ROUNDING = 0.1
# LAFI's codes look like this; what is not LAFI's has its exception's name.
CODE = re.compile(r"[a-z]+(_[a-z]+)+")


class Verdict(str, Enum):
    """What a row of the table says."""

    PASS = "pass"
    FAIL = "fail"
    REFUSED = "refused clearly"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class Outcome:
    """A row of the table."""

    name: str
    verdict: Verdict
    seen: str


@dataclass(frozen=True)
class Shot:
    """One request's answer, and what LAFI reported of it.

    Attributes:
        status: of HTTP.
        text: the answer's, if it was an error.
        pictures: every picture of the answer, grids too if a script made them.
        infotexts: those of single pictures.
        run: LAFI's report, None if it is still the one from before.
    """

    status: int
    text: str = ""
    pictures: tuple[Picture, ...] = ()
    infotexts: tuple[str, ...] = ()
    run: dict[str, Any] | None = None

    @classmethod
    def of(cls, answer: Answer, run: dict[str, Any] | None, whole: bool = False) -> Shot:
        """From an answer; `whole` keeps grids, which scripts put where they like."""
        if answer.status != 200:
            return cls(answer.status, json.dumps(answer.body), run=run)
        info = json.loads(answer.body["info"])
        images = answer.body["images"]
        first, count = info.get("index_of_first_image", 0), len(info["all_seeds"])
        if not whole:
            images = images[first : first + count]
        pictures = tuple(map(Picture.decode, images))
        return cls(200, "", pictures, tuple(info["infotexts"][first:]), run)

    @property
    def failed(self) -> bool:
        return self.status != 200

    @property
    def code(self) -> str:
        """The code of the error that LAFI reported; empty if none."""
        error = (self.run or {}).get("error")
        return error["code"] if error else ""

    def total(self, counter: str) -> int:
        """A counter of the report, summed over the passes."""
        return sum(each[counter] for each in (self.run or {}).get("passes", []))

    def distances(self, other: Shot) -> list[float]:
        """Mean differences picture by picture; infinite where there is no counterpart."""
        if len(self.pictures) != len(other.pictures):
            return [float("inf")]
        pairs = zip(self.pictures, other.pictures, strict=True)
        return [_distance(one, two) for one, two in pairs] or [float("inf")]


def _distance(one: Picture, other: Picture) -> float:
    return one.distance(other) if one.pixels.shape == other.pixels.shape else float("inf")


@dataclass
class Findings:
    """What was seen, and what of it is wrong."""

    seen: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def outcome(self, name: str, verdict: Verdict = Verdict.PASS) -> Outcome:
        """As a row: what is wrong stands first."""
        if self.wrong:
            return Outcome(name, Verdict.FAIL, "; ".join([*self.wrong, *self.seen]))
        return Outcome(name, verdict, "; ".join(self.seen))

    def equal(self, what: str, one: Shot, other: Shot, allowed: float = 0) -> None:
        """Two shots that must not differ by more than is allowed, picture by picture."""
        if one.failed or other.failed:
            self.wrong.append(f"{what}: HTTP {max(one.status, other.status)} {_short(one.text)}")
            return
        most = max(one.distances(other))
        if most > allowed:
            self.wrong.append(f"{what} differs by {most:.3g}")
        else:
            self.seen.append(f"{what} equal" if most == 0 else f"{what} {most:.2g} off")

    def check(self, what: str, holds: bool) -> None:
        """Something that must hold, in words that tell it either way."""
        (self.seen if holds else self.wrong).append(what if holds else f"not so: {what}")

    def injected(self, made: Shot, passes: int, inner: int = 0) -> None:
        """Whether LAFI did what it was asked, and claims no more than it did."""
        if made.run is None:
            self.wrong.append("last-run tells of no new run")
            return
        if made.code:
            self.wrong.append(f"last-run tells of an error: {made.code}")
        acted = [each for each in made.run["passes"] if each["injected"]]
        if len(acted) < passes:
            self.wrong.append(f"{len(acted)} passes injected, not {passes}")
        self.seen.append(f"{made.total('injected')} of {made.total('evaluations')} injected")
        within = [run for run in made.run.get("inner", []) if Shot(200, run=run).total("injected")]
        if inner:
            self.check(f"{len(within)} inner runs injected, {inner} wanted", len(within) >= inner)
        silent = [text for text in made.infotexts if "LAFI reference" not in text]
        if silent:
            self.wrong.append(f"{len(silent)} infotexts do not name the reference")


def judge(scenario: Scenario, before: Shot, made: Shot, again: Shot, after: Shot) -> Outcome:
    """Of one request without LAFI, with it, with it again, without it.

    Args:
        scenario: what was asked for.
        before, made, again, after: the four answers, in this order.
    """
    found = Findings()
    if before.failed:
        return Outcome(scenario.name, Verdict.SKIPPED, f"the host itself: {_short(before.text)}")
    if not all(picture.pixels.any() for picture in before.pictures):
        told = "the host itself: a black picture, as of values that are no numbers"
        return Outcome(scenario.name, Verdict.SKIPPED, told)
    if made.failed:
        found.equal("next plain picture", after, before)
        if not CODE.fullmatch(made.code) or made.code not in scenario.refusals:
            told = made.code or "no code"
            found.wrong.append(f"HTTP {made.status}, {told}: {_short(made.text)}")
        found.seen.insert(0, f"{made.code}")
        return found.outcome(scenario.name, Verdict.REFUSED)
    differences = made.distances(before)
    found.seen.append(f"{_spread(differences)} from plain")
    if float("inf") in differences:
        count = len(made.pictures)
        found.wrong.append(f"{count} pictures for {len(before.pictures)}, or of another size")
    if min(differences) == 0:
        same = sum(each == 0 for each in differences)
        found.wrong.append(f"{same} of {len(differences)} pictures are the plain ones")
    found.injected(made, scenario.passes, scenario.inner)
    found.equal("repeated", again, made, ROUNDING)
    found.equal("next plain picture", after, before)
    return found.outcome(scenario.name)


def judge_fault(
    scenario: Scenario, plain: Shot, made: Shot, broken: Shot, after: Shot, again: Shot
) -> Findings:
    """Of a run that was broken off: what comes after it is as it was before.

    Args:
        scenario: what was asked for.
        plain, made: pictures without and with LAFI before the fault.
        broken: the run with the fault.
        after, again: pictures without and with LAFI after it.
    """
    found = Findings()
    found.seen.append(f"HTTP {broken.status}")
    if broken.code:
        found.seen.append(broken.code)
    elif broken.failed and broken.run is not None:
        found.wrong.append("last-run tells of no error")
    found.equal("next plain picture", after, plain)
    found.equal("next picture with LAFI", again, made)
    return found


def _spread(differences: list[float]) -> str:
    low, high = min(differences), max(differences)
    return f"{low:.3g}" if len(differences) == 1 else f"{low:.3g} to {high:.3g}"


def _short(text: str) -> str:
    """The beginning of an error's text, for a table's cell."""
    try:
        body = json.loads(text)
        text = str(body.get("errors") or body.get("detail") or body)
    except (ValueError, AttributeError):
        pass
    return " ".join(text.split())[:160]
