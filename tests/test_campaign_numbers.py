"""What the campaign's parts "edges" and "sameness" compare by."""

import json

import pytest
import torch

from rgacli.data.annotations import load_annotations
from tests.campaign import drawn, edges, sameness


def test_what_is_drawn_is_a_dataset(tmp_path):
    image = drawn.Drawn((30, 20), [(-4, 2, 10, 0.5), (10, 5, 6, 7)], labels=(1, 0))
    content = load_annotations(drawn.write(tmp_path, {"train": [image]}, ("a", "b")) / "annotations/train.json")
    assert [(one["category_id"], one["bbox"]) for one in content["annotations"]] == [
        (2, [-4, 2, 10, 0.5]),
        (1, [10, 5, 6, 7]),
    ]
    pixels = drawn._pixels(image, 1)
    assert pixels[5:12, 10:16].min() >= 120
    assert pixels[2, :6].min() >= 120
    assert (pixels >= 120).any(axis=2).sum() == 6 * 7 + 6


def test_numbers_that_are_none_are_found():
    edges.require_numbers(edges.strict('{"heads": [{"AP": null, "APs": 1, "images": 4}]}'))
    with pytest.raises(AssertionError, match="NaN is no JSON"):
        edges.strict('{"AP": NaN}')
    with pytest.raises(AssertionError, match="AP50 is -1"):
        edges.require_numbers({"heads": {"1:1": {"AP50": -1}}})


def test_the_best_checkpoint_is_of_the_best_validation(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    lines = [{"step": step, "coco/AP": value} for step, value in ((2, None), (4, 0.5), (6, 0.25))]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    for step, score in ((4, 0.5), (6, 0.25)):
        meta = {"iter": step, "best": {"metric": "coco/AP", "score": score}}
        torch.save({"meta": meta}, tmp_path / "checkpoints/best.pth")
        if step == 4:
            edges.require_best(tmp_path)
            continue
        with pytest.raises(AssertionError, match="is not of"):
            edges.require_best(tmp_path)


def test_what_differs_in_checkpoints_is_named():
    one = {"a": torch.zeros(2), "b": [1, {"c": torch.ones(1)}]}
    assert list(sameness.unlike(one, {"a": torch.zeros(2), "b": [1, {"c": torch.ones(1)}]}, "state")) == []
    other = {"a": torch.zeros(2).double(), "b": [1, {"c": torch.full((1,), 1 + 1e-7)}]}
    assert sorted(sameness.unlike(one, other, "state")) == ["state.a", "state.b[1].c"]


def test_metrics_lie_apart():
    one = {"1:1": {"AP": 0.5, "APl": None}}
    assert sameness.metrics_apart(one, {"1:1": {"AP": 0.25, "APl": None}}) == 0.25
    with pytest.raises(AssertionError, match="1:1 APl"):
        sameness.metrics_apart(one, {"1:1": {"AP": 0.5, "APl": 0.0}})
