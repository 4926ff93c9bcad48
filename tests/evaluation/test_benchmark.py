import json
import random

import pytest

from rgacli.data.crowdhuman import prepare
from rgacli.errors import DataError
from rgacli.evaluation import coco_metrics, crowdhuman_metrics
from rgacli.evaluation.benchmark import Coco, CrowdHuman, benchmark_of
from rgacli.evaluation.gt_bins import bins_text
from tests.data.crowdhuman_files import write_crowdhuman
from tests.evaluation.coco_samples import noisy_detections, random_annotations, with_masks
from tests.support.dense import crowded, perfect

NAMES_OF_BINS = (("1-3", "1-3"), ("4-7", "4-7"), ("8plus", "8+"))


@pytest.mark.parametrize(
    ("info", "benchmark"),
    [
        ({}, Coco),
        ({"info": {"description": "crowdhuman"}}, Coco),
        ({"info": None}, Coco),
        ({"info": {"dataset": "crowdhuman"}}, CrowdHuman),
    ],
)
def test_a_dataset_is_of_the_benchmark_that_its_annotations_name(info, benchmark):
    assert benchmark_of({"images": [], **info}) is benchmark


def test_crowds_have_bins_and_a_limit_of_their_own():
    assert (Coco.name, bins_text(Coco.bins), Coco.max_detections) == ("coco", "1-3,4-7,8+", 100)
    assert bins_text(CrowdHuman.bins) == "1-10,11-20,21-40,41+"
    assert (CrowdHuman.name, CrowdHuman.max_detections) == ("crowdhuman", 500)


def test_cocos_metrics_are_of_boxes_and_where_both_sides_have_them_of_masks(tmp_path):
    annotations = random_annotations(0, images=15)
    detections = noisy_detections(annotations, 0)
    coco = Coco(annotations, tmp_path / "annotations.json")
    boxes = coco_metrics.evaluate(annotations, detections).overall
    assert coco.measure(detections) == coco.measure(detections, masks=True) == boxes  # the objects have none
    with_masks(annotations, detections)
    masks = coco_metrics.evaluate(annotations, detections, masks=True).overall
    assert coco.measure(detections) == boxes
    assert coco.measure(detections, masks=True) == {
        **boxes,
        **{f"mask_{metric}": masks[metric] for metric in ("AP", "AP50", "AP75")},
    }
    assert masks["AP"] != boxes["AP"]


def test_bins_are_measured_where_they_are_asked_for(tmp_path):
    annotations = random_annotations(0, images=15)
    detections = noisy_detections(annotations, 0)
    by_bin = coco_metrics.evaluate(annotations, detections).by_bin(Coco.bins)
    coco = Coco(annotations, tmp_path / "annotations.json")
    plain, found = coco.measure(detections), coco.measure(detections, by_bin=True)
    assert found == {**plain, **{f"AP_{name}": by_bin[label]["AP"] for name, label in NAMES_OF_BINS}}
    assert len({found[f"AP_{name}"] for name, _ in NAMES_OF_BINS}) == 3


def test_so_many_detections_of_an_image_count_as_coco_is_told(tmp_path):
    annotations = crowded([150])
    detections = perfect(annotations)
    with_masks(annotations, detections)
    official = Coco(annotations, tmp_path / "annotations.json", 100).measure(detections, masks=True)
    needed = Coco(annotations, tmp_path / "annotations.json").measure(detections, masks=True)
    for key in ("AP", "mask_AP"):
        assert (official[key], needed[key]) == pytest.approx((67 / 101, 1))


@pytest.fixture
def crowd(tmp_path):
    """A prepared CrowdHuman's annotations: what they hold, and their file."""
    write_crowdhuman(tmp_path, {"val": 2})
    path = prepare(tmp_path)["val"].annotation_file
    return json.loads(path.read_text()), path


def test_crowdhumans_metrics_are_from_its_official_annotations(crowd):
    annotations, path = crowd
    found = [{**entry, "score": 0.5} for entry in annotations["annotations"] if not entry["iscrowd"]]
    measured = CrowdHuman(annotations, path).measure(found)
    assert tuple(measured) == crowdhuman_metrics.METRICS
    assert (measured["mMR"], measured["JI"]) == pytest.approx((0, 1), abs=1e-4)


def test_crowdhuman_counts_the_detections_of_the_highest_scores(crowd):
    annotations, path = crowd
    rng = random.Random(0)
    found = [{**entry, "score": rng.random()} for entry in annotations["annotations"] if not entry["iscrowd"]]
    scores = {image["id"]: [] for image in annotations["images"]}
    for detection in sorted(found, key=lambda detection: detection["score"]):
        scores[detection["image_id"]].append(detection["score"])
    best = [detection for detection in found if detection["score"] >= scores[detection["image_id"]][-3:][0]]
    assert len(best) < len(found)
    whole = CrowdHuman(annotations, path).measure(found)
    assert CrowdHuman(annotations, path, 3).measure(found) == CrowdHuman(annotations, path).measure(best) != whole
    assert CrowdHuman(annotations, path, max(map(len, scores.values()))).measure(found) == whole


def test_without_its_official_annotations_crowdhuman_cannot_be_measured(crowd):
    annotations, path = crowd
    (path.parents[1] / "annotation_val.odgt").unlink()
    with pytest.raises(DataError, match=r"annotation_val\.odgt: no such file"):
        CrowdHuman(annotations, path)
