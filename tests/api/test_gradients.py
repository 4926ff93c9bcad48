"""Gradients that runs logged, or that are measured at their checkpoints."""

import csv
import json
import math
import shutil
from pathlib import Path

import pytest

from rgacli.api.gradients import gradients
from rgacli.errors import UsageError


@pytest.fixture
def run(tmp_path, monkeypatch, finished_run):
    """A folder with the run, which logged no gradients."""
    monkeypatch.chdir(tmp_path)
    return Path(shutil.copytree(finished_run, tmp_path / "runs/base"))


def log_probes(run):
    with (run / "metrics.jsonl").open("a") as file:
        for step in range(1, 11):
            values = {"1to1": 3.0, "1to9": 4.0, "sum": 5.0, "sum_of_norms": 7.0, "angle": 90.0}
            line = {f"gradient.heads.{key}": value for key, value in values.items()}
            file.write(json.dumps({**line, "step": step}) + "\n")


def test_what_a_run_logged_is_drawn_into_it(run):
    log_probes(run)
    result = gradients("base")
    assert result.figure == Path("runs/base/figures/gradients.png")
    (row,) = result.rows
    assert (row.run, row.probes, row.sum, row.angle) == ("base", 10, 5, 90)
    with result.data.open(newline="") as file:
        assert len(list(csv.DictReader(file))) == 50


def test_several_runs_are_overlaid_beside_all_runs(run, undrawn):
    log_probes(run)
    shutil.copytree(run, "runs/other")
    result = gradients(["base", "other"])
    assert result.figure == Path("figures/gradients.png")
    assert [row.run for row in result.rows] == ["base", "other"]


def test_a_run_without_probes_is_refused(run):
    with pytest.raises(UsageError, match=r"run base logged no gradients: measure them at its checkpoint by measure=64"):
        gradients("base")


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (dict(split="val"), "split=val goes with measure"),
        (dict(weight="layer3.0.conv1"), r"weight=layer3\.0\.conv1 goes with measure"),
        (dict(device="cpu"), "device=cpu goes with measure"),
        (dict(seed=1), "seed=1 goes with measure"),
        (dict(measure=0), "measure=0: it must be at least 1"),
        (dict(measure=2, weight="gone"), "weight=gone: ResNet has no such weight; it has"),
    ],
)
def test_contradictions_are_refused(run, options, complaint):
    with pytest.raises(UsageError, match=complaint):
        gradients("base", **options)
    assert not (run / "figures").exists()


def test_a_checkpoint_is_measured_on_batches_as_in_training(run, undrawn):
    told = []
    result = gradients("base", measure=2, progress=lambda task, done, total, note="": told.append((task, done, total)))
    assert result.figure == Path("runs/base/figures/train/gradients.png")
    assert result.about == {"runs": ["base"], "weight": "layer4.0.conv1", "measured": "2 images of train"}
    assert told == [("gradients", done, 2) for done in (1, 2)]
    (row,) = result.rows
    assert (row.compared, row.probes, list(row.norms)) == ("R-CNN heads", 2, ["1:1", "1:9"])
    assert 0 < row.sum <= row.sum_of_norms
    assert math.isnan(row.change)
    again = gradients("base", measure=2)
    assert str(again.rows) == str(result.rows)  # NaN is not equal to itself


def test_a_small_split_is_looked_at_once_at_another_weight(run, undrawn):
    result = gradients("base", measure=64, split="val", weight="layer1.0.conv1", seed=1)
    assert result.about == {"runs": ["base"], "weight": "layer1.0.conv1", "measured": "2 images of val"}
    assert result.figure == Path("runs/base/figures/val/gradients.png")
