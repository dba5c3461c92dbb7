"""``python3 -m demo``: one character in several actions, with LAFI and without, on one sheet."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from lab.environment import enter


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python3 -m demo", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("lafi-demo.png"), help="the sheet's file")
    parser.add_argument("--prompt", action="append", help="a new picture; may be given again")
    parser.add_argument("--sweep", action="store_true", help="one prompt at several settings")
    parser.add_argument("--reference", type=Path, help="a picture of the character")
    parser.add_argument("--reference-prompt", help="makes the reference, where none is given")
    parser.add_argument("--steps", type=int, help="sampling steps")
    parser.add_argument("--size", type=int, help="side of a picture in pixels")
    parser.add_argument("--seed", type=int, default=1, help="seed of the pictures")
    parser.add_argument("--sampler", default="euler", help="a k-diffusion sampler")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--url", help="use a running WebUI, such as http://127.0.0.1:7860")
    where.add_argument("--checkpoint", type=Path, help="an SD 1.x checkpoint (safetensors)")
    where.add_argument("--random", action="store_true", help="a small model with random weights")
    return parser.parse_args()


def main() -> int:
    """Runs the demonstration; the exit status."""
    arguments = parse_arguments()
    enter("demo")
    # What needs the environment is imported once it is there.
    from lab.errors import LabError

    from .show import run

    begun = time.perf_counter()
    try:
        path = run(arguments)
    except LabError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 2
    print(f"{path.resolve()} ({time.perf_counter() - begun:.0f} s)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
