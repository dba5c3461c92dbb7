"""``python3 -m training``: makes the toy model from nothing, or goes on where it was stopped."""

from __future__ import annotations

import argparse
import logging

from demo import environment

STAGES = ("decoder", "diffusion", "judges")


def main() -> None:
    """Parses the command line and runs the stages in order."""
    parser = argparse.ArgumentParser(prog="python3 -m training", description=__doc__)
    for name, minutes in zip(STAGES, (20, 120, 20), strict=True):
        parser.add_argument(
            f"--{name}", type=float, default=minutes, metavar="MINUTES",
            help=f"time for the stage `{name}` (default {minutes})",
        )  # fmt: skip
    parser.add_argument(
        "--compile", action="store_true", help="a third faster on a CPU; needs a C++ compiler"
    )
    arguments = parser.parse_args()
    environment.enter("training")
    make(arguments)


def make(arguments: argparse.Namespace) -> None:
    """Runs the stages in order, each for its minutes."""
    from . import autoencoder, diffusion, export, judges
    from .runs import RUNS, log

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    RUNS.mkdir(exist_ok=True)
    coder = autoencoder.build()
    autoencoder.train_decoder(coder, arguments.decoder)
    log.info("autoencoder: %.1f dB", autoencoder.quality(coder))
    model = diffusion.train(coder, arguments.diffusion, arguments.compile)
    log.info("wrote %s", export.export(model, coder))
    panel = judges.train(coder, arguments.judges)
    for kind, answers in judges.ceiling(panel, coder).items():
        for question, value in answers.items():
            log.info("judges on held-out renders, %s: %s %.3f", kind, question, value)
    export.export_judges(panel)


if __name__ == "__main__":
    main()
