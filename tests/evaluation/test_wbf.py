import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from rgacli.evaluation.wbf import fuse

CLASSES, JITTERS = 2, 6
LOW, SPAN = np.array([-200, -100] * 2), np.array([1000, 700] * 2)  # boxes reach out of their image


def arrays(detections):
    """(box, score, label) to boxes (D, 4), scores (D,) and labels (D,)."""
    boxes, scores, labels = zip(*detections, strict=True) if detections else ((), (), ())
    return np.array(boxes, dtype=float).reshape(-1, 4), np.array(scores, dtype=float), np.array(labels, dtype=int)


def fused(detectors, iou=0.55):
    return fuse(*zip(*map(arrays, detectors), strict=True), iou=iou)


@st.composite
def detectors_on_an_image(draw):
    """One to four detectors that see a few objects: many of their boxes overlap, and some, or their scores, are equal.

    Coordinates are irregular, so that no overlap is as large as another or as the threshold by design.
    """
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    corners, sides = rng.uniform([0, 0], [400, 300], (3, 2)), rng.uniform(80, 200, (3, 2))
    objects = np.concatenate([corners, corners + sides], axis=1)
    pool = (objects[:, None] + rng.normal(0, 15, (3, JITTERS, 4))).reshape(-1, 4)
    detection = st.tuples(
        st.sampled_from(pool.tolist()), st.integers(1, 20).map(lambda n: n / 20), st.integers(1, CLASSES)
    )
    return draw(st.lists(st.lists(detection, max_size=15), min_size=1, max_size=4))


def by_the_package(detectors, iou):
    """What the authors' package makes of them, as rows of label, score and box."""
    package = pytest.importorskip("ensemble_boxes")
    # Its order among equal scores is the processor's: scores that differ a little leave it none but that of `fuse`.
    ranked = sorted({(-score, *box) for own in detectors for box, score, _ in own})
    rank = {key: place for place, key in enumerate(ranked)}
    nudged = [[(b, s - 1e-9 * rank[(-s, *b)], label) for b, s, label in own] for own in detectors]
    boxes, scores, labels = zip(*map(arrays, nudged), strict=True)
    boxes, scores, labels = package.weighted_boxes_fusion(
        [(own - LOW) / SPAN for own in boxes], scores, labels, iou_thr=iou
    )
    return rows(boxes * SPAN + LOW, scores, labels)


def rows(boxes, scores, labels):
    found = np.column_stack([labels, scores, boxes])
    return found[np.lexsort((found[:, 2], found[:, 0]))]


@given(detectors_on_an_image(), st.sampled_from([0.3, 0.55, 0.7]))
def test_fusion_is_that_of_the_authors_package(detectors, iou):
    expected = by_the_package(detectors, iou)
    for near in (iou - 1e-4, iou + 1e-4):  # the package rounds to float32: no overlap may be so close to the threshold
        assume(np.array_equal(by_the_package(detectors, near), expected))
    found = fused(detectors, iou)
    np.testing.assert_allclose(rows(*found), expected, rtol=0, atol=1e-3)
    np.testing.assert_allclose(rows(*found)[:, 1], expected[:, 1], rtol=0, atol=1e-6)
    assert (np.diff(found[1]) <= 0).all()


@given(detectors_on_an_image(), st.randoms(use_true_random=False))
def test_the_order_of_detectors_and_of_their_boxes_does_not_matter(detectors, random):
    shuffled = [random.sample(own, len(own)) for own in random.sample(detectors, len(detectors))]
    for one, other in zip(fused(detectors), fused(shuffled), strict=True):
        np.testing.assert_array_equal(one, other)


@given(st.lists(st.tuples(st.floats(-100, 100), st.floats(0.01, 1)), min_size=1, max_size=9))
def test_disjoint_boxes_of_a_single_detector_come_out_as_they_are(drawn):
    own = [([300 * place + x, x, 300 * place + x + 9, x + 7], score, 1) for place, (x, score) in enumerate(drawn)]
    boxes, scores, labels = fused([own])
    assert sorted(zip(boxes.tolist(), scores.tolist(), labels.tolist(), strict=True)) == sorted(own)
    assert (np.diff(scores) <= 0).all()


