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
    passes = webui.last_run()["passes"]
    for each in passes:
        assert each["injected"] + each["skipped"] == each["evaluations"]
        assert each["recorded"] + each["replayed"] + each["reused"] == each["injected"]
    # Some samplers try other picture sizes on the way; each change of size is a pass of its own.
    if len(passes) == 1:
        assert passes[0]["switched"] == 2
    evaluations = sum(each["evaluations"] for each in passes)
    injected = sum(each["injected"] for each in passes)
    if len(passes) > 1 or evaluations > 2 * steps:
        # An adaptive sampler: the noise level tells how far it is.
        assert 0 < injected < evaluations
        return
    # The host announces one evaluation a step, or two for second-order samplers; what it then
    # really evaluates may differ (an Euler step at the end, adaptive steps).
    expected = {math.ceil(total * CUTOFF / 100) for total in (steps, 2 * steps, evaluations)}
    assert injected in expected
