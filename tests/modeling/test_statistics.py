from types import SimpleNamespace

import pytest
import torch

from rgacli.modeling.statistics import sampling_statistics

BACKGROUND = 2


def one_result(positives, negatives):
    return SimpleNamespace(pos_inds=torch.arange(positives), neg_inds=torch.arange(negatives))


def logits_for(predictions):
    """(N, 3) logits whose greatest are at `predictions`."""
    return torch.eye(3)[torch.tensor(predictions)] * 5


def test_statistics_are_those_of_a_count_by_hand():
    # Image 1: positives of classes 0 and 1, then 3 negatives; image 2: a positive of class 1, then 2 negatives.
    labels = torch.tensor([0, 1, 2, 2, 2, 1, 2, 2])
    logits = logits_for([0, 0, 2, 2, 1, 1, 2, 0])
    found = sampling_statistics(logits, labels, [one_result(2, 3), one_result(1, 2)])
    assert {name: value.item() for name, value in found.items()} == {
        "positives": 1.5,  # per image
        "negatives": 2.5,
        "acc_pos": pytest.approx(100 * 2 / 3),
        "acc_neg": pytest.approx(100 * 3 / 5),
    }


@pytest.mark.parametrize(
    ("label", "counts", "left_out", "there"),
    [(BACKGROUND, (0, 2), "acc_pos", "acc_neg"), (0, (2, 0), "acc_neg", "acc_pos")],
)
def test_an_accuracy_on_nothing_is_left_out(label, counts, left_out, there):
    found = sampling_statistics(logits_for([label, label]), torch.tensor([label, label]), [one_result(*counts)])
    assert left_out not in found
    assert found[there] == 100


def test_nothing_sampled_at_all_is_counted_as_zero():
    found = sampling_statistics(torch.zeros(0, 3), torch.zeros(0, dtype=torch.long), [one_result(0, 0)])
    assert {name: value.item() for name, value in found.items()} == {"positives": 0, "negatives": 0}


def test_statistics_hold_no_graph_and_no_loss():
    logits = logits_for([0, 2]).requires_grad_()
    found = sampling_statistics(logits, torch.tensor([0, BACKGROUND]), [one_result(1, 1)])
    assert not any(value.requires_grad for value in found.values())
    assert not any("loss" in name for name in found)  # mmengine sums whatever has it in its name
