"""The whole harness on an untrained model: it runs, counts right and writes its files."""

import json
from types import SimpleNamespace

import pytest
import torch

from bench.evidence import gates
from bench.evidence.harness import main
from bench.evidence.methods import DEFAULT, METHODS, WHOLE, Method
from bench.evidence.run import Sampler, _Rows, draw_trials
from lafi.core.reference import Conditioning
from training import autoencoder, export
from training.diffusion import Model
from training.export import TARGET
from training.judges import Judges
from training.load import load_toy
from training.nets import LATENT


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    torch.manual_seed(0)
    made = tmp_path_factory.mktemp("toy")
    model = Model()
    for parameter in model.parameters():  # attention must reach the output
        if parameter.dim() > 1 and not parameter.any():
            torch.nn.init.normal_(parameter, std=0.1)
    export.export(model, autoencoder.build(), made)
    export.export_judges(Judges(), made)
    return made


def test_quick_run_writes_table_plot_and_grids(folder, tmp_path):
    names = ["none", DEFAULT, "LAFI, subject mask", "LAFI, reference noise x0.5", "LAFI, refresh 2"]
    files = ["--toy", str(folder), "--out", str(tmp_path)]
    main(["--quick", "--jobs", "2", *files, "--methods", *names])
    report = json.loads((tmp_path / "evidence.json").read_text())
    assert set(report["rows"]) == set(names)
    assert set(report["differences"]) == {"none", DEFAULT}
    for changes in report["stride"].values():
        assert set(changes) == {"2", "3", "4"}
        assert all(change > 0 for change in changes.values())
    assert "Change of the picture by *Refresh*" in (tmp_path / "evidence.md").read_text()
    assert set(report["teacher-forced"]) == {"none", "same identity", "another identity"}
    for values in report["rows"].values():
        for value, low, high in values.values():
            assert low <= value <= high
    text = (tmp_path / "evidence.md").read_text()
    assert "2 development references x 2 prompts x 1 seeds = 4 pictures per row" in text
    assert (tmp_path / "pareto.png").exists()
    assert (tmp_path / "grid-none.png").exists()


def test_every_method_changes_the_picture_and_leaves_no_hook(folder):
    toy = load_toy(folder / "toy.safetensors")
    sampler = Sampler(toy, steps=2)
    trial = draw_trials(1, 1, seed=3)[0]
    plain = sampler.run(METHODS[0], trial, [0])
    for method in METHODS[1:]:
        assert not torch.equal(sampler.run(method, trial, [0]), plain), method.name
    assert torch.equal(sampler.run(METHODS[0], trial, [0]), plain)


def test_a_row_with_half_the_noise_is_read_at_the_timestep_of_that_level(folder):
    toy = load_toy(folder / "toy.safetensors")
    z0 = torch.ones(1, *LATENT)
    row = _Rows(z0, Method("half", WHOLE, noise=0.5), Sampler(toy).schedule, None)
    seen = []
    unet = SimpleNamespace(forward=lambda x, timesteps, context: seen.extend([x, timesteps]))
    row.forward(unet, z0, torch.tensor([500, 500]), Conditioning(toy.context([""])), {})
    x, timesteps = seen
    alpha = float(toy.alphas_cumprod[500])
    sigma = 0.5 * ((1 - alpha) / alpha) ** 0.5
    torch.testing.assert_close(x, (z0 + sigma * row.noise) / (1 + sigma**2) ** 0.5)
    # Of the model's own levels, the nearest.
    levels = ((1 - toy.alphas_cumprod) / toy.alphas_cumprod) ** 0.5
    assert abs(int((levels - sigma).abs().argmin()) - float(timesteps[0])) < 1


def test_prompts_differ_from_the_reference_in_action_and_wall():
    for trial in draw_trials(5, 3, seed=4):
        assert trial.reference.identity.held_out
        for wanted in trial.wanted:
            assert wanted.identity == trial.reference.identity
            assert wanted.placements[0].action != trial.reference.placements[0].action
            assert wanted.scene.wall != trial.reference.scene.wall


@pytest.mark.skipif(not (TARGET / "toy.safetensors").exists(), reason="no trained checkpoint yet")
def test_the_shipped_model_reads_the_reference_and_not_just_any():
    changes = gates.teacher_forced(load_toy(), count=8)
    for time in (600, 800):
        same, other = (changes[kind][time][0] for kind in ("same identity", "another identity"))
        assert same < -0.02
        assert other > same + 0.02
