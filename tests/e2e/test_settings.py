"""Each setting does what it says."""

from __future__ import annotations

import math

import pytest

from .conftest import DEFAULT
from .pictures import CUT_OUT, REFERENCE, SILHOUETTE

GIVEN = {"image": REFERENCE}


def test_the_decoder_alone_injects(injected) -> None:
    sites = injected().sites
    assert sites
    assert all(site.startswith("output_blocks.") for site in sites)


def test_depth_counts_from_the_output(webui, injected) -> None:
    """A lower depth injects in fewer sites: the last ones."""
    whole = injected().sites
    sites = [webui.generate(GIVEN | {"depth": depth}, steps=2).sites for depth in (1, 50)]
    counts = [*map(len, sites), len(whole)]
    assert 0 < counts[0] < counts[1] < counts[2]
    assert all(each == whole[-len(each) :] for each in sites)


def test_all_layers(webui) -> None:
    sites = webui.generate(GIVEN | {"layers": "all"}, steps=2).sites
    parts = {site.partition("_")[0] for site in sites}
    assert parts == {"input", "middle", "output"}


def test_window(webui, injected) -> None:
    """The counts of the window's evaluations, and a late start changes the picture."""
    late = webui.generate(GIVEN | {"start": 30, "cutoff": 60})
    total = late.total("evaluations")
    assert late.total("injected") == math.ceil(0.6 * total) - math.ceil(0.3 * total)
    assert late.run["passes"][0]["switched"] == 2
    assert late.picture != injected().picture


EFFECTS = {
    "depth": {"depth": 30},
    "strength": {"strength": 1},
    "fidelity": {"fidelity": 0.5},
    "cutout": {"cutout": "off"},
    "prompt": {"prompt": "a red figure"},
    # The only stream that is made of it.
    "noise_seed": {"stream": "noise", "noise_seed": 5},
    "layers": {"layers": "all"},
    "refresh": {"refresh": 3},
}


@pytest.mark.parametrize("field", EFFECTS)
def test_changes_the_picture(webui, plain, injected, field) -> None:
    before = injected(EFFECTS[field].get("stream", DEFAULT))
    changed = webui.generate(GIVEN | EFFECTS[field])
    assert changed.run["settings"] == EFFECTS[field]
    assert changed.total("injected") == before.total("injected")
    assert changed.picture != before.picture
    assert changed.picture != plain().picture


def test_refresh_uses_recordings_again(webui) -> None:
    webui.clear_bank()
    result = webui.generate(GIVEN | {"refresh": 3}, steps=max(webui.steps, 6))
    assert result.total("reused") > result.total("recorded") > 0
    assert result.total("reused") + result.total("recorded") == result.total("injected")


MASKED = {"mask": GIVEN | {"mask": SILHOUETTE}, "alpha": {"image": CUT_OUT, "cutout": "strict"}}


@pytest.mark.parametrize("kind", MASKED)
def test_a_mask_keeps_fewer_tokens(webui, plain, kind) -> None:
    webui.clear_bank()  # sizes are told of what is recorded, not of what is replayed
    whole = webui.generate(GIVEN | {"cutout": "off"})
    masked = webui.generate(MASKED[kind])
    assert masked.picture != whole.picture
    assert masked.picture != plain().picture
    assert masked.total("reference_bytes") < whole.total("reference_bytes")
    assert masked.run["references"] != whole.run["references"]


def test_each_fit_is_another_picture(webui, injected) -> None:
    pictures = [injected().picture]
    pictures += [webui.generate(GIVEN | {"fit": fit}).picture for fit in ("pad", "stretch")]
    assert len(set(pictures)) == 3
