"""Pictures of prompts with tags, in a library that holds anna and bob."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from lafi.errors import LafiError

from .host import WebUI

RED, GREEN = (200, 40, 60), (40, 200, 60)


def made(webui: WebUI, prompt: Any, lafi: Any = None, **fields: Any) -> Any:
    """Pictures of a prompt; LAFI is off unless it is given."""
    return webui.txt2img(lafi, prompt=prompt, **fields)


def digest(name: str, cutout: str = "auto") -> str:
    from lafi.webui.characters.folder import library

    return library().hash(library().find(name), "#ffffff", cutout)


def same(one: Any, two: Any) -> bool:
    return torch.equal(torch.stack(list(one.latents)), torch.stack(list(two.latents)))


def shown(run: dict[str, Any]) -> list[str]:
    """Whom a run showed; the hashes are those of the library."""
    hashes = {name: digest(name) for name in ("anna", "bob")}
    assert all(each["hash"] == hashes[each["name"]] for each in run["references"])
    return [each["name"] for each in run["references"]]


def failing(webui: WebUI, prompt: Any, match: str, **fields: Any) -> LafiError:
    with pytest.raises(LafiError, match=match) as failure:
        made(webui, prompt, **fields)
    return failure.value
