"""What a panel leaves while it is made: for whom it serves, and what is done where it does not."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from modules import shared
from modules.processing import StableDiffusionProcessingImg2Img
from modules.sd_samplers_common import Sampler

from lafi.settings import LafiSettings
from lafi.webui import series

from .host import reference
from .others import Detailer, Sampling
from .stage import SIDE, SMALL, Stage, same

TWO = "running\nsitting"


def own(stage: Stage) -> list[dict[str, str]]:
    """Of each panel that saw another, whether what that left serves."""
    return [each["references"][0]["own"] for each in stage.reports() if each["references"]]


def passes(stage: Stage) -> list[dict[str, Any]]:
    """Of all panels."""
    return [each for run in stage.reports() for each in run["passes"]]


@pytest.mark.parametrize(
    ("second", "why"),
    [
        ("--size 128x64", "it was made with another size"),
        ("--depth 100", "it was recorded in fewer layers"),
        ("--start 0", "it was recorded in a shorter window"),
        ("--fidelity 0.5", "it was recorded at fidelity 1"),
    ],
)
def test_where_it_does_not_serve_the_panels_picture_is_recorded(
    stage: Stage, second: str, why: str
) -> None:
    """The first panel has a reference of its own, so that it is recorded as its settings say."""
    lafi = {"image": reference(), "depth": 50, "start": 10}
    plenty = f"running --steps 20\nsitting --steps 20 {second}"
    done = stage.make({"panels": plenty}, lafi)
    if second == "--fidelity 0.5":
        # What later lines want is known before: uncond rows are recorded for them.
        assert own(stage)[1:] == [{"first": "used"}]
        return
    assert own(stage)[1:] == [{"first": why}]
    latest = stage.reports()[1]
    assert latest["passes"][0]["recorded"] > 0
    assert latest["error"] is None
    assert "LAFI recordings" not in done.infotexts[2]
    assert "LAFI reference" in done.infotexts[2]


def test_a_panel_that_is_recorded_alone_is_recorded_for_all_lines(stage: Stage) -> None:
    lines = [
        "a --steps 20",
        "b --steps 12 --depth 100 --cutoff 95",
        "c --steps 20 --start 0 --likeness 50 --sampler_name heun",
        "d --layers all",
    ]
    stage.make({"panels": "\n".join(lines)}, {"enabled": False, "depth": 50, "start": 10})
    assert own(stage) == [{"first": "used"}] * 3
    assert all(each["injected"] for each in passes(stage)[1:])


def test_img2img_from_another_level_records_the_picture(stage: Stage) -> None:
    fields = {"kind": StableDiffusionProcessingImg2Img, "init_images": [reference()]}
    stage.make({"panels": "a\nb\nc --denoising_strength 0.5"}, **fields)
    assert own(stage) == [
        {"first": "used"},
        {"first": "it was made with another denoising strength"},
    ]


def test_each_pass_has_its_own(stage: Stage) -> None:
    stage.make({"panels": TWO}, enable_hr=True)
    assert own(stage) == [{"first": "used", "hires": "used"}]
    names = [
        (each["name"], bool(each["recorded"]), bool(each["replayed"])) for each in passes(stage)
    ]
    assert names == [
        ("first", True, False), ("hires", True, False),
        ("first", False, True), ("hires", False, True),
    ]  # fmt: skip


def test_a_pass_that_sees_no_reference_is_not_recorded(stage: Stage) -> None:
    stage.make({"panels": TWO}, {"enabled": False, "passes": "hires"}, enable_hr=True)
    assert [each["name"] for each in passes(stage)] == ["hires", "hires"]


def test_without_memory_the_picture_is_recorded(stage: Stage) -> None:
    plain = stage.alone(prompt="a boy running", seed=7)
    shared.cmd_opts.lafi_bank_mb = 0
    done = stage.make({"panels": TWO})
    assert same(done.images[1], plain)
    assert own(stage) == [{"first": "they did not fit into the memory for recordings"}]
    assert passes(stage)[-1]["recorded"] > 0


def test_a_user_who_keeps_no_recordings_gets_none(stage: Stage) -> None:
    shared.opts.set("lafi_replay", False)
    done = stage.make({"panels": TWO})
    assert own(stage) == [{"first": "the WebUI keeps no recordings (Settings > LAFI)"}]
    by_hand = stage.alone({"image": done.images[1]}, prompt="a boy sitting", seed=8)
    assert same(done.images[2], by_hand)


def test_a_smaller_reference_is_the_picture(stage: Stage) -> None:
    stage.make({"panels": f"{TWO} --reference_size 50\nreading"})
    assert own(stage) == [{"first": series.SMALLER}, {"first": "used"}]
    stage.forget()
    stage.make({"panels": TWO}, {"enabled": False, "reference_size": 50})
    assert own(stage) == [{"first": series.SMALLER}]


def test_in_a_region_the_picture_is_recorded(stage: Stage) -> None:
    # The region is of the accordion's reference, which the panel's picture takes the place of.
    stage.make({"panels": TWO}, {"image": reference(), "region": "left"})
    assert own(stage)[1] == {"first": "it acts in a region"}


def test_the_figure_is_cut_out_of_what_it_left(stage: Stage) -> None:
    figure = reference().resize((SIDE, SIDE))
    stage.host.add(Sampling("postprocess_image", lambda p: None))
    seen: list[Any] = []

    def swap(pp: Any) -> None:
        seen.append(pp)
        pp.image = figure

    stage.host.runner.alwayson_scripts[-1].postprocess_image = lambda p, pp, *args: swap(pp)
    stage.make({"panels": TWO}, {"enabled": False, "cutout": "strict"})
    assert stage.reports()[1]["references"][0]["figure"] is not None
    cut = passes(stage)[1]["reference_bytes"]
    stage.forget()
    stage.make({"panels": TWO}, {"enabled": False, "cutout": "off"})
    assert 0 < cut < 0.8 * passes(stage)[1]["reference_bytes"]
    assert own(stage) == [{"first": "used"}]
    assert len(seen) == 4


def test_faces_within_a_panel_have_no_part(stage: Stage) -> None:
    """They are other pictures of their own, whatever request they are copied from."""
    stage.host.add(Detailer(stage.host.runner))
    stage.make({"panels": TWO})
    inner = [each for run in stage.reports() for each in run["inner"]]
    assert inner
    assert all(not each["own"] for run in inner for each in run["references"])
    assert stage.reports()[-1]["error"] is None


def test_a_copy_of_a_request_has_no_part(stage: Stage) -> None:
    p = stage.host.processing()
    part = series.Part(p, series.Trace(LafiSettings(), stage.host.kept.own_bank))
    p.lafi_series = part
    assert series.part_of(p) is part
    for copied in (copy.copy(p), copy.deepcopy(p)):
        assert copied.lafi_series is part
        assert series.part_of(copied).records is None


def test_nothing_is_recorded_for_nobody(stage: Stage) -> None:
    for story in (
        {"panels": "running"},
        {"panels": TWO, "reference": "loaded"},
        {"panels": "running\nsitting --enabled false"},
    ):
        stage.make(story)
        assert stage.reports() == []


def test_an_adaptive_sampler_records_the_picture(stage: Stage, monkeypatch: Any) -> None:
    from lafi.hosts.webui import WebUIHost

    plain = stage.alone(prompt="a boy running", seed=7)
    asked: list[Sampler] = []

    def adaptive(self: Any, denoiser: Any) -> bool:
        asked.append(denoiser)
        return shared.state.job.startswith("panel 1")

    monkeypatch.setattr(WebUIHost, "is_adaptive", adaptive)
    done = stage.make({"panels": TWO})
    assert asked
    assert same(done.images[1], plain)
    assert own(stage) == [{"first": "its sampler chose its own noise levels"}]


def test_other_loras_record_the_picture(stage: Stage) -> None:
    """What the first panel left is of the model with its own LoRA."""
    p = stage.host.processing(**SMALL)
    one, other = (series.Pass.of(p, ("m",), (8, 8)) for _ in range(2))
    assert one == other
    kept = series.Trace(LafiSettings(), stage.host.kept.own_bank)
    kept.begin(one, LafiSettings())
    changed = one._replace(networks=(("lora", "[['x', '1']]"),), size=(8, 16))
    said = "it was made with another size and other networks in the prompt"
    assert kept.find(changed, LafiSettings()) == said
    assert kept.find(one._replace(hires=True), LafiSettings()) == series.NOT_RECORDED
