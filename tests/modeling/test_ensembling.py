import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rgacli.errors import UsageError
from rgacli.modeling.ensembling import (
    TILTS,
    alone,
    combination,
    mean_logits,
    mean_probs,
    obstacle,
    tilt_name,
    tilted_weights,
    weighted_logits,
)

LOGITS = torch.randn(3, 5, 4, generator=torch.Generator().manual_seed(0))


def test_the_mean_of_logits():
    torch.testing.assert_close(mean_logits(LOGITS), (LOGITS[0] + LOGITS[1] + LOGITS[2]) / 3)


@pytest.mark.parametrize("scale", [1, 100])
def test_the_softmax_of_the_mean_of_probabilities_is_that_mean(scale):
    probabilities = [(scale * logits).softmax(dim=1) for logits in LOGITS]
    torch.testing.assert_close(mean_probs(scale * LOGITS).softmax(dim=1), sum(probabilities) / 3)


def test_logits_are_weighted():
    expected = 0.5 * LOGITS[0] + 0.3 * LOGITS[1] + 0.2 * LOGITS[2]
    torch.testing.assert_close(weighted_logits(LOGITS, [0.5, 0.3, 0.2]), expected)


@given(st.lists(st.floats(0.01, 0.99), min_size=2, max_size=5), st.floats(-3, 3))
def test_weights_sum_to_one_and_follow_the_positive_fractions(fractions, tilt):
    weights = tilted_weights(fractions, tilt)
    assert sum(weights) == pytest.approx(1)
    order = sorted(range(len(fractions)), key=lambda k: fractions[k] * (1 if tilt >= 0 else -1))
    assert all(weights[a] <= weights[b] + 1e-9 for a, b in pairwise(order))


def test_a_tilt_weighs_two_heads_by_a_logistic_function():
    for tilt in (*TILTS, 0):
        first = 1 / (1 + math.exp(-2 * tilt))
        assert tilted_weights([0.5, 0.1], tilt) == pytest.approx([first, 1 - first])


def test_heads_of_one_ratio_are_not_told_apart():
    assert tilted_weights([0.5, 0.5], 2) == [0.5, 0.5]


def test_a_combination_says_whose_logits_and_boxes_it_takes():
    fractions = [0.1, 0.5, 0.25]
    assert combination("ensemble", fractions, 1).box_heads == (1,)
    assert combination("average-boxes", fractions, 1).box_heads == (0, 1, 2)
    assert alone(2).heads == alone(2).box_heads == (2,)
    tilted = combination(tilt_name(2), fractions, 1)
    torch.testing.assert_close(tilted.merge(LOGITS), weighted_logits(LOGITS, tilted_weights(fractions, 2)))


def test_an_unknown_combination_is_answered_by_those_there_are():
    with pytest.raises(UsageError, match=r"'median'; there are ensemble, average-probs, average-boxes, tilt-2"):
        combination("median", [0.5, 0.1], 0)


def test_heads_that_cannot_be_combined_in_a_way_are_told_by_their_configs():
    plain = dict(type="Shared2FCBBoxHead", loss_cls=dict(type="CrossEntropyLoss"))
    seesaw = dict(type="Shared2FCBBoxHead", loss_cls=dict(type="SeesawLoss"))
    sabl = dict(type="SABLHead", loss_cls=dict(type="CrossEntropyLoss"))
    assert "Seesaw" in obstacle("average-probs", [plain, seesaw])
    assert "SABL" in obstacle("average-boxes", [sabl])
    assert obstacle("average-probs", [plain, sabl]) is obstacle("average-boxes", [plain, seesaw]) is None
