"""The storyboard's script: panels, references, progress and stops."""

from __future__ import annotations

from pathlib import Path

import pytest
from modules import shared
from modules.processing import Processed, StableDiffusionProcessingImg2Img
from PIL import Image

from lafi.storyboard.settings import arguments, parse
from lafi.webui import storyboard, storyboard_roles

from .host import WebUI, reference
from .others import Sampling
from .stage import SIDE, THREE, Stage, Watching, same

# ---- panels --------------------------------------------------------------------------------------


def test_the_page_comes_first_then_every_panel(webui: WebUI, tmp_path: Path) -> None:
    done = Stage(webui, tmp_path).make({"panels": THREE})
    assert len(done.images) == len(done.infotexts) == len(done.all_seeds) == 4
    assert done.index_of_first_image == 1
    assert done.images[0].width > 2 * SIDE
    assert [each.size for each in done.images[1:]] == [(SIDE, SIDE)] * 3
    assert done.all_prompts == ["a boy", "a boy running", "a boy sitting", "a boy reading"]
    assert done.all_seeds == [7, 7, 8, 9]
    assert webui.swallowed() == []


def test_without_a_reference_the_panels_are_the_plain_pictures(stage: Stage) -> None:
    done = stage.make({"panels": THREE, "reference": "loaded", "ending": "at night"})
    for n, word in enumerate(THREE.split("\n")):
        plain = stage.alone(prompt=f"a boy {word} at night", seed=7 + n)
        assert same(done.images[1 + n], plain)
    assert stage.reports() == []


def test_a_lines_options_are_its_own(stage: Stage) -> None:
    panels = "a --size 128x64 --seed 5 --steps 2 --negative_prompt blurry\nb\nc --sampler_name heun"
    done = stage.make({"panels": panels, "reference": "loaded"}, negative_prompt="ugly")
    wide = {"seed": 5, "steps": 2, "width": 128, "negative_prompt": "ugly blurry"}
    expected = [wide, {"seed": 8}, {"seed": 9, "sampler_name": "Heun"}]
    for word, fields, made in zip("abc", expected, done.images[1:], strict=True):
        plain = {"prompt": f"a boy {word}", "negative_prompt": "ugly", **fields}
        assert same(made, stage.alone(**plain))
    assert done.all_negative_prompts == ["ugly", "ugly blurry", "ugly", "ugly"]


def test_prompts_of_the_hires_pass_get_the_line_too(stage: Stage) -> None:
    panels = "running --negative_prompt blurry"
    watched: list[tuple[str, str]] = []
    stage.host.add(
        Sampling("process", lambda p: watched.append((p.hr_prompt, p.hr_negative_prompt)))
    )
    stage.make({"panels": panels, "ending": "at night", "reference": "loaded"})
    pattern = stage.p
    pattern.hr_prompt, pattern.hr_negative_prompt = "sharp", "ugly"
    storyboard.run(pattern, arguments(parse([{"panels": panels, "reference": "loaded"}])))
    assert watched == [("", ""), ("sharp running", "ugly blurry")]


@pytest.mark.parametrize(
    ("seeds", "fields", "expected"),
    [
        ("fixed", {}, [7, 7, 7]),
        ("counted", {}, [7, 8, 9]),
        ("counted", {"batch_size": 2}, [7, 8, 9, 10, 11, 12]),
        ("counted", {"subseed_strength": 0.5, "subseed": 3}, [7, 7, 7]),
    ],
)
def test_seeds(stage: Stage, seeds: str, fields: dict, expected: list[int]) -> None:
    done = stage.make({"panels": THREE, "seeds": seeds, "reference": "loaded"}, **fields)
    assert done.all_seeds[1:] == expected
    if "subseed" in fields:
        assert done.all_subseeds[1:] == [3, 4, 5]


def test_a_random_seed_is_drawn_once_and_told(stage: Stage) -> None:
    done = stage.make({"panels": "a\nb", "reference": "loaded"}, seed=-1)
    first, *panels = done.all_seeds
    assert first >= 0
    assert panels == [first, first + 1]
    assert f"Seed: {first}," in done.infotexts[0]


