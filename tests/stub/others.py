"""Other people's scripts, as far as they meet LAFI's run."""

from __future__ import annotations

import copy
from typing import Any

from modules import scripts
from modules.processing import Processed, StableDiffusionProcessingImg2Img, process_images


class Detailer(scripts.Script):
    """ADetailer: ends and begins the other scripts on copies, and redraws a part of each picture.

    Args:
        scripts_inside: the runner of the pictures within, or None.
        changes: of the request within.
    """

    def __init__(self, scripts_inside: Any = None, **changes: Any) -> None:
        self.scripts_inside, self.changes = scripts_inside, changes

    def title(self) -> str:
        return "Detailer"

    def postprocess_image(self, p: Any, pp: Any, *args: Any) -> None:
        if getattr(p, "is_inner", False):
            return
        p.scripts.postprocess(copy.copy(p), Processed(p))
        inner = StableDiffusionProcessingImg2Img(
            init_images=[pp.image],
            steps=3,
            width=64,
            height=64,
            scripts=self.scripts_inside,
            script_args=p.script_args,
            extra_generation_params=copy.copy(p.extra_generation_params),
            **self.changes,
        )
        inner.is_inner = True  # type: ignore[attr-defined]
        pp.image = process_images(inner).images[0]
        copied = copy.copy(p)
        p.scripts.before_process(copied)
        p.scripts.process(copied)


class Sampling(scripts.Script):
    """Does something once in the middle of things: calls `action` with p in the named hook."""

    def __init__(self, hook: str, action: Any) -> None:
        setattr(self, hook, lambda p, *args, **kwargs: action(p))

    def title(self) -> str:
        return "Sampling"
