import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rgacli.evaluation import result_arrays
from rgacli.evaluation.coco_metrics import evaluate
from rgacli.evaluation.result_arrays import ResultArrays
from tests.evaluation.coco_samples import noisy_detections, random_annotations

ANNOTATIONS = random_annotations(0)
FOUND = noisy_detections(ANNOTATIONS, 1)

ids = st.integers(-(2**70), 2**70)
numbers = st.floats(allow_nan=False, allow_infinity=False)
detections = st.lists(
    st.fixed_dictionaries(
        {"image_id": ids, "category_id": ids, "bbox": st.lists(numbers, min_size=4, max_size=4), "score": numbers}
    ),
    max_size=7,
)


@given(detections)
def test_they_are_what_they_were_made_of(found):
    arrays = ResultArrays.of(found)
    assert list(arrays) == found
    assert len(arrays) == len(found)
    assert [arrays[place] for place in range(-len(found), len(found))] == found + found
    assert list(arrays[1:3]) == found[1:3]
    assert ResultArrays.of(arrays) is arrays


@given(detections, detections)
def test_several_are_joined_in_their_order(a, b):
    assert list(ResultArrays.joined([ResultArrays.of(a), ResultArrays.of(b)])) == a + b


def test_of_none_there_is_nothing():
    nothing = ResultArrays.joined([])
    assert list(nothing) == []
    assert nothing.corners.shape == (0, 4)


def test_one_that_is_not_there_is_an_error():
    with pytest.raises(IndexError):
        ResultArrays.of(FOUND)[len(FOUND)]


def test_all_come_however_many_are_made_at_a_time(monkeypatch):
    monkeypatch.setattr(result_arrays, "_AT_A_TIME", 3)
    assert list(ResultArrays.of(FOUND)) == FOUND


def test_masks_are_left_out_and_corners_are_the_boxes():
    arrays = ResultArrays.of([{**FOUND[0], "segmentation": {"counts": "x", "size": [1, 1]}}])
    assert list(arrays) == [FOUND[0]]
    x, y, width, height = FOUND[0]["bbox"]
    assert arrays.corners.tolist() == [[x, y, x + width, y + height]]


def test_some_are_taken_by_place_or_by_whether_they_are_meant():
    arrays = ResultArrays.of(FOUND)
    assert list(arrays.take(np.array([3, 0]))) == [FOUND[3], FOUND[0]]
    strong = arrays.scores > 0.5
    assert list(arrays.take(strong)) == [detection for detection in FOUND if detection["score"] > 0.5]


def test_they_are_evaluated_as_their_dicts_are():
    assert evaluate(ANNOTATIONS, ResultArrays.of(FOUND)).overall == evaluate(ANNOTATIONS, FOUND).overall
