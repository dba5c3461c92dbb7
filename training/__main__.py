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
    times = parser.parse_args()
    environment.enter("training")
    make(times)


def make(times: argparse.Namespace) -> None:
    """Runs the stages in order, each for its minutes."""
    from . import autoencoder, diffusion, export, judges
    from .runs import RUNS, log

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    RUNS.mkdir(exist_ok=True)
    coder = autoencoder.build()
    autoencoder.train_decoder(coder, times.decoder)
    log.info("autoencoder: %.1f dB", autoencoder.quality(coder))
    model = diffusion.train(coder, times.diffusion)
    log.info("wrote %s", export.export(model, coder))
    panel = judges.train(times.judges)
    for question, value in judges.ceiling(panel).items():
        log.info("judges on held-out renders: %s %.3f", question, value)
    export.export_judges(panel)


if __name__ == "__main__":
    main()
