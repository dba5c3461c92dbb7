"""Scenarios of runs that break off, and of hosts started in another way."""

from __future__ import annotations

from collections.abc import Iterator

from .facts import Facts
from .features import hires
from .scenario import Fault, Guard, Reload, Scenario, Stop

# (where, at which call)
PLACES = (
    ("unet", 1),
    ("unet", 3),
    ("reference", 1),
    ("reference", 3),
    ("encode", 1),
    ("decode", 1),
)
# As many as the late calls below need, whatever the other pictures take.
FIVE = {"steps": 5}
KINDS = {"exception": "exception", "memory": "out of memory"}
NAMES = {
    "unet": "in the UNet",
    "reference": "in the reference's pass",
    "encode": "while the VAE encodes the reference",
    "decode": "while the VAE decodes the picture",
}


def scenarios(facts: Facts) -> Iterator[Scenario]:
    """All of this kind, those that the host was not prepared for as skipped."""
    skip = "" if facts.faults else "tests/e2e/faults_extension is not among the host's extensions"
    for kind, title in KINDS.items():
        for where, call in PLACES:
            name = f"{title} {NAMES[where]}, call {call}"
            # The Forge family's VAE tries again in tiles then (f2.0.1 fails in that).
            tiles = facts.forge and kind == "memory" and where in ("encode", "decode")
            yield Fault(name, where=where, call=call, kind=kind, may_recover=tiles, skip=skip)
    yield Fault(
        "exception in the UNet, batch count 2",
        {"n_iter": 2} | FIVE,
        where="unet",
        call=8,
        skip=skip,
    )
    yield Fault(
        "exception in the second pass of hires",
        hires(facts, hr_scale=2) | FIVE,
        where="unet",
        call=8,
        skip=skip,
    )
    inversion = {"stream": "inversion"}
    yield Fault("exception in an inversion", FIVE, inversion, where="reference", call=4, skip=skip)
    for kind in ("interrupt", "skip"):
        yield Fault(f"{kind} in the UNet, call 3", where="unet", call=3, kind=kind, skip=skip)
        yield Fault(
            f"{kind} in an inversion",
            lafi=inversion,
            where="reference",
            call=3,
            kind=kind,
            skip=skip,
        )
        yield Stop(f"{kind} by the host's API", {"steps": 150}, {"cutoff": 100}, command=kind)
    yield Reload("Reload UI twice", skip=skip)
    yield from _flags(facts)


def _flags(facts: Facts) -> Iterator[Scenario]:
    """Those that need a flag on the host's command line."""
    for flag in ("medvram", "lowvram", "nowebui", "no_half"):
        skip = "" if facts.flags.get(flag) else f"the host was started without --{_dashed(flag)}"
        yield Scenario(f"--{_dashed(flag)}", {"batch_size": 2, "n_iter": 2}, passes=2, skip=skip)
        yield Scenario(f"--{_dashed(flag)}, hires", hires(facts), passes=2, skip=skip)
    skip = "" if facts.flags.get("api_auth") else "the host was started without --api-auth"
    yield Guard("--api-auth", skip=skip)


def _dashed(flag: str) -> str:
    return flag.replace("_", "-")
