from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rgacli.analysis.scores.tally import CELLS, ScoreTally, histogram, share_from
from rgacli.evaluation.gt_bins import DEFAULT_BINS


@st.composite
def images(draw):
    """(number of objects, scores (K, N)) of several images."""
    heads = draw(st.integers(2, 3))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    sizes = draw(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 30)), min_size=1, max_size=5))
    return [(count, rng.random((heads, outputs), dtype=np.float32)) for count, outputs in sizes]


@settings(max_examples=25)
@given(images())
def test_what_is_counted_image_by_image_is_what_all_scores_together_say(found):
    heads = len(found[0][1])
    order = list(reversed(range(heads)))
    tally = ScoreTally(order, DEFAULT_BINS)
    for number, (count, scores) in enumerate(found):
        tally.add(number, count, scores)
    assert tally.pairs == list(combinations(order, 2))

    together = np.concatenate([scores for _, scores in found], axis=1)
    first, second = np.array(tally.pairs).T
    differences = together[first] - together[second]
    sums = {
        name: sum(getattr(image, name) for image in tally.images) for name in ("score", "high", "difference", "far")
    }
    assert sum(image.outputs for image in tally.images) == together.shape[1]
    assert sums["score"] == pytest.approx(together.sum(axis=1), rel=1e-4)
    assert sums["high"].tolist() == (together >= 0.5).sum(axis=1).tolist()
    assert sums["difference"] == pytest.approx(differences.sum(axis=1), rel=1e-4, abs=1e-4)
    assert sums["far"].tolist() == (np.abs(differences) > 0.1).sum(axis=1).tolist()

    for k in range(heads):
        counts, _ = np.histogram(together[k], bins=np.arange(CELLS + 1, dtype=np.float32) / CELLS)
        assert np.abs(np.cumsum(tally.overall.scores[k] - counts)).max() <= 1  # on an edge, by rounding
    assert tally.overall.distances.sum(axis=1).tolist() == [together.shape[1]] * len(tally.pairs)
    for gt_bin in DEFAULT_BINS:
        inside = sum(scores.shape[1] for count, scores in found if count in gt_bin)
        assert tally.by_bin[gt_bin.label].scores.sum(axis=1).tolist() == [inside] * heads


@settings(max_examples=25)
@given(st.lists(st.integers(0, CELLS), max_size=40))
def test_shares_from_an_edge_on_are_those_of_the_values(cells):
    values = np.array([(cell + 0.5) / CELLS for cell in cells if cell < CELLS] + [1.0] * cells.count(CELLS))
    (counts,) = histogram(values[None])
    assert counts.sum() == len(values)
    expected = [np.mean(values >= edge / CELLS) if len(values) else 0 for edge in range(CELLS)]
    assert share_from(counts) == pytest.approx([*expected, 0])


def test_disagreement_is_the_mean_over_outputs_and_every_two_heads():
    tally = ScoreTally([0, 1, 2], DEFAULT_BINS)
    tally.add(1, 2, np.array([[0.9, 0.5], [0.5, 0.5], [0.1, 0.5]]))
    tally.add(2, 2, np.zeros((3, 0)))
    assert [image.disagreement for image in tally.images] == [pytest.approx((0.4 + 0.8 + 0.4) / 6), 0]
    (image, _) = tally.images
    assert image.difference == pytest.approx([0.4, 0.8, 0.4])  # the first head minus the second
