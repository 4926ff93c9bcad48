import json
from types import SimpleNamespace

import pytest
import torch

from rgacli.engine.metrics_log import JsonLinesVisBackend, draw_statistics, truncate_metrics

BACKGROUND = 2


def one_draw(positives, negatives):
    return SimpleNamespace(pos_inds=torch.arange(positives), neg_inds=torch.arange(negatives))


def logits_for(predictions):
    """(N, 3) logits whose greatest are at `predictions`."""
    return torch.eye(3)[torch.tensor(predictions)] * 5


# --- draw statistics


def test_statistics_are_those_of_a_count_by_hand():
    # Image 1: positives of classes 0 and 1, then 3 negatives; image 2: a positive of class 1, then 2 negatives.
    labels = torch.tensor([0, 1, 2, 2, 2, 1, 2, 2])
    logits = logits_for([0, 0, 2, 2, 1, 1, 2, 0])
    found = draw_statistics(logits, labels, [one_draw(2, 3), one_draw(1, 2)])
    assert {name: value.item() for name, value in found.items()} == {
        "positives": 1.5,  # per image
        "negatives": 2.5,
        "acc_pos": pytest.approx(100 * 2 / 3),
        "acc_neg": pytest.approx(100 * 3 / 5),
    }


@pytest.mark.parametrize(
    ("label", "draw", "left_out", "there"),
    [(BACKGROUND, (0, 2), "acc_pos", "acc_neg"), (0, (2, 0), "acc_neg", "acc_pos")],
)
def test_an_accuracy_on_nothing_is_left_out(label, draw, left_out, there):
    found = draw_statistics(logits_for([label, label]), torch.tensor([label, label]), [one_draw(*draw)])
    assert left_out not in found
    assert found[there] == 100


def test_nothing_drawn_at_all_is_counted_as_zero():
    found = draw_statistics(torch.zeros(0, 3), torch.zeros(0, dtype=torch.long), [one_draw(0, 0)])
    assert {name: value.item() for name, value in found.items()} == {"positives": 0, "negatives": 0}


def test_statistics_hold_no_graph_and_no_loss():
    logits = logits_for([0, 2]).requires_grad_()
    found = draw_statistics(logits, torch.tensor([0, BACKGROUND]), [one_draw(1, 1)])
    assert not any(value.requires_grad for value in found.values())
    assert not any("loss" in name for name in found)  # mmengine sums whatever has it in its name


# --- metrics.jsonl


def strictly(line):
    return json.loads(line, parse_constant=pytest.fail)


def test_each_step_is_one_line_of_json(tmp_path):
    backend = JsonLinesVisBackend(str(tmp_path / "new"))
    backend.add_scalars({"loss": torch.tensor(0.5), "iter": 3}, step=3)
    backend.add_scalar("lambda", 7.0, step=4)
    assert [strictly(line) for line in (tmp_path / "new/metrics.jsonl").open()] == [
        {"loss": 0.5, "iter": 3, "step": 3},
        {"lambda": 7.0, "step": 4},
    ]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), torch.tensor(float("nan"))])
def test_what_json_has_no_number_for_is_null(tmp_path, value):
    JsonLinesVisBackend(str(tmp_path)).add_scalars({"AP": value}, step=1)
    assert strictly((tmp_path / "metrics.jsonl").read_text()) == {"AP": None, "step": 1}


def test_lines_after_an_iteration_are_dropped_with_one_half_written(tmp_path):
    path, backend = tmp_path / "metrics.jsonl", JsonLinesVisBackend(str(tmp_path))
    for step in range(1, 6):
        backend.add_scalars({"loss": 0.1, "iter": step}, step=step)
    before = path.read_text().splitlines()
    with path.open("a") as file:
        file.write('{"loss": 0.1, "it')
    truncate_metrics(path, 3)
    assert path.read_text().splitlines() == before[:3]
    assert list(tmp_path.iterdir()) == [path]


def test_there_may_be_nothing_to_truncate(tmp_path):
    truncate_metrics(tmp_path / "metrics.jsonl", 3)
    assert not list(tmp_path.iterdir())
