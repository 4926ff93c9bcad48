"""Draws of a batch and of several heads, against mmdet's RandomSampler."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from rgacli.modeling.batched.drawing import draw


@given(
    seed=st.integers(0, 2**31),
    number=st.integers(1, 24),
    boxes=st.integers(1, 30),
    quotas=st.lists(st.integers(0, 24), min_size=1, max_size=3),
    share=st.booleans(),
)
def test_each_head_takes_the_highest_keys_of_each_kind(seed, number, boxes, quotas, share):
    quotas = [min(quota, number) for quota in quotas]
    generator = torch.Generator().manual_seed(seed)
    assigned = torch.randint(-1, 3, (2, boxes), generator=generator)
    keys = torch.rand(1 if share else len(quotas), 2, boxes, generator=generator)
    drawn = draw(assigned, keys, number, quotas)
    for k, quota in enumerate(quotas):
        for image in range(2):
            own, ranking = assigned[image], keys[0 if share else k, image].argsort(descending=True).tolist()
            positives = [place for place in ranking if own[place] > 0][:quota]
            negatives = [place for place in ranking if own[place] == 0][: number - len(positives)]
            valid = drawn.valid[k, image]
            assert drawn.index[k, image][valid].tolist() == positives + negatives
            assert drawn.is_positive[k, image][valid].tolist() == [True] * len(positives) + [False] * len(negatives)
            assert not drawn.is_positive[k, image][~valid].any()
            assert (drawn.positives[k, image], drawn.negatives[k, image]) == (len(positives), len(negatives))


def test_every_positive_and_every_negative_is_as_likely():
    assigned = torch.tensor([[1, 1, 2, 3, 1] + [0] * 20]).expand(4000, -1)
    drawn = draw(assigned, torch.rand(1, *assigned.shape, generator=torch.Generator().manual_seed(0)), 8, [2])
    times = torch.bincount(drawn.index.flatten(), minlength=25) / 4000
    # 2 of 5, and 6 of 20; standard deviations are 0.008 and 0.007.
    torch.testing.assert_close(times[:5], torch.full((5,), 2 / 5), atol=0.03, rtol=0)
    torch.testing.assert_close(times[5:], torch.full((20,), 6 / 20), atol=0.03, rtol=0)


def test_positives_weigh_as_they_are_told():
    drawn = draw(torch.tensor([[1, 0, -1, -1]]), torch.rand(1, 1, 4), 3, [1])
    assert drawn.weights(-1).tolist() == [[[1, 1, 0]]]
    assert drawn.weights(2.5).tolist() == [[[2.5, 1, 0]]]
