"""``python3 -m lab.training``: makes the model from nothing, or goes on where it was stopped."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from .. import environment

STAGES = {"decoder": 20, "diffusion": 240, "judges": 30}  # minutes


def main() -> None:
    """Parses the command line and runs the stages in order."""
    parser = argparse.ArgumentParser(prog="python3 -m lab.training", description=__doc__)
    for name, minutes in STAGES.items():
        parser.add_argument(
            f"--{name}", type=float, default=minutes, metavar="MINUTES",
            help=f"time for the stage `{name}` (default {minutes})",
        )  # fmt: skip
    parser.add_argument(
        "--start", type=Path, metavar="FILE", help="weights of UNet and text model to begin with"
    )
    parser.add_argument(
        "--threads", type=int, metavar="N", help="CPU threads (default 1 without a GPU)"
    )
    parser.add_argument(
        "--compile", action="store_true", help="a third faster on a CPU; needs a C++ compiler"
    )
    arguments = parser.parse_args()
    environment.enter("lab.training")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    from .make import make  # needs torch, which only the environment has

    make(arguments)


if __name__ == "__main__":
    main()
