"""The demonstration itself: what is asked for, and the picture of it all."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from PIL import Image
from tqdm import tqdm

from lab.errors import LabError
from lab.host.bundled import fused_attention
from lab.host.checkpoint import PIXEL
from lab.host.embedded import SAMPLERS, Request
from lafi.settings import LafiSettings

from . import sheets
from .makers import Embedded, Maker, Remote
from .pictures import difference, draw_figure, read_picture
from .worlds import World, world_of

SWEEP = (
    ("LAFI's defaults", {}),
    ("the paper's setting", {"stream": "noise", "fidelity": 0, "strength": 1, "cutout": "off"}),
    ("every layer shared (not LAFI)", {"layers": "all"}),
    *((f"depth {depth} %", {"depth": depth}) for depth in (25, 50)),
    *((f"strength {strength}", {"strength": strength}) for strength in (1, 4)),
    *((f"fidelity {fidelity}", {"fidelity": fidelity}) for fidelity in (0, 0.5)),
    *((f"cutoff {cutoff} %", {"cutoff": cutoff}) for cutoff in (40, 100)),
)


def run(arguments: argparse.Namespace) -> Path:
    """Makes the pictures and saves the sheet of them.

    Raises:
        LabError: for anything the caller can mend.
    """
    if not (arguments.url or arguments.checkpoint or arguments.random) and PIXEL.exists():
        arguments.checkpoint = PIXEL
    world = _world(arguments)
    _check_out(arguments.out)
    with tqdm(desc="model evaluations", mininterval=1) as bar:
        maker: Maker
        if arguments.url:
            bar.set_description("pictures")
            maker = Remote(arguments.url, bar.update)
        else:
            maker = Embedded(arguments.checkpoint, bar.update)
        draw = _sweep if arguments.sweep else _actions
        with fused_attention():
            sheet = draw(arguments, world, maker, bar)
    sheet.save(arguments.out)
    return arguments.out


def _actions(arguments: argparse.Namespace, world: World, maker: Maker, bar: tqdm) -> Image.Image:
    """A row without a reference, then a row for each reference: the same prompts and seeds."""
    base = _request(arguments, world)
    requests = [
        replace(base, prompt=prompt, seed=arguments.seed + index)
        for index, prompt in enumerate(world.prompts)
    ]
    given = _given(arguments, world)
    wanted = 1 if given else len(world.references)
    drawn = 0 if given or not world.draws else wanted
    bar.total = maker.cost(base) * ((1 + wanted) * len(requests) + (0 if given else wanted - drawn))
    references = [given] if given else [_reference(i, base, world, maker) for i in range(wanted)]
    settings = LafiSettings(enabled=True)
    rows = [("without LAFI", None, [maker.make(each) for each in requests])]
    for number, reference in enumerate(references, 1):
        made = [maker.make(each, settings, reference) for each in requests]
        rows.append((f"with LAFI, reference {number}", reference, made))
    title = "LAFI: the same character in every picture"
    about = f"the same prompts and seeds in every row; {base.steps} steps. {maker.note}"
    return sheets.draw_rows(rows, list(world.prompts), [title, about])


def _sweep(arguments: argparse.Namespace, world: World, maker: Maker, bar: tqdm) -> Image.Image:
    """One prompt at several settings."""
    request = _request(arguments, world)
    given = _given(arguments, world)
    makes = given is None and not world.draws
    bar.total = maker.cost(request) * (1 + len(SWEEP) + makes)
    reference = given or _reference(0, request, world, maker)
    plain = maker.make(request)
    cells = [(reference, "reference", ""), (plain, "plain", "")]
    for label, changes in SWEEP:
        made = maker.make(request, LafiSettings(enabled=True, **changes), reference)
        cells.append((made, label, f"{difference(made, plain):.1f} % from plain"))
    about = f"prompt: {request.prompt}  (seed {request.seed}, {request.steps} steps)"
    return sheets.draw_grid(cells, 4, ["LAFI at several settings", about, maker.note])


def _world(arguments: argparse.Namespace) -> World:
    """What is made where the command line leaves it open."""
    world = world_of(arguments.checkpoint == PIXEL, bool(arguments.url or arguments.checkpoint))
    if arguments.prompt:
        world = replace(world, prompts=tuple(arguments.prompt))
    if arguments.reference_prompt:
        world = replace(world, references=(arguments.reference_prompt,), draws=False)
    return world


def _request(arguments: argparse.Namespace, world: World) -> Request:
    steps, size = arguments.steps or world.steps, arguments.size or world.size
    if steps < 2:
        raise LabError(f"--steps: must be 2 or more, not {steps}.")
    if size < 64 or size % 64:
        raise LabError(f"--size: must be a multiple of 64, not {size}.")
    if arguments.sampler not in SAMPLERS:
        raise LabError(f"--sampler: must be one of {', '.join(SAMPLERS)}.")
    return Request(
        world.prompts[0],
        seed=arguments.seed,
        steps=steps,
        size=size,
        scale=world.scale,
        sampler=arguments.sampler,
    )


def _given(arguments: argparse.Namespace, world: World) -> Image.Image | None:
    size = arguments.size or world.size
    return read_picture(arguments.reference, size) if arguments.reference else None


def _reference(number: int, request: Request, world: World, maker: Maker) -> Image.Image:
    """Reference `number`: drawn, or made from its prompt."""
    asked = world.references[number]
    if world.draws:
        return draw_figure(int(asked), request.size)
    return maker.make(replace(request, prompt=asked, seed=request.seed + 1))


def _check_out(path: Path) -> None:
    """Fails before the work, not after it, when the sheet cannot be saved."""
    if path.suffix.lower() != ".png":
        raise LabError(f"--out: {path} must end in .png.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    except OSError as error:
        raise LabError(f"--out: {path} cannot be written ({error}).") from None
