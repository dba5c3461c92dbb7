"""The demonstration itself: which pictures are made, by which host, and the grid of them."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image
from tqdm import tqdm

from lab.errors import LabError
from lab.host.bundled import fused_attention
from lab.host.checkpoint import PIXEL, load_checkpoint
from lab.host.embedded import SAMPLERS, EmbeddedHost, Request
from lab.host.model import Model, random_model
from lab.host.remote import RemoteHost
from lafi.settings import LafiSettings

from .grid import difference, draw_figure, draw_grid, read_picture, to_picture, to_tensor

COLUMNS = 4
CELLS = (
    ("LAFI: depth 100 %, cutoff 80 %", LafiSettings(enabled=True)),
    ("every layer shared (not LAFI)", LafiSettings(enabled=True, layers="all")),
    *((f"depth {depth} %", LafiSettings(enabled=True, depth=depth)) for depth in (25, 50, 75)),
    ("fidelity 0, strength 1", LafiSettings(enabled=True, fidelity=0, strength=1)),
    ("strength 4", LafiSettings(enabled=True, strength=4)),
    *((f"cutoff {cutoff} %", LafiSettings(enabled=True, cutoff=cutoff)) for cutoff in (40, 60)),
    ("cutoff 100 %", LafiSettings(enabled=True, cutoff=100)),
)


@dataclass(frozen=True)
class Defaults:
    """What is made where the command line leaves it open."""

    prompt: str
    reference_prompt: str
    steps: int
    size: int


TRAINED = Defaults(
    "photo of a woman with red hair in a blue coat, running through a forest",
    "photo of a woman with red hair in a blue coat, standing in a street",
    20,
    512,
)
# Without a reference prompt the reference is drawn, not sampled.
PIXEL_WORLD = Defaults("a figure, running facing right, green field", "", 20, 128)
RANDOM = Defaults("a knight, running", "", 12, 256)

# A request and settings (None for a plain picture) to a picture.
Generate = Callable[[Request, "LafiSettings | None"], Image.Image]


def run(arguments: argparse.Namespace) -> Path:
    """Makes the grid and saves it.

    Raises:
        LabError: for anything the caller can mend.
    """
    if not (arguments.url or arguments.checkpoint or arguments.random) and PIXEL.exists():
        arguments.checkpoint = PIXEL
    request, reference_request = _requests(arguments)
    _check_out(arguments.out)
    given = arguments.reference and read_picture(arguments.reference, request.size)
    make = _remote if arguments.url else _embedded
    pictures, note = make(arguments, request, reference_request, given)
    plain = pictures[1][0]
    cells = [
        (picture, label, "" if index < 2 else f"{difference(picture, plain):.1f} % from plain")
        for index, (picture, label) in enumerate(pictures)
    ]
    about = f"prompt: {request.prompt}  (seed {request.seed}, {request.steps} steps)"
    sheet = draw_grid(cells, COLUMNS, ["LAFI: one character, a new action", about, note])
    sheet.save(arguments.out)
    return arguments.out


def _check_out(path: Path) -> None:
    """Fails before the work, not after it, when the grid cannot be saved."""
    if path.suffix.lower() != ".png":
        raise LabError(f"--out: {path} must end in .png.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    except OSError as error:
        raise LabError(f"--out: {path} cannot be written ({error}).") from None


def _requests(arguments: argparse.Namespace) -> tuple[Request, Request]:
    """What to make: the new picture, and the reference where none is given."""
    if arguments.checkpoint == PIXEL:
        defaults = PIXEL_WORLD
    else:
        defaults = TRAINED if arguments.url or arguments.checkpoint else RANDOM
    chosen = {
        name: value
        for name in ("prompt", "reference_prompt", "steps", "size")
        for value in [getattr(arguments, name)]
        if value is not None
    }
    wanted = replace(defaults, **chosen)
    if wanted.steps < 2:
        raise LabError(f"--steps: must be 2 or more, not {wanted.steps}.")
    if wanted.size < 64 or wanted.size % 64:
        raise LabError(f"--size: must be a multiple of 64, not {wanted.size}.")
    if arguments.sampler not in SAMPLERS:
        raise LabError(f"--sampler: must be one of {', '.join(SAMPLERS)}.")
    request = Request(
        wanted.prompt,
        seed=arguments.seed,
        steps=wanted.steps,
        size=wanted.size,
        sampler=arguments.sampler,
    )
    return request, replace(request, prompt=wanted.reference_prompt, seed=arguments.seed + 1)


def _embedded(
    arguments: argparse.Namespace, request: Request, other: Request, given: Image.Image | None
) -> tuple[list[tuple[Image.Image, str]], str]:
    model = load_checkpoint(arguments.checkpoint) if arguments.checkpoint else random_model()
    makes_reference = given is None and other.prompt != ""
    runs = 1 + len(CELLS) + makes_reference
    progress = _progress(runs * request.evaluations, "model evaluations")
    with fused_attention(), progress as bar:
        host = EmbeddedHost(model, bar.update)
        if makes_reference:
            reference = to_picture(host.generate(other)[0])
        else:
            reference = given or draw_figure(arguments.seed, request.size)
        z0 = host.encode(to_tensor(reference))

        def generate(request: Request, settings: LafiSettings | None) -> Image.Image:
            return to_picture(host.generate(request, settings, z0)[0])

        return _pictures(reference, generate, request), _about(model, arguments.checkpoint)


def _about(model: Model, checkpoint: Path | None) -> str:
    if checkpoint == PIXEL:
        return (
            "model: the pixel world of docs/evidence.md, trained on drawn figures. For "
            "real pictures see --checkpoint and --url."
        )
    if model.trained and checkpoint:
        return f"model: {checkpoint.name}"
    return (
        "RANDOM WEIGHTS: this shows that the parts work together, not what LAFI does for a "
        "character. See --checkpoint and --url."
    )


def _remote(
    arguments: argparse.Namespace, request: Request, other: Request, given: Image.Image | None
) -> tuple[list[tuple[Image.Image, str]], str]:
    host = RemoteHost(arguments.url)
    with _progress(1 + len(CELLS) + (given is None), "pictures") as bar:
        reference = given
        if reference is None:
            reference = host.generate(other, None, None)
            bar.update()

        def generate(request: Request, settings: LafiSettings | None) -> Image.Image:
            picture = host.generate(request, settings, reference)
            bar.update()
            return picture

        return _pictures(reference, generate, request), f"LAFI {host.version} at {host.url}"


def _progress(total: int, what: str) -> tqdm:
    return tqdm(total=total, desc=what, mininterval=1)


def _pictures(
    reference: Image.Image, generate: Generate, request: Request
) -> list[tuple[Image.Image, str]]:
    """The reference, the plain picture and one for each of `CELLS`, with their labels."""
    return [
        (reference, "reference"),
        (generate(request, None), "plain"),
        *((generate(request, settings), label) for label, settings in CELLS),
    ]
