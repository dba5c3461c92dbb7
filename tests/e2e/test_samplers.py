"""Promise 9: on, then off exactly once at the cutoff, whatever the sampler calls the model for."""

from __future__ import annotations

import math

import pytest

from .pictures import REFERENCE

CUTOFF = 50
# Restart goes back up to a high noise level only in longer runs.
LONG_RUNS = {"Restart": 20}
# Evaluations are counted, whatever the picture: an adaptive sampler may need hundreds.
SMALL = {"width": 64, "height": 64}


def test_on_then_off_once(webui, sampler) -> None:
    steps = LONG_RUNS.get(sampler, 6)
    payload = {"sampler_name": sampler, "steps": steps, **SMALL}
    answer = webui.request({"image": REFERENCE, "cutoff": CUTOFF}, **payload)
    if answer.status != 200:
        alone = webui.request(**payload)
        assert alone.status != 200, f"only with LAFI: {answer}"
        pytest.skip(f"the host itself cannot sample with it: {alone.body}")
    (run,) = webui.last_run()["passes"]
    assert run["injected"] + run["skipped"] == run["evaluations"]
    assert run["recorded"] + run["replayed"] + run["reused"] == run["injected"]
    assert run["switched"] == 2
    # The host announces one evaluation a step, or two for second-order samplers; what it then
    # really evaluates may differ (an Euler step at the end, adaptive steps).
    if run["evaluations"] > 2 * steps:
        # An adaptive sampler: the noise level tells how far it is.
        assert 0 < run["injected"] < run["evaluations"]
        return
    expected = {math.ceil(total * CUTOFF / 100) for total in (steps, 2 * steps, run["evaluations"])}
    assert run["injected"] in expected
