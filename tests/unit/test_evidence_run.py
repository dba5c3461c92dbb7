"""The whole harness on an untrained model: it runs, counts right and writes its files."""

import json
import re
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from lab.evidence import gates
from lab.evidence.harness import main
from lab.evidence.methods import DEFAULT, PAPER, PLAIN, WHOLE, Method
from lab.evidence.rows import METHODS, PEERS
from lab.evidence.run import Sampler, _Rows
from lab.evidence.trials import SHAPE, SIDES, draw_trials, mask_of, shown
from lab.training import diffusion, export
from lab.training.load import load_model
from lab.world import ACTIONS, render
from lafi.core.reference import Conditioning

from . import untrained


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return untrained.write(tmp_path_factory.mktemp("model"))


def test_quick_run_writes_page_plot_and_grids(folder, tmp_path, monkeypatch):
    monkeypatch.setattr("lab.evidence.counterfactual.SIDE", 2)
    monkeypatch.setattr("lab.evidence.stride.BASES", (DEFAULT,))
    monkeypatch.setattr(diffusion, "sample", partial(diffusion.sample, steps=2))
    names = [PLAIN, PAPER.name, DEFAULT.name, "refresh 2"]
    files = ["--model", str(folder), "--out", str(tmp_path)]
    main(["--quick", *files, "--methods", *names])
    alone = json.loads((tmp_path / "evidence.json").read_text())
    (tmp_path / "kept" / "refresh-2.json").unlink()  # all else is not made again
    main(["--quick", "--jobs", "2", *files, "--methods", *names])
    report = json.loads((tmp_path / "evidence.json").read_text())
    assert json.dumps(report["rows"]) == json.dumps(alone["rows"])
    assert set(report["rows"]) == set(names)
    assert set(report["counts"]) == set(names)
    assert set(report["differences"]) == {PLAIN, PAPER.name, DEFAULT.name}
    for changes in report["stride"].values():
        assert set(changes) == {"2", "3", "4"}
        assert all(change > 0 for change in changes.values())
    assert set(report["gates"]["teacher-forced"]) == {"none", "same identity", "another identity"}
    assert set(report["gates"]["flipped facing"]) == {str(time) for time in gates.TIMES}
    for values in report["rows"].values():
        for value, low, high in values.values():
            assert low <= value <= high or np.isnan([value, low, high]).all()
    text = (tmp_path / "evidence.md").read_text()
    assert "Change of the picture by *Refresh*" in text
    assert "2 development references x 2 prompts x 1 seed = 4 pictures a row" in text
    assert "{{" not in text
    assert (tmp_path / "pareto.png").exists()
    assert (tmp_path / "samples.png").exists()
    assert (tmp_path / "grid-plain.png").exists()
    _publishes(folder, tmp_path, text)


def _publishes(folder, out, text):
    """The documents are the run's own, made by one command."""
    documents = out / "docs"
    main(["--write-docs", "--model", str(folder), "--out", str(out), "--docs", str(documents)])
    assert (documents / "evidence.md").read_text() == text
    written = json.loads((documents / "evidence.json").read_text())
    assert written == json.loads((out / "evidence.json").read_text())
    for target in re.findall(r"\]\((evidence[^)]+)\)", text):
        assert (documents / target).exists(), target


def test_every_method_changes_the_picture_and_leaves_no_hook(folder):
    sampler = Sampler(load_model(folder / export.CHECKPOINT), steps=2)
    trial = draw_trials(1, 1, seed=3)[0]
    plain = sampler.run(METHODS[0], trial, [0])
    assert plain.shape == (1, 3, *SHAPE[::-1])
    few = [*PEERS, PAPER, DEFAULT, *(m for m in METHODS if not m.sites or m.reference != "own")]
    for method in few:
        if method.name == PLAIN:
            continue
        assert not torch.equal(sampler.run(method, trial, [0]), plain), method.name
    assert torch.equal(sampler.run(METHODS[0], trial, [0]), plain)


def test_a_row_with_half_the_noise_is_read_at_the_timestep_of_that_level(folder):
    model = load_model(folder / export.CHECKPOINT)
    z0 = torch.ones(1, 4, *SHAPE[::-1])
    row = _Rows(z0, Method("half", WHOLE, noise=0.5), Sampler(model).schedule, None)
    seen = []
    unet = SimpleNamespace(forward=lambda x, timesteps, context: seen.extend([x, timesteps]))
    row.forward(unet, z0, torch.tensor([500, 500]), Conditioning(model.context([""])), {})
    x, timesteps = seen
    alpha = float(model.alphas_cumprod[500])
    sigma = 0.5 * ((1 - alpha) / alpha) ** 0.5
    torch.testing.assert_close(x, (z0 + sigma * row.noise) / (1 + sigma**2) ** 0.5)
    # Of the model's own levels, the nearest.
    levels = ((1 - model.alphas_cumprod) / model.alphas_cumprod) ** 0.5
    assert abs(int((levels - sigma).abs().argmin()) - float(timesteps[0])) < 1


def test_the_mask_is_the_figure():
    picture = draw_trials(1, 1, seed=3)[0].reference
    mask = mask_of(Method("masked", mask="figure"), picture)
    tokens = torch.arange(16 * 16).reshape(1, 16 * 16, 1)
    kept = mask(tokens).flatten()
    assert 20 < len(kept) < 120
    blank = render(shown(Method("blank", reference="blank"), draw_trials(1, 1, seed=3)[0])[0])
    differs = (render(picture) != blank).any(2).ravel()
    assert set(kept.tolist()) == set(np.flatnonzero(differs).tolist())


def test_controls_show_what_they_say():
    trial = draw_trials(1, 1, seed=3)[0]
    own = trial.reference.figures[0]
    (posed,) = shown(Method("", reference="same pose"), trial)
    assert posed.figures[0].identity == own.identity
    assert posed.figures[0].placement == trial.wanted[0].figures[0].placement
    (other,) = shown(Method("", reference="another identity"), trial)
    assert other.figures[0].placement == own.placement
    assert other.figures[0].identity != own.identity
    assert shown(Method(""), trial) == [trial.reference]
    both = shown(Method("", views=("front",)), trial)
    assert both[0] == trial.reference
    assert both[1].figures[0].identity == own.identity
    assert both[1].figures[0].placement.facing == "front"


def test_prompts_differ_from_the_reference_in_action_and_wall():
    for held_out in (True, False):
        for trial in draw_trials(5, 3, seed=4, held_out=held_out):
            figure = trial.reference.figures[0]
            assert figure.identity.held_out == held_out
            assert trial.reference.shape == SHAPE
            for wanted in trial.wanted:
                assert wanted.figures[0].identity == figure.identity
                assert wanted.figures[0].placement.action != figure.placement.action
                assert wanted.figures[0].placement.facing in SIDES
                assert wanted.figures[0].placement.action in ACTIONS
                assert wanted.scene.wall != trial.reference.scene.wall


@pytest.mark.skipif(
    not (export.TARGET / export.CHECKPOINT).exists(), reason="no trained checkpoint yet"
)
def test_the_shipped_model_reads_the_reference_and_not_just_any():
    changes = gates.teacher_forced(load_model(), count=8)
    for time in (600, 800):
        same, other = (changes[kind][time][0] for kind in ("same identity", "another identity"))
        assert same < -0.02
        assert other > same + 0.02