def test_a_batch_count_is_one_and_a_batch_gives_variants(stage: Stage) -> None:
    done = stage.make({"panels": "a\nb"}, batch_size=2, n_iter=3)
    assert len(done.images) == 5
    # The page shows the first of each panel.
    box = done.images[0].crop((27, 27, 27 + SIDE, 27 + SIDE))
    assert same(box, done.images[1])


def test_img2img_has_it_too(stage: Stage) -> None:
    fields = {"kind": StableDiffusionProcessingImg2Img, "init_images": [reference()]}
    done = stage.make({"panels": THREE}, **fields)
    assert len(done.images) == 4
    assert [each["error"] for each in stage.reports()] == [None, None, None]
    assert stage.reports()[2]["references"][0]["own"] == {"first": "used"}


# ---- references ----------------------------------------------------------------------------------


def test_the_first_panel_is_the_reference_of_the_rest(stage: Stage) -> None:
    done = stage.make({"panels": THREE}, {"enabled": False, "depth": 60})
    first, second, third = done.images[1:]
    assert same(first, stage.alone(prompt="a boy running", seed=7))
    assert not same(second, stage.alone(prompt="a boy sitting", seed=8))
    leader, *later = stage.reports()[:3]
    assert leader["references"] == []
    assert [each["references"][0]["own"] for each in later] == [{"first": "used"}] * 2
    assert len({each["references"][0]["hash"] for each in later}) == 1
    assert [each["settings"].get("depth") for each in later] == [60, 60]
    assert "LAFI version" not in done.infotexts[1]
    for text in done.infotexts[2:]:
        assert text["LAFI recordings"] == "own"
    assert same(third, stage.make({"panels": THREE}, {"enabled": False, "depth": 60}).images[3])


def test_the_first_panel_is_recorded_while_it_is_made_and_replayed(stage: Stage) -> None:
    stage.make({"panels": THREE + "\nsleeping"})
    counted = [each["passes"][0] for each in stage.reports()]
    assert [bool(each["recorded"]) for each in counted] == [True, False, False, False]
    assert [bool(each["replayed"]) for each in counted] == [False, True, True, True]
    assert counted[0]["injected"] == 0
    assert len(stage.host.kept.bank) == 0


def test_the_last_panel_can_be_the_next_ones_reference(stage: Stage) -> None:
    done = stage.make({"panels": THREE, "reference": "last"})
    assert len(set(stage.shown())) == 2
    counted = [each["passes"][0] for each in stage.reports()]
    # The last one is nobody's reference.
    assert [bool(each["recorded"]) for each in counted] == [True, True, False]
    assert [bool(each["replayed"]) for each in counted] == [False, True, True]
    two = stage.make({"panels": "running\nsitting"})
    assert same(done.images[2], two.images[2])


def test_a_loaded_reference_serves_all_or_the_first_panel(stage: Stage) -> None:
    loaded = {"image": reference()}
    stage.make({"panels": THREE, "reference": "loaded"}, loaded)
    assert len(set(stage.shown())) == 1
    assert len(stage.reports()) == 3
    stage.forget()
    stage.make({"panels": THREE, "reference": "first"}, loaded)
    first, second, third = stage.shown()
    assert first != second == third
    assert stage.reports()[1]["references"][0]["own"] == {"first": "used"}


def test_the_loaded_references_mask_is_not_the_panels(stage: Stage) -> None:
    shared.opts.set("lafi_replay", False)  # so that the panel's picture is the reference
    mask = Image.new("L", (128, 128), 0)
    mask.paste(255, (40, 16, 88, 120))
    done = stage.make({"panels": "a\nb"}, {"image": reference(), "mask": mask})
    assert len(set(stage.shown())) == 2
    by_hand = stage.alone({"image": done.images[1]}, prompt="a boy b", seed=8)
    assert same(done.images[2], by_hand)
    several = {"image": [reference(), reference()], "mask": [mask, mask]}
    done = stage.make({"panels": "a\nb"}, several)
    by_hand = stage.alone({"image": done.images[1]}, prompt="a boy b", seed=8)
    assert same(done.images[2], by_hand)


