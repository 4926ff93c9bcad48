import json
import math

import torch
from mmengine.config import Config

from rgacli.analysis.validations import Validation, Validations, collect, of_run
from rgacli.evaluation.gt_bins import parse_bins
from rgacli.runs import Run

VARIANTS = {"1to1": "1:1", "1to9": "1:9", "ensemble": "ensemble"}
LINES = [
    {"loss": 1.0, "epoch": 1, "step": 4},
    {"coco/ensemble/AP": 0.2, "coco/ensemble/AP_8plus": None, "coco/1to9/AP": 0.1, "time": 0.1, "step": 4},
    {"loss": 0.5, "epoch": 2, "step": 8},
    {"coco/ensemble/AP": 0.3, "coco/ensemble/AP_1-3": 0.4, "coco/1to1/AP": None, "time": 0.1, "step": 8},
]


def test_validations_are_told_by_head_and_bin_with_their_epoch():
    first, second = collect(LINES, VARIANTS, parse_bins("1-3,8+"))
    assert (first.epoch, first.iteration, second.epoch, second.iteration) == (1, 4, 2, 8)
    assert first.heads == {"1:1": {}, "1:9": {"AP": 0.1}, "ensemble": {"AP": 0.2}}
    assert math.isnan(first.bins["ensemble"]["8+"])
    assert math.isnan(second.heads["1:1"]["AP"])
    assert second.bins == {"1:1": {}, "1:9": {}, "ensemble": {"1-3": 0.4}}


def run_with(folder, lines, **best):
    folder.joinpath("metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    if best:
        folder.joinpath("checkpoints").mkdir()
        torch.save({"state_dict": {}, "meta": best}, folder / "checkpoints/best.pth")
    model = dict(roi_head=dict(type="ParallelRoIHead", ratios=["1:1", "1:9"]))
    return Run(folder), Config(dict(model=model, val_evaluator=dict(type="VariantsCocoMetric")))


def test_the_best_is_what_its_file_says_of_itself_and_the_last_what_was_logged_last(tmp_path):
    about = dict(metric="coco/1to9/AP", score=0.6, metrics={"coco/1to9/AP": 0.6, "coco/1to9/AP_1-3": 0.7})
    run, cfg = run_with(tmp_path, LINES, epoch=1, iter=4, best=about)
    found = of_run(run, cfg)
    heads = {"1:1": {}, "1:9": {"AP": 0.6}, "ensemble": {}}
    assert found.best == Validation(1, 4, heads, {"1:1": {}, "1:9": {"1-3": 0.7}, "ensemble": {}})
    assert found.best_by == "1:9/AP"
    assert found.last.iteration == 8


def test_a_run_may_have_no_best_and_no_validation_at_all(tmp_path):
    assert of_run(*run_with(tmp_path, LINES[:1])) == Validations(None, None, None)
