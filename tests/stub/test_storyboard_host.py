"""A storyboard among the host's own buttons, settings and faults."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from modules import images, shared
from modules.processing import process_images

from lafi.errors import LafiError
from lafi.storyboard.settings import arguments, parse
from lafi.webui import storyboard_page

from .host import WebUI, reference
from .stage import SMALL, THREE, Stage, Watching

# ---- the gallery's button that enlarges a picture -----------------------------------------------


def enlarging(stage: Stage, picture: Any, **fields: Any) -> Any:
    """The host's request, with which it runs the selected script first."""
    p = stage.host.processing(
        prompt="a boy", negative_prompt="ugly", enable_hr=True, **SMALL, **fields
    )
    p.txt2img_upscale, p.firstpass_image, p.styles = True, picture, ["comic"]
    return p, lambda: stage.script.run(p, *arguments(parse([{"panels": THREE}])))


def test_a_panel_is_enlarged_by_its_own_prompt(stage: Stage) -> None:
    picture = reference()
    picture.info["parameters"] = "a boy running\nNegative prompt: blurry\nSteps: 3, Seed: 7"
    watch = Watching(stage)
    p, run = enlarging(stage, picture, hr_prompt="of the page")
    assert run() is None
    assert watch.seen == []
    assert (p.prompt, p.negative_prompt, p.styles) == ("a boy running", "blurry", [])
    assert p.hr_prompt == ""


def test_styles_that_the_host_leaves_in_the_prompt_stay_chosen(stage: Stage) -> None:
    picture = reference()
    picture.info["parameters"] = "a boy running\nSteps: 3, Seed: 7"
    shared.opts.infotext_styles = "Discard"
    p, run = enlarging(stage, picture)
    assert run() is None
    assert p.styles == ["comic"]


def test_a_picture_without_parameters_is_enlarged_as_the_host_would(
    stage: Stage, caplog: Any
) -> None:
    p, run = enlarging(stage, reference())
    assert run() is None
    assert p.prompt == "a boy"
    assert "by the page's prompt" in caplog.text


def test_the_page_itself_is_refused(stage: Stage) -> None:
    _, run = enlarging(stage, stage.make({"panels": THREE}).images[0])
    with pytest.raises(LafiError, match="choose one of its panels"):
        run()


# ---- saving -------------------------------------------------------------------------------------


def failing(where: str) -> Callable[..., Any]:
    def fail(*args: Any, **kwargs: Any) -> Any:
        raise OSError(f"no space left on device ({where})")

    return fail


def test_a_page_that_cannot_be_saved_comes_back_all_the_same(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(images, "save_image", failing("page"))
    done = stage.make({"panels": THREE})
    assert len(done.images) == 4
    assert done.index_of_first_image == 1
    said = "the page could not be saved: OSError: no space left on device (page)"
    assert said in done.comments
    assert said in caplog.text


def test_a_page_that_cannot_be_drawn_leaves_the_panels(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storyboard_page, "draw_page", failing("drawing"))
    done = stage.make({"panels": THREE})
    assert len(done.images) == len(done.all_seeds) == len(done.infotexts) == 3
    assert done.index_of_first_image == 0
    assert "the page could not be drawn" in done.comments
    assert stage.saved() == []


def test_a_user_who_saves_no_grids_has_no_page_on_the_disk(stage: Stage) -> None:
    shared.opts.set("grid_save", False)
    done = stage.make({"panels": THREE})
    assert len(done.images) == 4
    assert stage.saved() == []
    with pytest.raises(LafiError, match="pdf: is saved beside the page, but Settings say"):
        stage.make({"panels": THREE, "pdf": True})


# ---- what would do nothing ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("panels", "story", "said"),
    [
        (
            "a\nb --strength 1",
            {"reference": "loaded"},
            "line 2: --strength: does nothing .* LAFI is off",
        ),
        ("a --depth 40\nb", {}, "line 1: --depth: does nothing .* it is the first"),
        (
            "a\nb --enabled false --likeness 50",
            {},
            "line 2: --strength, --fidelity: .* --enabled false",
        ),
        ("a --enabled true\nb", {}, "line 1: image: is missing"),
        ("a\nb --passes hires", {}, "line 2: passes: is hires, but hires fix is off"),
    ],
)
def test_settings_that_would_do_nothing_are_named(
    stage: Stage, panels: str, story: dict[str, Any], said: str
) -> None:
    watch = Watching(stage)
    with pytest.raises(LafiError, match=said):
        stage.make({"panels": panels, **story})
    assert watch.seen == []


