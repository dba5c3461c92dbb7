"""Promise 9: on, then off exactly once at the cutoff, whatever the sampler calls the model for."""

from __future__ import annotations

import math

import pytest

from .pictures import REFERENCE

# A late cutoff shows a total that is one too high: injection would never end.
CUTOFFS = (50, 85)
# The noise level, not the count, tells how far it is.
ADAPTIVE = "DPM adaptive"
# Restart goes back up to a high noise level only in longer runs; the other leaves out two of the
# steps that it announces, which is more than the window's rest in shorter ones.
LONG_RUNS = {"Restart": 20, "DPM++ 2S Ancestral CFG++ Intern": 20}
# Evaluations are counted, whatever the picture: an adaptive sampler may need hundreds.
SMALL = {"width": 64, "height": 64}


@pytest.mark.parametrize("cutoff", CUTOFFS)
def test_on_then_off_once(webui, sampler, cutoff) -> None:
    steps = LONG_RUNS.get(sampler, 8)
    payload = {"sampler_name": sampler, "steps": steps, **SMALL}
    answer = webui.request({"image": REFERENCE, "cutoff": cutoff}, **payload)
    if answer.status != 200:
        alone = webui.request(**payload)
        assert alone.status != 200, f"only with LAFI: {answer}"
        pytest.skip(f"the host itself cannot sample with it: {alone.body}")
    passes = webui.last_run()["passes"]
    for each in passes:
        assert each["injected"] + each["skipped"] == each["evaluations"]
        # An inversion's recordings are made on its way, and then reused.
        brought = each["replayed"] + each["reused"]
        assert each["injected"] in (brought, brought + each["recorded"])
    evaluations = sum(each["evaluations"] for each in passes)
    injected = sum(each["injected"] for each in passes)
    assert 0 < injected < evaluations, "injection must end within the run"
    # Some samplers try other picture sizes on the way; each change of size is a pass of its own.
    if len(passes) > 1:
        return
    assert passes[0]["switched"] == 2
    if sampler != ADAPTIVE:
        wanted = math.ceil(evaluations * cutoff / 100)
        assert abs(injected - wanted) <= tolerance(webui, sampler, steps, evaluations)


def tolerance(webui, sampler: str, steps: int, evaluations: int) -> int:
    """One step's evaluations where a sampler makes more than it announces; none elsewhere."""
    announced = 2 * steps if webui.samplers[sampler].get("second_order") else steps
    return math.ceil(evaluations / steps) if evaluations > announced else 0
