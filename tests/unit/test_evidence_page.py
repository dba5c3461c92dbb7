"""The page of the evidence is made of a report and nothing else."""

import json
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from lab.evidence import harness, measure, metrics, page, plots
from lab.evidence.methods import DEFAULT, ORACLE, PAPER, PLAIN
from lab.evidence.rows import METHODS, PEERS
from lab.evidence.table import COLUMNS
from lab.evidence.trials import Count
from lab.training.export import TARGET

DOCUMENTS = Path(__file__).resolve().parents[2] / "docs"
WHOLE, PART = Count(4, 3, 2), Count(2, 2, 1)


def found(count, rng):
    """Scores as a method's pictures might have."""
    names = [*COLUMNS, "action", "facing", *(f"attribute {n}" for n in metrics.JUDGED)]
    values = {name: rng.random(count.pictures) for name in names if name != "leak slope"}
    return values | {
        "slope above": rng.random(count.pictures),
        "slope below": np.ones(count.pictures),
    }


@pytest.fixture(scope="module")
def report():
    rng, scores = np.random.default_rng(0), {}
    made = {
        "split": "held-out", "steps": 12, "plain": PLAIN, "oracle": ORACLE,
        "default": DEFAULT.name, "peers": [each.name for each in PEERS],
        "rows": {}, "counts": {}, "differences": {}, "seconds": {},
        "judges": {"skin": 0.97}, "samples": {},
        "gates": {
            "uniform attention": {"200": 33.4, "950": 0.17},
            "flipped facing": {"200": 0.04, "950": 0.08},
            "teacher-forced": {
                kind: {"200": [0.04, -0.05, 0.06], "950": [0.1, 0.05, 0.2]}
                for kind in ("none", "same identity", "another identity")
            },
        },
        "counterfactual": {
            "all layers": {"pose by pose": 0.2, "attributes by identity": 0.6, "chance": 0.2}
        },
        "stride": {DEFAULT.name: {"2": 0.05}},
    }  # fmt: skip
    for method in METHODS:
        count = WHOLE if method.whole else PART
        done = {"answer": found(count, rng), "seconds": count.pictures / 2}
        harness._add(made, scores, method, done, count)
    harness._compare(made, scores)
    return json.loads(json.dumps(made))


class Pretended:
    """Answers as a `Runner` does, and counts what it is asked."""

    asked: ClassVar[list[str]] = []

    def __init__(self, options):
        self.options = options

    def __call__(self, what):
        self.asked.append(what if isinstance(what, str) else what.name)
        if isinstance(what, str):
            return {}
        return found(measure.count_of(what, self.options), np.random.default_rng(len(what.name)))


def test_a_run_that_was_stopped_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr(measure, "Runner", Pretended)
    names = [PLAIN, DEFAULT.name, "strength 4", "refresh 2"]
    arguments = ["--references", "3", "--prompts", "2", "--seeds", "2", "--part", "2", "2", "1",
                 "--out", str(tmp_path), "--methods", *names]  # fmt: skip
    harness.main(arguments)
    assert Pretended.asked == [PLAIN, DEFAULT.name, *measure.MEASURES, "strength 4", "refresh 2"]
    report = json.loads((tmp_path / "evidence.json").read_text())
    assert report["counts"] == {PLAIN: [3, 2, 2], DEFAULT.name: [3, 2, 2],
                                "strength 4": [2, 2, 1], "refresh 2": [2, 2, 1]}  # fmt: skip
    (tmp_path / "kept" / "refresh-2.json").unlink()
    Pretended.asked.clear()
    harness.main([*arguments, "--minutes", "0"])
    again = json.loads((tmp_path / "evidence.json").read_text())
    assert Pretended.asked == []
    assert set(again["rows"]) == {PLAIN, DEFAULT.name, "strength 4"}
    assert again["rows"][PLAIN] == report["rows"][PLAIN]
    harness.main([*arguments, "--steps", "8"])  # another question
    assert len(Pretended.asked) == len(names) + len(measure.MEASURES)
    Pretended.asked.clear()
    harness.main([*arguments, "--steps", "8", "--core"])
    assert Pretended.asked == []
    again = json.loads((tmp_path / "evidence.json").read_text())
    assert set(again["rows"]) == {PLAIN, DEFAULT.name}


def test_every_row_and_every_part_is_on_the_page(report):
    text = page.write(report, TARGET)
    assert "{{" not in text
    assert "not measured" not in text.lower()
    for method in METHODS:
        n = (WHOLE if method.whole else PART).pictures
        assert f"\n| {method.name} | {n} |" in text, method.name
    assert "4 held-out references x 3 prompts x 2 seeds = 24 pictures a row" in text
    assert "2 held-out references x 2 prompts x 1 seed = 4 pictures a row" in text
    assert "| 0.0400 | 0.1000 |" in text
    assert "+4.0 % [-5.0, +6.0]" in text
    first = report["rows"]["stream noise, exact"]["identity"][0]
    assert f"one fixed noise {first:.2f}," in text


def test_differences_are_to_the_same_pictures(report):
    for base in (PLAIN, PAPER.name, DEFAULT.name):
        assert set(report["differences"][base]) == {m.name for m in METHODS} - {base}
    value, low, high = report["differences"][PLAIN]["strength 4"]["identity"]
    assert low <= value <= high
    assert report["seconds"]["strength 4"] == 0.5


def test_what_was_not_measured_is_said(report):
    short = report | dict.fromkeys(("gates", "judges", "counterfactual", "stride"))
    short["rows"] = {name: report["rows"][name] for name in (PLAIN, DEFAULT.name)}
    short["counts"] = {name: report["counts"][name] for name in short["rows"]}
    short["differences"] = {}
    text = page.write(short, TARGET)
    assert "{{" not in text
    assert text.count("Not measured.") >= 6
    assert "one fixed noise (not measured)" in text


def test_a_word_that_names_no_row_is_an_error(report, monkeypatch, tmp_path):
    template = tmp_path / "page.md"
    template.write_text("{{identity of strength 5}}")
    monkeypatch.setattr(page, "TEMPLATE", template)
    with pytest.raises(KeyError, match="strength 5"):
        page.write(report, TARGET)


def test_the_plot_has_every_row(report, tmp_path):
    plots.pareto(report["rows"], tmp_path / "pareto.png")
    assert (tmp_path / "pareto.png").exists()


def test_the_documents_show_the_report_that_is_beside_them():
    kept = json.loads((DOCUMENTS / "evidence.json").read_text())
    if "counts" not in kept:
        pytest.skip("a report of before the page was made by a command")
    assert (DOCUMENTS / "evidence.md").read_text() == page.write(kept, TARGET)
