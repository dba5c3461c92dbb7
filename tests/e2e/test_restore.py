"""Promise 2: however a run ends, nothing of it is left."""

from __future__ import annotations

import pytest

from .pictures import REFERENCE, SPECK

# Long enough to be stopped in the middle, also on a fast GPU.
MANY_STEPS = 150

BROKEN = {
    # Found out when sampling starts, by the number of steps.
    "empty_window": {"start": 50.1, "cutoff": 50.2},
    # Found out when the reference is fitted to the picture's size.
    "mask_empty": {"image": SPECK},
}


@pytest.mark.parametrize("code", BROKEN)
def test_after_an_error_while_sampling(webui, plain, code) -> None:
    before = plain().picture
    answer = webui.request({"image": REFERENCE, **BROKEN[code]})
    assert answer.status >= 400, answer
    assert webui.last_run()["error"]["code"] == code
    assert webui.generate().picture == before


@pytest.mark.parametrize("command", ["interrupt", "skip"])
def test_after_a_stop(webui, plain, injected, command) -> None:
    before, with_lafi = plain().picture, injected().picture
    lafi = {"image": REFERENCE, "cutoff": 100}
    with webui.generating(lafi, steps=MANY_STEPS) as answers:
        assert webui.post(f"/sdapi/v1/{command}").status == 200
    assert answers[0].status == 200, answers
    run = webui.last_run()
    assert run["error"] is None
    assert 0 < run["passes"][0]["evaluations"] < MANY_STEPS
    assert webui.generate().picture == before
    assert webui.generate({"image": REFERENCE}).picture == with_lafi


def test_going_on_without_lafi(webui, plain) -> None:
    """With the option to stop switched off an error gives the plain picture, and says so."""
    with webui.options(lafi_stop_on_error=False):
        result = webui.generate({"image": REFERENCE, **BROKEN["empty_window"]})
    assert result.picture == plain().picture
    assert "LAFI error: empty_window" in result.infotexts[0]
    assert result.lafi_keys() == {"LAFI error", "LAFI run"}
