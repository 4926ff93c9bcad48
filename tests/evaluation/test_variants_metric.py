import json
import math

import pytest
import torch
from mmengine.registry import METRICS as REGISTRY

import rgacli.compat  # noqa: F401  (supplies what mmdet imports)
from rgacli.errors import DataError
from rgacli.evaluation.coco_metrics import METRICS
from rgacli.evaluation.variants_metric import VariantsCocoMetric, VariantsMetric, evaluator
from rgacli.files import write_json
from tests.data.crowdhuman_files import write_odgt

SQUARE = [8.0, 8.0, 16.0, 16.0]  # xyxy, of a mask that fills it
MASK_METRICS = ("mask_AP", "mask_AP50", "mask_AP75")


@pytest.fixture
def ann_file(tmp_path):
    """One image of 32x24 px with a square; two categories, of which the second counts as label 0."""
    content = {
        "images": [{"id": 5, "file_name": "5.jpg", "width": 32, "height": 24}],
        "annotations": [
            {
                "id": 1,
                "image_id": 5,
                "category_id": 7,
                "bbox": [8, 8, 8, 8],
                "area": 64,
                "iscrowd": 0,
                "segmentation": [[8, 8, 16, 8, 16, 16, 8, 16]],
            }
        ],
        "categories": [{"id": 3, "name": "other"}, {"id": 7, "name": "square"}],
    }
    write_json(tmp_path / "ann.json", content)
    return tmp_path / "ann.json"


def instances(bbox=SQUARE, score=0.9, mask=None):
    found = {"bboxes": torch.tensor([bbox]), "scores": torch.tensor([score]), "labels": torch.tensor([0])}
    return found if mask is None else {**found, "masks": mask}


def mask(left=8, top=8):
    pixels = torch.zeros(1, 24, 32, dtype=torch.bool)
    pixels[0, top : top + 8, left : left + 8] = True
    return pixels


def evaluated(metric, **sample):
    metric.dataset_meta = {"classes": ("square",)}
    metric.process(None, [{"img_id": 5, **sample}])
    return metric.evaluate(size=1)


def test_heads_and_ensemble_are_saved_and_measured_apart(ann_file, tmp_path):
    heads = {"ensemble": instances(), "1to9": instances([0.0, 0.0, 4.0, 4.0], 0.25)}
    found = evaluated(
        VariantsCocoMetric(str(ann_file), str(tmp_path / "out")), pred_instances=instances(), head_instances=heads
    )
    assert found["coco/ensemble/AP"] == pytest.approx(1)
    assert found["coco/1to9/AP"] == 0
    assert set(found) == {f"coco/{variant}/{metric}" for variant in heads for metric in METRICS}
    assert json.loads((tmp_path / "out/1to9.json").read_text()) == [
        {"image_id": 5, "category_id": 7, "bbox": [0, 0, 4, 4], "score": 0.25}
    ]


def test_variants_come_in_one_order_in_every_process(ann_file):
    heads = {name: instances() for name in ("ensemble", "1to9", "1to1")}  # as a set of strings might have it
    metrics = evaluated(VariantsCocoMetric(str(ann_file)), pred_instances=instances(), head_instances=heads)
    assert list(dict.fromkeys(key.split("/")[1] for key in metrics)) == ["1to1", "1to9", "ensemble"]


def test_validation_measures_bins_as_well(ann_file):
    metric = VariantsCocoMetric(str(ann_file), by_bin=True)
    found = evaluated(metric, pred_instances=instances())
    assert set(found) == {f"coco/detector/{name}" for name in (*METRICS, "AP_1-3", "AP_4-7", "AP_8plus")}
    assert found["coco/detector/AP_1-3"] == pytest.approx(1)  # the image has one object
    assert math.isnan(found["coco/detector/AP_4-7"])


