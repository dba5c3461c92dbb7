"""``python3 -m lab.bench.soak --url URL --pid PID``: does a running WebUI's memory grow?

References, sizes, streams and checkpoints change from picture to picture. The bank has a budget, so
the memory must level off: its mean over the last quarter of the run may be at most 5 % above that
over the second quarter.

WebUIs themselves grow meanwhile: their processing objects are cyclic and wait for Python's rare
full garbage collection, pictures and all. So make the same run with ``--plain`` in a fresh WebUI
first, and hand what it grew to ``--host-growth``. What the allocator keeps for itself must not
count either: start both WebUIs with ``LD_PRELOAD=libjemalloc.so.2`` and
``MALLOC_CONF=dirty_decay_ms:0,muzzy_decay_ms:0`` in their environment.
"""

from __future__ import annotations

import argparse
import random
import sys
from pathlib import Path

from ..environment import enter

SIZES = (128, 192, 256)
STREAMS = ("noise", "inversion", "denoise")
GROWTH = 1.05


def main() -> int:
    """Runs the soak; 0 if memory levelled off."""
    parser = argparse.ArgumentParser(prog="python3 -m lab.bench.soak", description=__doc__)
    parser.add_argument("--url", required=True, help="a running WebUI")
    parser.add_argument("--pid", type=int, required=True, help="its process, to read its memory")
    parser.add_argument("--pictures", type=int, default=200)
    parser.add_argument("--plain", action="store_true", help="without LAFI, to compare")
    parser.add_argument("--host-growth", type=float, default=0, help="MiB that --plain grew")
    parser.add_argument("--checkpoints", nargs="*", default=[], help="names to change between")
    options = parser.parse_args()
    enter("lab.bench.soak")
    memory = list(_pictures(options))
    quarter = len(memory) // 4
    second = sum(memory[quarter : 2 * quarter]) / quarter
    last = sum(memory[-quarter:]) / quarter
    print(f"resident MiB: second quarter {second:.0f}, last quarter {last:.0f}")
    return 0 if last <= second * GROWTH + options.host_growth else 1


def _pictures(options: argparse.Namespace) -> list[float]:
    from tqdm import tqdm

    from ..host.remote import RemoteHost
    from .remote import reference

    webui = RemoteHost(options.url)
    choose = random.Random(0)
    memory = []
    for number in tqdm(range(options.pictures), "pictures"):
        if options.checkpoints and number % 25 == 0:
            name = options.checkpoints[number // 25 % len(options.checkpoints)]
            webui.call("/sdapi/v1/options", {"sd_model_checkpoint": name})
        fields = {
            "image": reference(choose.randrange(6)),
            "stream": choose.choice(STREAMS),
            "strength": choose.choice((1, 1, 1.5)),
        }
        size = choose.choice(SIZES)
        payload = {
            "prompt": "a boy running",
            "steps": 4,
            "width": size,
            "height": size,
            "seed": number,
            "alwayson_scripts": {} if options.plain else {"LAFI": {"args": [fields]}},
        }
        webui.call("/sdapi/v1/txt2img", payload)
        memory.append(_resident_mib(options.pid))
    return memory


def _resident_mib(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    resident = next(line for line in lines if line.startswith("VmRSS"))
    return int(resident.split()[1]) / 1024


if __name__ == "__main__":
    sys.exit(main())
