import math

import numpy as np
import pytest

from rgacli.evaluation.classwise import by_class
from rgacli.evaluation.coco_metrics import evaluate
from tests.evaluation.coco_samples import noisy_detections, pycocotools_metrics, random_annotations, with_masks


def of_class(category, annotations, detections):
    """The files with one class alone."""
    return (
        {
            **annotations,
            "categories": [entry for entry in annotations["categories"] if entry["id"] == category],
            "annotations": [entry for entry in annotations["annotations"] if entry["category_id"] == category],
        },
        [detection for detection in detections if detection["category_id"] == category],
    )


def test_each_class_has_pycocotools_ap_whatever_the_order_of_the_file():
    annotations = random_annotations(0, categories=(7, 2, 1))
    detections = {head: noisy_detections(annotations, seed) for seed, head in enumerate(("1:1", "1:9"))}
    with_masks(annotations, detections["1:1"])
    boxes = {head: evaluate(annotations, found) for head, found in detections.items()}
    masks = {"1:1": evaluate(annotations, detections["1:1"], masks=True)}
    rows = by_class(annotations, boxes, masks)
    assert [row.name for row in rows] == ["class 1", "class 2", "class 7"]
    for row, category in zip(rows, (1, 2, 7), strict=True):
        for head, found in detections.items():
            alone = of_class(category, annotations, found)
            expected = {key: pycocotools_metrics(*alone)[key] for key in ("AP", "AP50")}
            if head == "1:1":
                of_masks = pycocotools_metrics(*alone, iou_type="segm")
                expected |= {f"mask_{key}": of_masks[key] for key in ("AP", "AP50")}
            assert row.heads[head] == pytest.approx(expected, abs=1e-6)


def test_objects_and_images_of_a_class_are_counted_without_crowds():
    annotations = random_annotations(1)
    annotations["categories"].append({"id": 9, "name": "never there"})
    rows = by_class(annotations, {"detector": evaluate(annotations, [])})
    for row, category in zip(rows, (1, 2, 7, 9), strict=True):
        objects = [
            entry["image_id"]
            for entry in annotations["annotations"]
            if entry["category_id"] == category and not entry["iscrowd"]
        ]
        assert (row.objects, row.images) == (len(objects), len(set(objects)))
    assert rows[0].heads["detector"] == {"AP": 0, "AP50": 0}
    assert all(map(math.isnan, rows[-1].heads["detector"].values()))


def test_the_mean_over_classes_is_ap():
    annotations = random_annotations(2)
    evaluation = evaluate(annotations, noisy_detections(annotations, 2))
    rows = by_class(annotations, {"detector": evaluation})
    for key in ("AP", "AP50"):
        assert np.mean([row.heads["detector"][key] for row in rows]) == pytest.approx(evaluation.overall[key])
