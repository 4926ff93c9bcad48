import pytest

from rgacli.ensembles.dispatch import Calibration, calibrate, dispatch, estimate_counts
from rgacli.evaluation.coco_metrics import evaluate
from rgacli.evaluation.gt_bins import DEFAULT_BINS, parse_bins
from tests.evaluation.coco_samples import random_annotations

ANNOTATIONS = random_annotations(3)
COUNTS = evaluate(ANNOTATIONS, []).gt_counts


def found_objects(shift=lambda count: 0.0, stray=0.5):
    """Every object found at 0.8, moved aside by a part of its width, and in each image three strays of low score."""
    detections = []
    for entry in ANNOTATIONS["annotations"]:
        if not entry["iscrowd"]:
            x, y, width, height = entry["bbox"]
            box = [x + shift(COUNTS[entry["image_id"]]) * width, y, width, height]
            image, category = entry["image_id"], entry["category_id"]
            detections.append({"image_id": image, "category_id": category, "bbox": box, "score": 0.8})
    detections += [
        {"image_id": image, "category_id": 1, "bbox": [600 + 9 * i, 470, 8, 8], "score": stray}
        for image in COUNTS
        for i in range(3)
    ]
    return detections


PLAIN = found_objects(lambda count: 0.15)
SPARSE = found_objects(lambda count: 0.0 if count < 8 else 0.3)  # better than PLAIN below 8 objects, else worse
CROWDED = found_objects(lambda count: 0.3 if count < 8 else 0.0)
FOUND = {"ensemble": PLAIN, "tilt-2": SPARSE, "tilt+2": CROWDED}


def test_detections_above_the_threshold_are_counted():
    assert estimate_counts(PLAIN, list(COUNTS), 0.8) == dict(COUNTS)
    assert estimate_counts(PLAIN, [*COUNTS, 999], 0.5) == {**{i: n + 3 for i, n in COUNTS.items()}, 999: 0}


def test_calibration_finds_the_threshold_and_each_bins_variant():
    found = calibrate(ANNOTATIONS, FOUND, DEFAULT_BINS, calibrated_on="val.json")
    assert found.calibrated_on == "val.json"
    assert 0.5 < found.threshold <= 0.8
    assert found.count_error == 0
    assert found.variants == {"1-3": "tilt-2", "4-7": "tilt-2", "8+": "tilt+2"}


def test_a_bin_keeps_the_ensemble_unless_another_is_better():
    same = {"tilt-2": PLAIN, "ensemble": PLAIN, "tilt+2": PLAIN}
    bins = (*DEFAULT_BINS[:2], *parse_bins("500+"))
    assert set(calibrate(ANNOTATIONS, same, bins).variants.values()) == {"ensemble"}
    assert calibrate(ANNOTATIONS, FOUND, bins).variants["500+"] == "ensemble"  # no image there


def test_the_error_of_the_count_is_told():
    blind = calibrate(ANNOTATIONS, {"ensemble": []}, DEFAULT_BINS)
    assert blind.count_error == pytest.approx(sum(COUNTS.values()) / len(COUNTS))


def test_images_are_dispatched_by_their_own_detections():
    calibration = Calibration(0.6, 0.0, {"1-3": "tilt-2", "4-7": "ensemble", "8+": "tilt+2"}, "val.json")
    chosen = dispatch(FOUND, list(COUNTS), DEFAULT_BINS, calibration)
    for image, count in COUNTS.items():
        variant = "tilt-2" if 1 <= count <= 3 else "tilt+2" if count >= 8 else "ensemble"
        own = [detection for detection in FOUND[variant] if detection["image_id"] == image]
        assert [detection for detection in chosen if detection["image_id"] == image] == own


def test_images_whose_count_is_in_no_bin_take_the_ensemble():
    calibration = Calibration(0.6, 0.0, {"8+": "tilt+2"}, "val.json")
    chosen = dispatch(FOUND, list(COUNTS), parse_bins("8+"), calibration)
    few = {image for image, count in COUNTS.items() if count < 8}
    assert [one for one in chosen if one["image_id"] in few] == [one for one in PLAIN if one["image_id"] in few]


def test_dispatch_to_what_suits_each_image_gains_on_the_ensemble():
    calibration = calibrate(ANNOTATIONS, FOUND, DEFAULT_BINS)
    chosen = dispatch(FOUND, list(COUNTS), DEFAULT_BINS, calibration)
    ap = {name: evaluate(ANNOTATIONS, found).overall["AP"] for name, found in {**FOUND, "chosen": chosen}.items()}
    assert ap["chosen"] > max(ap[name] for name in FOUND)