def test_a_batch_anchor_is_a_reference_for_every_line(stage: Stage) -> None:
    lafi = {"anchor": "batch", "depth": 80}
    done = stage.make({"panels": "a --depth 40", "reference": "loaded"}, lafi, batch_size=2)
    assert len(done.images) == 3
    with pytest.raises(LafiError, match="line 1: anchor: needs at least two pictures"):
        stage.make({"panels": "a", "reference": "loaded"}, lafi)


# ---- characters ---------------------------------------------------------------------------------


@pytest.fixture
def anna(tmp_path: Path, stage: Stage) -> Path:
    """A library with anna."""
    folder = tmp_path / "library"
    folder.mkdir()
    shared.cmd_opts.lafi_dir = str(folder)
    reference().save(folder / "anna.png")
    return folder


@pytest.mark.parametrize("name", ["hr_prompt", "hr_negative_prompt"])
def test_tags_of_the_hires_prompt_are_looked_at_before_anything_is_made(
    stage: Stage, anna: Path, name: str
) -> None:
    watch = Watching(stage)
    with pytest.raises(LafiError, match=r"line 1: .*prompt: .*<lafi:nobody>"):
        stage.make({"panels": "a\nb"}, enable_hr=True, **{name: "<lafi:nobody>"})
    assert watch.seen == []


def test_a_strength_beside_a_tag_that_has_one_is_refused(stage: Stage, anna: Path) -> None:
    with pytest.raises(LafiError, match=r"line 1: --strength: does nothing: .*<lafi:anna:1.5>"):
        stage.make({"panels": "a <lafi:anna:1.5> --strength 1"})
    stage.make({"panels": "a <lafi:anna> --strength 1"})
    assert stage.reports()[0]["references"][0]["strength"] == 1


def test_panels_with_a_character_are_recorded_once_and_replayed(stage: Stage, anna: Path) -> None:
    stage.make({"panels": "a <lafi:anna>\nb <lafi:anna>\nc <lafi:anna>"})
    counted = [each["passes"][0] for each in stage.reports()]
    assert [bool(each["recorded"]) for each in counted] == [True, False, False]
    assert [each["replayed"] > 0 for each in counted[1:]] == [True, True]


def test_a_first_panel_with_a_character_is_the_others_reference(stage: Stage, anna: Path) -> None:
    done = stage.make({"panels": "a <lafi:anna>\nb"})
    assert done.images[1].size == done.images[2].size
    first, second = stage.reports()
    assert first["references"][0]["name"] == "anna"
    assert second["references"][0]["own"] == {"first": "used"}
    stage.forget()
    alone = stage.make({"panels": "a <lafi:anna>"})
    assert alone.images[1].tobytes() == done.images[1].tobytes()


def test_a_panel_whose_tag_is_switched_off_is_one_without_a_tag(stage: Stage, anna: Path) -> None:
    done = stage.make({"panels": "a\nb <lafi:anna:0>"})
    first, second = stage.reports()
    assert first["references"] == []
    assert second["references"][0]["own"] == {"first": "used"}
    assert second["references"][0]["acted"] is True
    assert "LAFI characters" not in done.infotexts[2]


def test_a_style_may_name_the_character(stage: Stage, anna: Path, monkeypatch: Any) -> None:
    styles = {"hers": "<lafi:anna>"}
    table = type(
        "Styles", (), {"get_style_prompts": lambda self, names: [styles[n] for n in names]}
    )
    monkeypatch.setattr(shared, "prompt_styles", table(), raising=False)
    p = stage.host.processing(prompt="a", **SMALL)
    p.styles = ["hers"]
    board = storyboard_board(p, "a\nb")
    assert board.roles.overrides(1, reference()) == {}


def storyboard_board(p: Any, panels: str) -> Any:
    from lafi.webui import storyboard

    return storyboard.Storyboard(p, arguments(parse([{"panels": panels}])))


# ---- a request that runs again ------------------------------------------------------------------


def test_what_an_earlier_run_of_a_request_called_is_forgotten(a1111: WebUI, anna: Path) -> None:
    p = a1111.processing({"image": reference((0, 200, 0))}, prompt="a boy <lafi:anna>", **SMALL)
    process_images(p)
    assert len(a1111.last_run["references"]) == 2
    (anna / "anna.png").unlink()
    p.prompt = "a boy"
    process_images(p)
    assert a1111.last_run["error"] is None
    assert len(a1111.last_run["references"]) == 1


def test_so_is_what_its_hires_prompt_called(a1111: WebUI, anna: Path) -> None:
    p = a1111.processing(prompt="a boy", enable_hr=True, hr_prompt="<lafi:anna>", **SMALL)
    process_images(p)
    before = a1111.last_run["id"]
    (anna / "anna.png").unlink()
    p.enable_hr = False
    process_images(p)
    assert a1111.last_run["id"] == before
