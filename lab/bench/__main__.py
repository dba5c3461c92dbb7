"""``python3 -m lab.bench``: what LAFI costs beside plain sampling and other methods' schemes.

Multiply-adds are counted on the full-size SD 1.5 and SDXL UNets, without computing them. Seconds
are measured on a GPU at full size, else on the CPU at a small one. ``--url`` measures a running
WebUI instead. ``python3 -m lab.evidence`` measures identity and leak.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from ..environment import ROOT, enter


def main() -> int:
    """Runs what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python3 -m lab.bench", description=__doc__)
    parser.add_argument("--small", action="store_true", help="seconds at a small size also on GPUs")
    parser.add_argument("--count-only", action="store_true", help="multiply-adds only")
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 4], help="batch sizes")
    parser.add_argument("--steps", type=int, default=20, help="model evaluations of a run")
    parser.add_argument("--repeats", type=int, default=5, help="timed runs of each scheme")
    parser.add_argument("--out", type=Path, default=ROOT / "bench.json", help="where to write")
    parser.add_argument("--url", help="a running WebUI to measure instead")
    parser.add_argument("--pid", type=int, help="with --url: its process, to count CPU seconds")
    options = parser.parse_args()
    if min(options.batch) < 1 or options.steps < 5 or options.repeats < 1:
        parser.error("--batch and --repeats take 1 or more, --steps 5 or more")
    enter("lab.bench")
    from . import report

    if options.url:
        from . import remote

        results = remote.measure(
            options.url, options.pid, options.batch, options.steps, options.repeats
        )
    else:
        results = report.collect(options)
    options.out.write_text(json.dumps(results, indent=2) + "\n")
    picture = report.draw(results, options.out.with_suffix(".png"))
    print(report.table(results))
    print(f"\nWritten to {options.out} and {picture}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
