"""A WebUI with the storyboard's script."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from modules import shared
from modules.processing import Processed
from PIL import Image

from lafi.storyboard.settings import arguments, parse

from .host import WebUI, load_script
from .others import Sampling

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "lafi_storyboard.py"
SIDE = 64
SMALL = {"width": SIDE, "height": SIDE, "steps": 3}
THREE = "running\nsitting\nreading"


class Stage:
    """A WebUI with the storyboard; what it saves lies in `folder`."""

    def __init__(self, host: WebUI, folder: Path) -> None:
        self.host, self.folder = host, folder
        self.script = load_script(SCRIPT).StoryboardScript()
        self.p: Any = None
        self.forget()

    def make(self, story: dict[str, Any], lafi: Any = None, **fields: Any) -> Processed:
        """A storyboard of "a boy"."""
        fields = {
            "outpath_grids": str(self.folder),
            **SMALL,
            "prompt": "a boy",
            "seed": 7,
            **fields,
        }
        self.p = self.host.processing(lafi, **fields)
        done: Processed = self.script.run(self.p, *arguments(parse([story])))
        return done

    def alone(self, lafi: Any = None, **fields: Any) -> Image.Image:
        """One picture, without the storyboard."""
        picture: Image.Image = self.host.txt2img(lafi, **{**SMALL, **fields}).images[0]
        return picture

    def reports(self) -> list[dict[str, Any]]:
        """Of all runs that LAFI took part in."""
        return list(self.host.kept.reports._recent)

    def shown(self) -> list[str]:
        """The hash of each run's reference; a panel that is recorded alone has none."""
        return [each["references"][0]["hash"] for each in self.reports() if each["references"]]

    def forget(self) -> None:
        """No run has been reported so far."""
        self.host.kept.reports._recent.clear()

    def saved(self, ending: str = "png") -> list[Path]:
        return sorted(self.folder.glob(f"*.{ending}"))


def pixels(picture: Image.Image) -> np.ndarray:
    return np.asarray(picture.convert("RGB"))


def same(one: Image.Image, other: Image.Image) -> bool:
    return one.size == other.size and bool((pixels(one) == pixels(other)).all())


class Watching:
    """Another script, which sees every panel and may stop one of them.

    Args:
        at: the panel's number, from 0.
        how: what is set in the host's state.

    Attributes:
        seen: of each panel: number and count of jobs, the job, the text.
    """

    def __init__(self, stage: Stage, at: int = -1, how: str = "") -> None:
        self.at, self.how = at, how
        self.seen: list[tuple[int, int, str, str | None]] = []
        stage.host.add(Sampling("process_batch", self._see))

    def _see(self, p: Any) -> None:
        state = shared.state
        if len(self.seen) == self.at:
            setattr(state, self.how, True)
        self.seen.append((state.job_no, state.job_count, state.job, state.textinfo))