@given(st.lists(st.floats(0.01, 1), min_size=1, max_size=6), st.integers(0, 4))
def test_the_score_is_the_mean_of_those_that_found_the_box_lowered_by_their_share(scores, silent):
    box = [10.1, 20.2, 30.3, 40.4]
    boxes, found, _ = fused([[(box, score, 1)] for score in scores] + [[]] * silent)
    np.testing.assert_array_equal(boxes, [box])
    assert found == pytest.approx([np.mean(scores) * len(scores) / (len(scores) + silent)])


def test_a_box_found_twice_by_one_detector_does_not_count_for_another():
    box = [0, 0, 9, 9]
    assert fused([[(box, 0.9, 1), (box, 0.5, 1), (box, 0.4, 1)], []])[1] == pytest.approx([0.6])
    assert fused([[(box, 0.9, 1), (box, 0.5, 1)]])[1] == pytest.approx([0.7])


def test_a_box_is_compared_with_the_average_so_far():
    a, b, c = ([x, 0, x + 10, 10] for x in (0, 3, 4))  # IoU of a and b: 0.54, a and c: 0.43, c and their average: 0.6
    assert fused([[(a, 0.5, 1)], [(c, 0.4, 1)]], iou=0.5)[0].tolist() == [a, c]
    boxes, scores, _ = fused([[(a, 0.5, 1)], [(b, 0.5, 1)], [(c, 0.25, 1)]], iou=0.5)
    np.testing.assert_allclose(boxes, [[2, 0, 12, 10]])
    assert scores == pytest.approx([1.25 / 3])


def test_a_box_joins_the_average_that_it_overlaps_most():
    a, b, c = ([x, 0, x + 10, 10] for x in (0, 4, 3))
    boxes, _, _ = fused([[(a, 0.9, 1), (b, 0.5, 1)], [(c, 0.25, 1)]], iou=0.5)
    np.testing.assert_allclose(boxes, [a, [11 / 3, 0, 41 / 3, 10]])


def test_boxes_that_overlap_by_no_more_than_the_threshold_stay_apart():
    detectors = [[([0, 0, 2, 1], 0.9, 1)], [([0, 0, 1, 1], 0.8, 1)]]
    assert [len(fused(detectors, iou)[0]) for iou in (0.5, 0.499)] == [2, 1]


def test_boxes_of_several_classes_stay_apart():
    box = [0, 0, 9, 9]
    boxes, scores, labels = fused([[(box, 0.2, 1), (box, 0.8, 2)], [(box, 0.6, 2)]])
    assert (boxes.tolist(), labels.tolist()) == ([box, box], [2, 1])
    assert scores == pytest.approx([0.7, 0.1])


@pytest.mark.filterwarnings("error")
def test_boxes_without_area_or_score_are_dropped():
    kept = ([1, 1, 9, 9], 0.9, 1)
    odd = [([1, 1, 1, 9], 0.9, 1), ([1, 9, 9, 1], 0.9, 1), ([1, 1, 9, 9], 0.0, 1), ([1, 1, 9, 9], float("nan"), 1)]
    for one, other in zip(fused([[*odd, kept], odd]), fused([[kept], []]), strict=True):
        np.testing.assert_array_equal(one, other)
    assert [each.shape for each in fused([odd, []])] == [(0, 4), (0,), (0,)]


def test_single_precision_is_averaged_in_double():
    boxes = [np.array([[0, 0, 900.1, 900.1]], dtype=np.float32), np.array([[0, 0, 900.2, 900.3]], dtype=np.float32)]
    scores, labels = [np.array([0.7], dtype=np.float32), np.array([0.1], dtype=np.float32)], [np.array([1])] * 2
    doubles = fuse([each.astype(float) for each in boxes], [each.astype(float) for each in scores], labels, iou=0.5)
    for one, other in zip(fuse(boxes, scores, labels, iou=0.5), doubles, strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)
