from dataclasses import replace

import numpy as np
import pytest

from rgacli.evaluation.detections import Detections
from rgacli.export.parity import Parity, compare_detections


def detections(*rows):
    """Of rows (label, score, x1): boxes of 10 by 10 pixels."""
    labels, scores, left = zip(*rows, strict=True) if rows else ((), (), ())
    boxes = np.array([[x, 0, x + 10, 10] for x in left], np.float32).reshape(-1, 4)
    return Detections(boxes, np.array(scores, np.float32), np.array(labels, np.int64), ("a", "b"))


SOME = detections((0, 0.9, 5), (1, 0.8, 5), (0, 0.7, 50))


def test_detections_are_at_parity_with_themselves_in_any_order():
    reordered = detections((0, 0.7, 50), (0, 0.9, 5), (1, 0.8, 5))
    assert compare_detections([SOME, reordered], [SOME, SOME]) == Parity(images=2, detections=6)


def test_the_largest_difference_counts():
    found = detections((0, 0.9, 5.25), (1, 0.795, 5), (0, 0.7, 50.5))
    parity = compare_detections([found], [SOME])
    assert (parity.detections, parity.unpaired, parity.boxes) == (3, 0, 0.5)
    assert parity.scores == pytest.approx(0.005)
    assert parity.within(0.5, 0.006)
    assert not parity.within(0.4, 0.006)
    assert not parity.within(0.5, 0.004)


@pytest.mark.parametrize("other", [(0, 0.7, 52), (0, 0.68, 50)])
def test_what_is_far_apart_is_no_pair(other):
    parity = compare_detections([detections((0, 0.9, 5), (1, 0.8, 5), other)], [SOME])
    assert (parity.detections, parity.unpaired, parity.boxes, parity.scores) == (2, 2, 0, 0)
    assert not parity.within(1, 1)
    assert not parity.within(1, 1, unpaired=0.9)
    assert parity.within(1, 1, unpaired=1.0)


def masked(*columns):
    """SOME, each with a mask of 10 rows and so many columns."""
    return replace(SOME, masks=np.stack([np.arange(20)[None].repeat(10, 0) < number for number in columns]))


def test_masks_that_differ_a_little_are_told_and_those_that_differ_much_are_no_pair():
    expected = masked(20, 10, 0)
    parity = compare_detections([masked(19, 10, 0)], [expected])
    assert (parity.detections, parity.unpaired, parity.masks) == (3, 0, 0.05)
    assert str(parity).endswith("0 px in boxes, 0 in scores, 0.05 in masks")
    parity += compare_detections([masked(20, 8, 0)], [expected])
    assert (parity.detections, parity.unpaired, parity.masks) == (5, 2, 0.05)


def test_masks_that_only_one_detector_makes_are_not_compared():
    assert compare_detections([masked(20, 10, 0)], [SOME]) == Parity(images=1, detections=3)


@pytest.mark.parametrize(
    ("found", "unpaired"),
    [
        (detections(), 3),
        (detections((0, 0.9, 5), (1, 0.8, 5)), 1),
        (detections((0, 0.9, 5), (0, 0.8, 5), (0, 0.7, 50)), 2),  # a class mistaken: one more here, one fewer there
    ],
)
def test_what_one_finds_alone_is_told(found, unpaired):
    for parity in (compare_detections([found], [SOME]), compare_detections([SOME], [found])):
        assert parity.unpaired == unpaired
        assert not parity.within(100, 1)
        assert f"; {unpaired} found by one of the two alone" in str(parity)


def test_it_reads_as_a_line():
    assert str(compare_detections([SOME], [SOME])) == (
        "1 image, 3 detections: largest difference 0 px in boxes, 0 in scores"
    )


def test_other_numbers_of_images_are_no_comparison():
    with pytest.raises(ValueError, match="shorter"):
        compare_detections([SOME, SOME], [SOME])
