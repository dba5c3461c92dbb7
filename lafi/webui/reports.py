"""What the latest runs did, for the API and the log; no run ever reads it."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import asdict, astuple
from typing import TYPE_CHECKING, Any

from .. import __version__
from ..errors import LafiError

if TYPE_CHECKING:
    from .material import Material
    from .run import Run

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

    material = run.material
    return {
        "id": run.id,
        "version": __version__,
        "host": run.host_name,
        "family": run.family,
        "settings": run.settings.changed(),
        "references": _references(material) if material else [],
        "description": run.description,
        "passes": [asdict(each) for each in run.passes],
        "inner": run.inner,
        "bank": {"recordings": len(kept.bank), "bytes": kept.bank.nbytes},
        "seconds": round(time.perf_counter() - run.started, 3),
        "error": _error(run.error),
    }


def _references(material: Material) -> list[dict[str, Any]]:
    """Each picture, in the order in which the passes name them."""
    return [
        {
            "hash": view.picture.hash,
            "name": view.character.name,
            "strength": view.character.strength,
            "region": astuple(view.character.region) if view.character.region else None,
            "cut": {"reference": crop.cut, "subject": crop.subject_cut},
            "figure": view.picture.figure,
            "size": round(100 * material.size),
            # Of a storyboard's panel, by pass: whether what it left while it was made serves.
            "own": {} if index else dict(material.own),
        }
        for index, (view, crop) in enumerate(zip(material.views, material.crops, strict=True))
    ]


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
    shown = ", ".join(map(_shown, report["references"])) or "the first picture"
    word = "references" if len(report["references"]) > 1 else "reference"
    size = max((each["reference_bytes"] for each in passes), default=0) / 2**20
    return (
        f"{report['host']}, {report['family']}, {report['description']}; injected in "
        f"{total['injected']} of {total['evaluations']} evaluations ({total['recorded']} recorded, "
        f"{total['replayed']} replayed), {word} {shown}, "
        f"{total['reference_seconds']:.2f} s, {size:.1f} MiB"
    )


def _shown(reference: dict[str, Any]) -> str:
    figure = reference["figure"]
    cut_out = "" if figure is None else f" (the figure, {figure * 100:.0f} % of it)"
    size = "" if reference["size"] == 100 else f" at {reference['size']} % of its size"
    return reference["hash"] + cut_out + size
