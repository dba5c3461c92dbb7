"""Where the demonstration's pictures are made: by the embedded host, or by a running WebUI."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from PIL import Image

from lab.host.checkpoint import PIXEL, load_checkpoint
from lab.host.embedded import EmbeddedHost, Request
from lab.host.model import random_model
from lab.host.remote import RemoteHost
from lafi.settings import LafiSettings

from .pictures import to_picture

Progress = Callable[[int], object]  # told how many units are done


class Maker(Protocol):
    """Makes one picture at a time.

    Attributes:
        note: a line that says with what.
    """

    note: str

    def cost(self, request: Request) -> int:
        """How many units of progress a picture takes."""

    def make(
        self,
        request: Request,
        settings: LafiSettings | None = None,
        reference: Image.Image | None = None,
    ) -> Image.Image:
        """A picture: plain, or with settings and a reference."""


class Embedded:
    """A model in this process; a bundled, a given or a random one."""

    def __init__(self, checkpoint: Path | None, progress: Progress) -> None:
        model = load_checkpoint(checkpoint) if checkpoint else random_model()
        self._host = EmbeddedHost(model, lambda: progress(1))
        if checkpoint == PIXEL:
            self.note = "model: the pixel world's, 13 million parameters; docs/evidence.md."
        elif checkpoint:
            self.note = f"model: {checkpoint.name}"
        else:
            self.note = (
                "RANDOM WEIGHTS: this shows that the parts work together, not what LAFI does for a "
                "character. See --checkpoint and --url."
            )

    def cost(self, request: Request) -> int:
        return request.evaluations

    def make(
        self,
        request: Request,
        settings: LafiSettings | None = None,
        reference: Image.Image | None = None,
    ) -> Image.Image:
        return to_picture(self._host.generate(request, settings, reference)[0])


class Remote:
    """A WebUI that runs elsewhere."""

    def __init__(self, url: str, progress: Progress) -> None:
        self._host, self._progress = RemoteHost(url), progress
        self.note = f"LAFI {self._host.version} at {url}"

    def cost(self, request: Request) -> int:
        return 1

    def make(
        self,
        request: Request,
        settings: LafiSettings | None = None,
        reference: Image.Image | None = None,
    ) -> Image.Image:
        picture = self._host.generate(request, settings, reference)
        self._progress(1)
        return picture