@pytest.mark.parametrize("kind", [torch.as_tensor, lambda pixels: pixels.numpy()], ids=["tensor", "array"])
def test_masks_are_those_of_the_ensemble(ann_file, tmp_path, kind):
    heads = {"1to9": instances(), "ensemble": instances()}
    predicted = instances(mask=kind(mask(left=10)))
    metric = VariantsCocoMetric(str(ann_file), str(tmp_path / "out"))
    found = evaluated(metric, pred_instances=predicted, head_instances=heads)
    assert {key for key in found if "mask" in key} == {f"coco/ensemble/{name}" for name in MASK_METRICS}
    assert found["coco/ensemble/AP"] == pytest.approx(1)
    # Moved by two pixels of eight, the mask's IoU is 0.6: true at three of the ten thresholds.
    assert [found[f"coco/ensemble/{name}"] for name in MASK_METRICS] == pytest.approx([0.3, 1, 0])
    (saved,) = json.loads((tmp_path / "out/ensemble.json").read_text())
    assert saved["segmentation"]["size"] == [24, 32]
    assert "segmentation" not in json.loads((tmp_path / "out/1to9.json").read_text())[0]


def test_a_detector_without_heads_of_ours_has_its_prediction_measured_masks_included(ann_file):
    found = evaluated(VariantsCocoMetric(str(ann_file)), pred_instances=instances(mask=mask()))
    assert found["coco/detector/mask_AP"] == pytest.approx(1)


def test_objects_of_classes_that_the_dataset_leaves_out_are_not_missed(ann_file):
    content = json.loads(ann_file.read_text())
    (square,) = content["annotations"]
    write_json(ann_file, {**content, "annotations": [square, {**square, "id": 2, "category_id": 3}]})
    found = evaluated(VariantsCocoMetric(str(ann_file)), pred_instances=instances())
    assert found["coco/detector/AP"] == pytest.approx(1)


def test_no_masks_found_is_a_mask_ap_of_zero(ann_file):
    nothing = {key: value[:0] for key, value in instances(mask=mask()).items()}
    assert evaluated(VariantsCocoMetric(str(ann_file)), pred_instances=nothing)["coco/detector/mask_AP"] == 0


def test_where_the_objects_have_no_masks_boxes_alone_are_measured(ann_file):
    content = json.loads(ann_file.read_text())
    del content["annotations"][0]["segmentation"]
    write_json(ann_file, content)
    found = evaluated(VariantsCocoMetric(str(ann_file)), pred_instances=instances(mask=mask()))
    assert set(found) == {f"coco/detector/{metric}" for metric in METRICS}


def test_without_measuring_annotations_are_not_needed(ann_file, tmp_path):
    content = json.loads(ann_file.read_text())
    del content["annotations"]
    write_json(ann_file, content)
    assert evaluated(VariantsMetric(str(ann_file), str(tmp_path / "out")), pred_instances=instances()) == {}
    assert len(json.loads((tmp_path / "out/detector.json").read_text())) == 1


def test_so_many_detections_of_an_image_count_as_the_metric_is_told(ann_file):
    found = {
        key: torch.cat([instances([0.0, 0.0, 4.0, 4.0], 0.9)[key], instances(score=0.5)[key]]) for key in instances()
    }
    values = [
        evaluated(REGISTRY.build(evaluator(str(ann_file), max_dets)), pred_instances=found) for max_dets in (1, 2, None)
    ]
    assert [value["coco/detector/AP"] for value in values] == pytest.approx([0, 0.5, 0.5])


def test_the_dataset_decides_by_what_it_is_measured(ann_file):
    assert evaluator(str(ann_file)) == dict(type="VariantsCocoMetric", ann_file=str(ann_file))
    content = json.loads(ann_file.read_text())
    images = [{**image, "crowdhuman_id": str(image["id"])} for image in content["images"]]
    write_json(ann_file, {**content, "images": images, "info": {"dataset": "crowdhuman", "odgt": "a.odgt"}})
    with pytest.raises(DataError, match=r"a\.odgt: no such file"):
        evaluator(str(ann_file))
    write_odgt(ann_file.parent / "a.odgt", [{"ID": image["crowdhuman_id"], "gtboxes": []} for image in images])
    assert evaluator(str(ann_file)) == dict(type="VariantsCrowdHumanMetric", ann_file=str(ann_file))
