"""The samplers by the names that users know them by."""

from __future__ import annotations

# From lower case to the sampler's own name.
samplers_map: dict[str, str] = {"euler": "Euler", "k_euler": "Euler", "heun": "Heun"}
