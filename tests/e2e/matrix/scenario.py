"""What a scenario is: data, told apart by its kind."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

Fields = dict[str, Any]


@dataclass(frozen=True)
class Scenario:
    """One request, made without LAFI, with it, with it again, and without it once more.

    Attributes:
        name: unique, and stable: rows of an older table are found by it.
        payload: fields of the host's request, beside the client's defaults.
        lafi: LAFI's fields, beside the reference.
        route: txt2img or img2img.
        options: the host's options while the scenario runs.
        lasting: the options need the host's callbacks, so they go through its settings file.
        beside: another extension's entry in ``alwayson_scripts``: it acts in every picture of the
            scenario but a first and a last one, which must be equal.
        apart: its entry in those two, if it acts without being named.
        refusals: LAFI's codes with which it may refuse, clearly.
        passes: how many passes must have injected; a batch count of 3 has 3.
        inner: how many runs within the pictures must have injected too; see ADetailer.
        skip: why this host cannot run it; empty if it can.
    """

    name: str
    payload: Fields = field(default_factory=dict)
    lafi: Fields = field(default_factory=dict)
    route: str = "txt2img"
    options: Fields = field(default_factory=dict)
    lasting: bool = False
    beside: Fields = field(default_factory=dict)
    apart: Fields = field(default_factory=dict)
    refusals: tuple[str, ...] = ()
    passes: int = 1
    inner: int = 0
    skip: str = ""


@dataclass(frozen=True)
class Fault(Scenario):
    """A run that the test extension breaks off inside the host.

    Attributes:
        where: unet (the picture's own calls), reference (LAFI's calls of the UNet), encode
            (of the VAE), or decode.
        call: at which call, counted from 1.
        kind: exception, memory, interrupt or skip.
        may_recover: whether the host tries to make the picture all the same, in another way.
    """

    where: str = "unet"
    call: int = 1
    kind: str = "exception"
    may_recover: bool = False


@dataclass(frozen=True)
class Stop(Scenario):
    """A long run that is stopped from outside through the host's API.

    Attributes:
        command: interrupt or skip.
    """

    command: str = "interrupt"


@dataclass(frozen=True)
class Reload(Scenario):
    """The page's *Reload UI*, so many times, between two pictures with LAFI."""

    times: int = 2


@dataclass(frozen=True)
class Queue(Scenario):
    """Two requests with different references wait in Agent Scheduler's queue."""


@dataclass(frozen=True)
class Guard(Scenario):
    """LAFI's routes ask for the password that the host's own routes ask for."""
