"""`positives` and `accuracy`: what runs logged."""

import csv
import json
from pathlib import Path

import pytest

from rgacli.api.accuracy import accuracy
from rgacli.api.positives import positives
from rgacli.errors import UsageError
from tests.support.tiny import stock_config, tiny_config

FUNCTIONS = pytest.mark.parametrize("function", [positives, accuracy])


@pytest.fixture(autouse=True)
def _home(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def write_run(name, cfg=None, lambda0=1.0, steps=30):
    cfg = cfg or tiny_config(ratios=["1:1", "1:9"])
    cfg.custom_hooks = [dict(type="GradientAnnealingHook", lambda0=lambda0)]
    run = Path("runs") / name
    run.mkdir(parents=True)
    cfg.dump(run / "config.py")
    lines = [{"loss": 1.0, "epoch": 1, "step": step} for step in range(1, steps + 1)]
    for line in lines if cfg.model.roi_head.get("ratios") else ():
        for head in ("1to1", "1to9"):
            line |= {f"{head}.positives": line["step"] / 10, f"{head}.acc_pos": 50 + lambda0, f"{head}.acc_neg": 99.0}
    lines.append({"coco/1to1/AP": 0.25, "coco/ensemble/AP": 0.5, "step": steps})
    (run / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return run


def test_the_figure_of_a_run_lies_in_it_beside_its_numbers():
    run = write_run("mine")
    found = positives()
    assert found.figure == run / "figures/positives.png"
    assert found.figure.read_bytes().startswith(b"\x89PNG")
    with found.data.open(newline="", encoding="utf-8") as file:
        assert len(list(csv.DictReader(file))) == len(found.finding.points()) == 60
    assert {row.head for row in found.rows} == {"1:1", "1:9"}


@FUNCTIONS
def test_several_runs_are_overlaid_in_a_folder_of_their_own(function, undrawn):
    for name, lambda0 in (("rga", 7.0), ("plain", 1.0)):
        write_run(name, lambda0=lambda0)
    found = function(["rga", "plain"], style="paper")
    assert found.figure == Path(f"figures/{function.__name__}.png")
    assert {row.run for row in found.rows} == {"rga", "plain"}
    assert function("rga", out=Path("mine")).figure.parent == Path("mine")


def test_runs_with_rga_are_compared_with_the_one_without(undrawn):
    for name, lambda0 in (("rga", 7.0), ("plain", 1.0)):
        write_run(name, lambda0=lambda0)
    found = accuracy(["rga", "plain"])
    assert {row.difference for row in found.rows if row.run == "rga" and row.on == "positives"} == {6}
    assert {row.baseline for row in found.rows} == {"plain", None}
    assert found.about["trainings"][0] == dict(run="rga", method="λ0 7", seed=None)


@FUNCTIONS
def test_a_run_of_stock_heads_alone_is_refused_and_the_style_before_all_else(function):
    write_run("stock", stock_config())
    with pytest.raises(UsageError, match="run stock trained mmdet's own heads"):
        function("stock")
    assert not Path("runs/stock/figures").exists()
    with pytest.raises(UsageError, match="style=neon"):
        function("nowhere", style="neon")
