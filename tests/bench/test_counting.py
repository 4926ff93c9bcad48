import pytest
import torch
from torch import tensor
from torchvision.ops import nms

from rgacli.bench.counting import Counts, count

X = torch.arange(6.0).reshape(2, 3)
MASK = X > 2
ORDER, THREE = tensor([1, 0]), tensor([1.0, 2.0, 3.0])


def filled():
    x = X.clone()
    x[MASK] = THREE


@pytest.mark.parametrize(
    ("work", "ops", "syncs"),
    [
        (lambda: X + 1, 1, 0),
        (lambda: X.view(-1)[1:].t().unsqueeze(0).expand(2, 5).detach(), 0, 0),  # views
        (lambda: torch.empty(3), 0, 0),  # nothing is launched
        (lambda: torch.zeros(3), 1, 0),
        (lambda: (X + 1) * 2 - X, 3, 0),
        (lambda: X.sum().item(), 2, 1),
        (lambda: bool(X.sum() > 3), 3, 1),
        (lambda: float(X[0, 0]), 1, 1),
        (lambda: X.nonzero(), 1, 1),
        (lambda: torch.where(MASK), 1, 1),
        (lambda: X[MASK], 1, 1),
        (filled, 2, 1),
        (lambda: X[ORDER], 1, 0),  # whole numbers as an index: the size is known
        (lambda: X.masked_select(MASK), 1, 1),
        (lambda: torch.where(MASK, X, -X), 2, 0),
        (lambda: X.unique(), 1, 1),
        (lambda: X.flatten().unique_consecutive(), 1, 1),
        (lambda: torch.equal(X, X), 1, 1),
        (lambda: X.topk(2), 1, 0),
        (lambda: X.tolist(), 0, 1),
        (lambda: X.cpu(), 0, 1),
        (lambda: X.to("cpu"), 0, 1),
        (lambda: X.to(X.device), 0, 0),
        (lambda: torch.zeros(3, device=X.device) + X, 2, 0),
        (lambda: X.new_zeros(3, device=X.device), 1, 0),
    ],
)
def test_operations_and_what_the_host_waits_for(work, ops, syncs):
    assert count(work) == Counts(ops, syncs, 0)


def test_repeating_waits_unless_the_length_is_told():
    repeats = tensor([1, 2])
    assert count(lambda: torch.repeat_interleave(X, repeats, dim=0)).syncs == 1
    assert count(lambda: torch.repeat_interleave(X, repeats, dim=0, output_size=3)).syncs == 0


def test_nms_is_counted_by_itself():
    boxes, scores = tensor([[0.0, 0, 2, 2], [0, 0, 2, 2]]), tensor([0.5, 0.6])
    assert count(lambda: nms(boxes, scores, 0.5)) == Counts(1, 0, 1)


def test_code_goes_the_way_that_it_goes_on_a_gpu():
    ways = []
    count(lambda: ways.append((X.device.type, X.is_cuda, X.is_cpu, (X + 1).device == X.device)))
    assert ways == [("cuda", True, False, True)]
    assert X.device.type == "cpu"


def test_modules_are_seen_and_nothing_stays_switched_on():
    layer = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU())
    assert count(lambda: layer(X)) == Counts(2, 0, 0)
    assert count(lambda: None) == Counts(0, 0, 0)
