"""What the latest runs did, for the API and the log; no run ever reads it."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Hashable
from dataclasses import asdict, astuple
from typing import TYPE_CHECKING, Any

from .. import __version__
from ..errors import LafiError

if TYPE_CHECKING:
    from .fitting import Crop
    from .run import Run
    from .views import View

KEPT = 100


class Reports:
    """The latest reports by the id of their run."""

    def __init__(self) -> None:
        self._recent: deque[dict[str, Any]] = deque(maxlen=KEPT)

    def add(self, report: dict[str, Any]) -> None:
        """Keeps one more, and lets go of the oldest."""
        self._recent.append(report)

    def latest(self) -> dict[str, Any]:
        """Of the run that ended last; empty before the first."""
        return self._recent[-1] if self._recent else {}

    def find(self, run_id: str) -> dict[str, Any] | None:
        """Of the run that a picture's infotext names."""
        return next((each for each in self._recent if each["id"] == run_id), None)


def describe(run: Run) -> dict[str, Any]:
    """What happened in a run, as the API tells it."""
    from . import kept

    return {
        "id": run.id,
        "version": __version__,
        "host": run.host_name,
        "family": run.family,
        "settings": run.settings.changed(),
        "references": _references(run),
        "description": run.description,
        "passes": [asdict(each.report) for each in run.passes],
        "inner": run.inner,
        "bank": {"recordings": len(kept.bank), "bytes": kept.bank.nbytes},
        "seconds": round(time.perf_counter() - run.started, 3),
        "error": _error(run.error),
    }


def _references(run: Run) -> list[dict[str, Any]]:
    """Each picture that any pass was made of, in the order in which the passes name them, and
    whether it acted in one of them."""
    found: dict[Hashable, dict[str, Any]] = {}
    made = [(each.material, each.acted) for each in run.passes]
    for material, acted in made + ([(run.material, set())] if run.material else []):
        given: Counter[Hashable] = Counter()
        for number, (view, crop) in enumerate(zip(material.views, material.crops, strict=True)):
            said = _reference(view, crop) | {"size": round(100 * material.size)}
            key: Hashable = (said["hash"], said["name"], said["strength"], said["region"])
            given[key] += 1  # the same one twice in a pass is two
            entry = found.setdefault((key, given[key]), said)
            entry["acted"] |= number in acted
            # Of a storyboard's panel, by pass: whether what it left while it was made serves.
            entry["own"] |= {} if number else material.own
    return list(found.values())


def _reference(view: View, crop: Crop) -> dict[str, Any]:
    character, picture = view.character, view.picture
    return {
        "hash": picture.hash,
        "name": character.name,
        "strength": character.strength,
        "region": astuple(character.region) if character.region else None,
        "cut": {"reference": crop.cut, "subject": crop.subject_cut},
        "figure": picture.figure,
        "acted": False,
        "own": {},
    }


def code_of(error: BaseException) -> str:
    """The short name of an error."""
    return error.code if isinstance(error, LafiError) else type(error).__name__


def _error(error: BaseException | None) -> dict[str, str] | None:
    if error is None:
        return None
    return {"code": code_of(error), "message": str(error).removeprefix("LAFI: ")}


def summarise(report: dict[str, Any]) -> str:
    """A run's report as one line."""
    if report["error"]:
        return f"failed ({report['error']['code']}): {report['error']['message']}"
    passes = report["passes"]
    total = {
        name: sum(each[name] for each in passes)
        for name in ("evaluations", "injected", "recorded", "replayed", "reference_seconds")
    }
    acted = [_shown(each) for each in report["references"] if each["acted"]]
    if not acted:
        acted = ["the first picture" if any(each["anchored"] for each in passes) else "none"]
    word = "references" if len(acted) > 1 else "reference"
    size = max((each["reference_bytes"] for each in passes), default=0) / 2**20
    return (
        f"{report['host']}, {report['family']}, {report['description']}; injected in "
        f"{total['injected']} of {total['evaluations']} evaluations ({total['recorded']} recorded, "
        f"{total['replayed']} replayed), {word} {', '.join(acted)}, "
        f"{total['reference_seconds']:.2f} s, {size:.1f} MiB"
    )


def _shown(reference: dict[str, Any]) -> str:
    figure = reference["figure"]
    cut_out = "" if figure is None else f" (the figure, {figure * 100:.0f} % of it)"
    size = "" if reference["size"] == 100 else f" at {reference['size']} % of its size"
    return reference["hash"] + cut_out + size