@pytest.mark.parametrize("tag", ["<lafi:anna>", "< LAFI:anna:1.5>"])
@pytest.mark.parametrize("place", ["beginning", "line", "ending"])
def test_a_prompt_that_names_a_character_keeps_it(
    stage: Stage, monkeypatch, tag: str, place: str
) -> None:
    """What the tag does is the library's part; here the panel gets no other reference."""
    monkeypatch.setattr(storyboard_roles.tags, "check", lambda p: True)
    words = {"beginning": "a boy", "line": "running", "ending": "at night"}
    words[place] += f" {tag}"
    story = {"panels": f"standing\n{words['line']} --depth 40\nsitting", "ending": words["ending"]}
    p = stage.host.processing(prompt=words["beginning"])
    board = storyboard.Storyboard(p, arguments(parse([story])))
    result = Processed(p, [reference()], infotexts=[""])
    made = storyboard.Made(board.panels[0], result, result.images, [""], True)
    board._shown = made, None
    panels = [board._request(panel, n) for n, panel in enumerate(board.panels)]
    assert panels[1].lafi_overrides == {"depth": 40}
    if place == "line":
        assert panels[2].lafi_overrides["image"] is result.images[0]


def test_lafis_settings_may_differ_by_line(stage: Stage) -> None:
    panels = "a\nb --depth 40\nc --enabled false\nd --likeness 50"
    stage.make({"panels": panels}, {"enabled": False, "start": 5})
    _, second, fourth = stage.reports()
    assert [each["settings"].get("depth") for each in (second, fourth)] == [40, None]
    assert [each["settings"]["start"] for each in (second, fourth)] == [5, 5]
    assert all(each["passes"][0]["replayed"] for each in (second, fourth))


@pytest.mark.parametrize("choice", ["first", "last"])
def test_a_panel_with_lafi_off_is_no_reference(stage: Stage, choice: str) -> None:
    panels = ["nobody --enabled false", "running", "sitting"]
    if choice == "last":
        panels = [panels[1], panels[0], panels[2]]
    stage.make({"panels": "\n".join(panels), "reference": choice, "seeds": "fixed"})
    leader, follower = stage.reports()
    assert leader["references"] == []
    stage.forget()
    alone = stage.make({"panels": "running\nsitting", "seeds": "fixed"})
    assert stage.reports()[1]["references"] == follower["references"]
    assert alone.images[2]


# ---- progress and stops --------------------------------------------------------------------------


def test_progress_is_told_over_the_whole(stage: Stage) -> None:
    watch = Watching(stage)
    stage.make({"panels": THREE})
    assert [each[:3] for each in watch.seen] == [
        (0, 3, "panel 1 of 3"), (1, 3, "panel 2 of 3"), (2, 3, "panel 3 of 3"),
    ]  # fmt: skip
    assert watch.seen[0][3] == "LAFI storyboard: panel 1 of 3"
    assert shared.state.textinfo is None


def test_an_interrupt_keeps_what_is_done_and_draws_its_page(stage: Stage) -> None:
    whole = stage.make({"panels": THREE, "title": "T"})
    watch = Watching(stage, 1, "interrupted")
    done = stage.make({"panels": THREE, "title": "T"})
    assert len(watch.seen) == 2
    assert same(done.images[1], whole.images[1])
    assert done.images[0].height < whole.images[0].height
    assert len(stage.saved()) == 2
    assert len(done.images) == len(done.infotexts) == len(done.all_seeds)


def test_stopping_after_a_panel_keeps_that_panel(stage: Stage) -> None:
    Watching(stage, 1, "stopping_generation")
    done = stage.make({"panels": THREE})
    assert len(done.images) == 3


def test_a_skipped_panel_is_left_out_and_the_others_go_on(stage: Stage) -> None:
    watch = Watching(stage, 0, "skipped")
    done = stage.make({"panels": THREE})
    assert len(watch.seen) == 3
    # The first that came to its end is the reference.
    assert [len(each["references"]) for each in stage.reports()] == [0, 0, 1]
    two = stage.make({"panels": "sitting --seed 8\nreading --seed 9"})
    assert same(done.images[0], two.images[0])


def test_an_interrupt_before_anything_is_done_gives_no_page(stage: Stage) -> None:
    shared.state.interrupt()
    done = stage.make({"panels": THREE})
    assert done.images == []
    assert stage.saved() == []
