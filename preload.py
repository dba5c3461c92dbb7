"""Command line flags; the WebUI reads this file before anything else of the extension."""

from __future__ import annotations

import argparse


def preload(parser: argparse.ArgumentParser) -> None:
    """Adds LAFI's flags to the WebUI's."""
    _add(
        parser,
        "--lafi-loglevel",
        choices=["DEBUG", "INFO", "WARNING", "ERROR"],
        help="LAFI: how much to log (default: as the WebUI)",
    )
    _add(
        parser,
        "--lafi-dir",
        default=None,
        metavar="FOLDER",
        help="LAFI: folder of the characters (default: LAFI among the models)",
    )
    _add(
        parser,
        "--lafi-bank-mb",
        type=int,
        default=None,
        metavar="MIB",
        help="LAFI: memory for recorded reference tokens, in MiB (default: automatic)",
    )


def _add(parser: argparse.ArgumentParser, flag: str, **kwargs) -> None:
    # A second copy of the extension may have added the same flag: it means the same there.
    try:
        parser.add_argument(flag, **kwargs)
    except argparse.ArgumentError as error:
        if "conflicting option string" not in str(error):
            raise
