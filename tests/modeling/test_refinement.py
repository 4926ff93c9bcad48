import pytest
import torch
from torch import nn

from rgacli.modeling.refinement import evaluating, outputs_on_union


class Head(nn.Module):
    """Outputs nested as a SABL head's, from features (N, 4) that it normalises."""

    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(4)
        self.seen = []

    def forward(self, features):
        self.seen.append(features)
        found = self.norm(features)
        return found, (2 * found, 3 * found)


def features(number):
    return torch.randn(number, 4, generator=torch.Generator().manual_seed(0)).requires_grad_()


def flat(outputs):
    cls_score, (first, second) = outputs
    return [cls_score, first, second]


@pytest.mark.parametrize("index", [[4, 1, 3], [4, 1, 4, 3, 1]], ids=["once", "repeated"])
def test_own_rois_have_the_training_passs_outputs_and_others_those_of_eval_mode(index):
    head, union, index = Head(), features(6), torch.tensor(index)
    own = head(union[index])
    found = flat(outputs_on_union(head, union, index, own))
    others = torch.tensor([0, 2, 5])
    assert torch.equal(head.seen[1], union[others])
    expected = flat(head.eval()(union))
    for one, trained, tested in zip(found, flat(own), expected, strict=True):
        assert torch.equal(one[index], trained)
        torch.testing.assert_close(one[others], tested[others])
        assert not torch.allclose(one[index], tested[index])
        assert not one.requires_grad


def test_a_head_that_sampled_all_of_the_union_does_not_run_again():
    head, union, index = Head(), features(4), torch.tensor([2, 0, 3, 1])
    own = head(union[index])
    for one, trained in zip(flat(outputs_on_union(head, union, index, own)), flat(own), strict=True):
        assert torch.equal(one[index], trained)
    assert len(head.seen) == 1


def test_running_statistics_and_modes_stay_as_the_training_pass_left_them():
    head, union = Head(), features(6)
    head.frozen = nn.BatchNorm1d(4).eval()
    index = torch.tensor([0, 1])
    own = head(union[index])
    before = {name: value.clone() for name, value in head.state_dict().items()}
    outputs_on_union(head, union, index, own)
    for name, value in head.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert (head.training, head.norm.training, head.frozen.training) == (True, True, False)


def test_modes_come_back_from_a_failure():
    head = Head()
    with pytest.raises(RuntimeError), evaluating(head):
        head(torch.zeros(2, 3))  # of other channels than it has
    assert head.norm.training
