import numpy as np
import pytest

from rgacli.ensembles.fusion import best, joint_nms, oracle, select, weighted_boxes_fusion
from rgacli.evaluation.coco_metrics import evaluate
from rgacli.evaluation.gt_bins import DEFAULT_BINS, assign
from tests.evaluation.coco_samples import noisy_detections, random_annotations

ANNOTATIONS = random_annotations(0)
A, B = noisy_detections(ANNOTATIONS, 1), noisy_detections(ANNOTATIONS, 2)


def found(box, score, image=1, category=1):
    return {"image_id": image, "category_id": category, "bbox": box, "score": score}


def iou(a, b):
    width = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    height = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    shared = max(width, 0) * max(height, 0)
    return shared / (a[2] * a[3] + b[2] * b[3] - shared)


def nms_by_hand(detections, threshold):
    """The best first, unless one of the same image and class that was kept overlaps it."""
    kept = []
    for one in sorted(detections, key=lambda detection: -detection["score"]):
        rivals = [k for k in kept if (k["image_id"], k["category_id"]) == (one["image_id"], one["category_id"])]
        if all(iou(one["bbox"], rival["bbox"]) <= threshold for rival in rivals):
            kept.append(one)
    return kept


def as_set(detections):
    return {(d["image_id"], d["category_id"], d["score"], *d["bbox"]) for d in detections}


def test_joint_nms_is_nms_over_what_all_detectors_found():
    rng = np.random.default_rng(0)  # distinct scores: order among equals is no part of NMS
    a, b = ([{**d, "score": float(rng.random())} for d in each] for each in (A, B))
    fused = joint_nms([a, b], iou=0.4)
    assert as_set(fused) == as_set(nms_by_hand(a + b, 0.4))
    assert 0 < len(fused) < len(a) + len(b)


def test_joint_nms_keeps_the_best_of_each_image():
    fused = joint_nms([A, B], limit=3)
    for image in {detection["image_id"] for detection in fused}:
        own = sorted((d["score"] for d in joint_nms([A, B]) if d["image_id"] == image), reverse=True)
        assert sorted((d["score"] for d in fused if d["image_id"] == image), reverse=True) == own[:3]


def test_joint_nms_keeps_classes_apart_left_of_the_image_too():
    apart = [found([60, 60, 40, 40], 0.9, category=1), found([-41, -41, 40, 40], 0.8, category=2)]
    assert len(joint_nms([apart, []])) == 2


def test_joint_nms_of_nothing_is_nothing():
    assert list(joint_nms([[], []])) == []


@pytest.mark.parametrize("fuse", [joint_nms, weighted_boxes_fusion])
def test_large_category_ids_stay_apart(fuse):
    ids = [2**53 + 1, 2**53, 2**24 + 1]
    same = [found([10, 20, 30, 40], 0.9 - 0.1 * index, category=key) for index, key in enumerate(ids)]
    assert [detection["category_id"] for detection in fuse([same, []])] == ids


@pytest.mark.parametrize(("fuse", "task"), [(joint_nms, "joint-nms"), (weighted_boxes_fusion, "wbf")])
def test_each_image_is_reported(fuse, task):
    seen = []
    fuse([A, B], progress=lambda *report: seen.append(report))
    images = len({detection["image_id"] for detection in A + B})
    assert seen == [(task, done, images) for done in range(1, images + 1)]


def test_masks_do_not_follow_fused_boxes():
    masked = {**found([0, 0, 10, 10], 0.5), "segmentation": {"counts": "x", "size": [1, 1]}}
    assert list(joint_nms([[masked], []])) == [found([0, 0, 10, 10], 0.5)]
    assert list(select({"a": [masked]}, {1: "a"})) == [found([0, 0, 10, 10], 0.5)]


# --- weighted boxes fusion


def test_boxes_that_overlap_are_averaged_by_their_scores():
    a = [found([-10, 20, 100, 60], 0.9), found([300, 300, 40, 40], 0.6), found([300, 300, 40, 40], 0.3, category=2)]
    b = [found([-4, 20, 100, 70], 0.3)]
    fused = weighted_boxes_fusion([a, b])
    # Corners are weighted by score, 3 : 1. One of two detectors finding a box halves its score.
    expected = [([-8.5, 20, 100, 62.5], 0.6, 1), ([300, 300, 40, 40], 0.3, 1), ([300, 300, 40, 40], 0.15, 2)]
    assert len(fused) == len(expected)
    for detection, (box, score, category) in zip(fused, expected, strict=True):
        assert detection["bbox"] == pytest.approx(box, abs=1e-9)
        assert (detection["score"], detection["category_id"]) == (pytest.approx(score), category)


def test_boxes_without_area_or_score_are_dropped_and_the_best_kept():
    odd = [found([5, 5, 0, 9], 0.9), found([5, 5, 9, 9], 0.0)]
    assert list(weighted_boxes_fusion([odd, []])) == []
    (kept,) = weighted_boxes_fusion([[*odd, found([50, 50, 10, 10], 0.4), found([90, 9, 10, 10], 0.2)], []], limit=1)
    assert kept["score"] == pytest.approx(0.2)


@pytest.mark.filterwarnings("error")
def test_fusing_real_amounts_neither_warns_nor_leaves_an_image_out():
    usable = {d["image_id"] for d in A + B if d["score"] > 0 and min(d["bbox"][2:]) > 0}
    assert {d["image_id"] for d in weighted_boxes_fusion([A, B])} == usable


# --- oracle


def test_the_oracle_takes_the_detector_that_is_best_on_the_images_bin():
    sharp = noisy_detections(ANNOTATIONS, 1, noise=1)
    counts = evaluate(ANNOTATIONS, []).gt_counts
    bins = assign(counts, DEFAULT_BINS)
    crowded = set(bins["8+"])
    detectors = {
        "sparse": [d for d in sharp if d["image_id"] not in crowded],
        "crowded": [d for d in sharp if d["image_id"] in crowded],
    }
    evaluations = {name: evaluate(ANNOTATIONS, detections) for name, detections in detectors.items()}
    fused, chosen = oracle(detectors, evaluations, DEFAULT_BINS)
    overall = best({name: evaluation.overall["AP"] for name, evaluation in evaluations.items()})
    assert chosen == {"all": overall, "1-3": "sparse", "4-7": "sparse", "8+": "crowded"}
    binned = {image for images in bins.values() for image in images}
    expected = [d for d in sharp if d["image_id"] in binned]
    expected += [d for d in detectors[overall] if d["image_id"] not in binned]
    assert as_set(fused) == as_set(expected)
    assert evaluate(ANNOTATIONS, fused).overall["AP"] > max(e.overall["AP"] for e in evaluations.values())


def test_the_best_is_the_first_of_equals_and_no_nan():
    assert best({"a": float("nan"), "b": 0.0, "c": 0.0}) == "b"
    assert best({"a": 0.1, "b": float("nan"), "c": 0.2}) == "c"
    assert best({"a": float("nan"), "b": float("nan")}) == "a"
