"""Routes under /lafi-test/ that break the next run off, and tell what is left on the model."""

from __future__ import annotations

import hashlib
import sys
from typing import Any

import torch
from fastapi import Body
from modules import script_callbacks, shared
from modules.sd_samplers_common import Sampler

# LAFI's own calls of the UNet come from here.
CORE = "lafi.core"


class Fault:
    """One fault at one call of a part of the model; takes itself off."""

    def __init__(self, where: str, call: int, kind: str) -> None:
        self.where, self.call, self.kind = where, call, kind
        self.calls, self.fired = 0, False
        self.handle = part(where).register_forward_pre_hook(self.hook)

    def hook(self, _module: Any, _args: Any) -> None:
        """At each call of the part."""
        if self.where in ("unet", "reference") and by_lafi() != (self.where == "reference"):
            return
        self.calls += 1
        if self.calls == self.call:
            self.fired = True
            self.happen()

    def happen(self) -> None:
        """What was asked for."""
        if self.kind == "exception":
            raise RuntimeError("a fault for the test")
        if self.kind == "memory":
            raise torch.cuda.OutOfMemoryError("out of memory, for the test")
        getattr(shared.state, self.kind)()


armed: Fault | None = None


def by_lafi() -> bool:
    """Whether the call that is going on was made by LAFI."""
    frame = sys._getframe(1)
    while frame is not None:
        if frame.f_globals.get("__name__", "").startswith(CORE):
            return True
        frame = frame.f_back
    return False


def unet() -> torch.nn.Module:
    """The loaded checkpoint's UNet; the Forge family keeps it elsewhere."""
    objects = getattr(shared.sd_model, "forge_objects", None)
    return objects.unet.model.diffusion_model if objects else shared.sd_model.model.diffusion_model


def vae() -> torch.nn.Module:
    """The loaded checkpoint's VAE."""
    objects = getattr(shared.sd_model, "forge_objects", None)
    return objects.vae.first_stage_model if objects else shared.sd_model.first_stage_model


def part(where: str) -> torch.nn.Module:
    """A module that is called once in each use of it."""
    if where in ("unet", "reference"):
        return unet().time_embed
    return {"encode": vae().encoder, "decode": vae().decoder}[where]


def arm(where: str = Body(), call: int = Body(1), kind: str = Body("exception")) -> dict:
    """Lets the part's call of that number fail, once."""
    global armed
    disarm()
    armed = Fault(where, call, kind)
    return {}


def disarm() -> dict:
    """Takes the fault off; says whether it came, and how many calls there were."""
    global armed
    fault, armed = armed, None
    if fault is None:
        return {"fired": False, "calls": 0}
    fault.handle.remove()
    return {"fired": fault.fired, "calls": fault.calls}


def state() -> dict:
    """What a run could leave behind: hooks, random state; and which application answers."""
    digest = hashlib.sha256(torch.get_rng_state().numpy().tobytes())
    for each in torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else ():
        digest.update(each.numpy().tobytes())
    modules = [*unet().modules(), *vae().modules()]
    hooks = sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in modules)
    return {
        "hooks": hooks + sum("forward" in vars(module) for module in modules),
        "wrappers": wrappers(),
        "random": digest.hexdigest(),
        "app": id(shared.demo),
    }


def wrappers() -> int:
    """How many functions `launch_sampling` is wrapped in."""
    function, count = Sampler.launch_sampling, 0
    while cells := getattr(function, "__closure__", None):
        inner = [c.cell_contents for c in cells if callable(c.cell_contents)]
        if not inner:
            break
        function, count = inner[0], count + 1
    return count


def reload_page() -> dict:
    """As the button at the page's foot."""
    shared.state.request_restart()
    return {}


def register(_demo: Any, app: Any) -> None:
    """Adds the routes."""
    app.add_api_route("/lafi-test/arm", arm, methods=["POST"])
    app.add_api_route("/lafi-test/disarm", disarm, methods=["POST"])
    app.add_api_route("/lafi-test/state", state, methods=["GET"])
    app.add_api_route("/lafi-test/reload", reload_page, methods=["POST"])


script_callbacks.on_app_started(register)
