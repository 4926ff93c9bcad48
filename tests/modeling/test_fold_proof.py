"""The proof that a folded detector, of mmdet's own classes alone, detects what the ensemble does: on real images."""

import itertools
import json

import pytest
import torch
from mmengine.config import Config
from mmengine.model import ModuleList

from rgacli.config.dataset import set_dataset
from rgacli.config.recipe import detector_name, set_method
from rgacli.data.layout import find_dataset
from rgacli.data.synthetic import SIZES, write_dataset
from rgacli.export.parity import compare_detections
from rgacli.export.stock import write_stock
from rgacli.inference.detector import Detector
from rgacli.method import parse_ratios
from rgacli.runs import CONFIG, EXPORTED
from tests.data.coco_files import SHARED_DATA
from tests.support import families, tiny

SCORES = 1e-4
BOXES = 1e-6
"""Of the longest image side: 1.6e-4 px of 160 px, and 6.4e-4 px of 640 px, where float32 steps by 6e-5. Folding moves
no box by itself. But matrix products sum in blocks, and the zeros beside the folded regressor's weights shift where a
block begins: by the processor and the width of the layers, boxes are the same or a few steps away.
"""
FAMILIES = ["faster_rcnn/faster-rcnn_r50_fpn_1x_coco", "cascade_rcnn/cascade-rcnn_r50_fpn_1x_coco"]
RATIOS = ["1:1,1:9", "1:9,1:1,1:3"]
COMBINATIONS = list(itertools.product(FAMILIES, RATIOS, (True, False)))
FEW = 3
TIED = 0.01
"""The share of detections that NMS may exchange: RoIs on a patch of one colour have the same score to the last bits,
and rounding decides which of them it keeps."""


@pytest.fixture(scope="module", params=["embedded", pytest.param("coco128", marks=pytest.mark.slow)])
def dataset(request, tmp_path_factory):
    """The embedded dataset with its own test images, or real photographs of up to 640 px, with 80 classes."""
    if request.param == "coco128":
        if not (SHARED_DATA / "coco128").is_dir():
            pytest.skip("needs the shared data sets")
        return find_dataset(SHARED_DATA / "coco128")
    root = tmp_path_factory.mktemp("embedded") / "drawn"
    write_dataset(root, sizes={"train": 1, "test": SIZES["test"]})
    return find_dataset(root)


def held_out(dataset):
    """The image files of its test split, or of val where it has none, and their longest side in px."""
    split = dataset.splits.get("test") or dataset.splits["val"]
    images = json.loads(split.annotations.read_text())["images"]
    side = max(max(image["width"], image["height"]) for image in images)
    return [split.images / image["file_name"] for image in images], side


def parallel_config(name, ratios, agnostic, dataset):
    """A family's config with parallel heads on a dataset, at the family's own image scale."""
    cfg = families.family(name)
    set_dataset(cfg, dataset)
    set_method(cfg, ratios=parse_ratios(ratios))
    # By mmdet's way, as the folded one goes: feature maps that lie by pixel differ in their last bits, on which the
    # RPN's choice among equals hangs. That both ways detect the same is shown in `batched`.
    cfg.model.type = detector_name(cfg.model)
    heads = cfg.model.roi_head.bbox_head
    for head in heads if isinstance(heads, list) else [heads]:
        head.reg_class_agnostic = agnostic
    cfg.model.test_cfg.rpn.update(nms_pre=100, max_per_img=100)
    cfg.model.test_cfg.rcnn.update(score_thr=0.01, max_per_img=100_000)
    return cfg


def save_weights(model, path):
    """A checkpoint of random weights under which every head is sure of other objects."""
    model = tiny.build(model)
    tiny.scramble(model.roi_head)
    for name, parameter in model.named_parameters():
        if "fc_cls" in name:
            parameter.data.mul_(5)  # scores up to 0.9: where all are faint, so is a difference
    torch.save({"state_dict": model.state_dict()}, path)
    return path


def assert_stock(model):
    heads = model.roi_head.bbox_head
    for module in (model, model.rpn_head, model.roi_head, *(heads if isinstance(heads, ModuleList) else [heads])):
        assert type(module).__module__.startswith("mmdet.")


def compare(folder, cfg, dataset, number, unpaired=0.0):
    """The folded detector's detections on the first so many images against the ensemble's; these must agree."""
    weights = save_weights(cfg.model, folder / "weights.pth")
    write_stock(cfg, weights, folder, classes=dataset.classes, ann_file="", provenance={})
    parallel = Detector(cfg, weights, "cpu")
    folded = Detector(Config.fromfile(folder / CONFIG), folder / EXPORTED, "cpu")
    assert_stock(folded.model)

    files, side = held_out(dataset)
    found = parallel(files[:number])
    expected = [prediction["ensemble"] for prediction in found]
    for head in parallel.heads[:-1]:  # none by itself could pass for the ensemble
        assert not compare_detections([found[0][head]], expected[:1]).within(1, 0.1)
    together = compare_detections([prediction["detector"] for prediction in folded(files[:number])], expected)
    assert together.within(BOXES * side, SCORES, unpaired), together
    return together


@pytest.mark.parametrize(("name", "ratios", "agnostic"), COMBINATIONS)
def test_a_folded_detector_finds_what_the_ensemble_does(tmp_path, dataset, name, ratios, agnostic):
    together = compare(tmp_path, parallel_config(name, ratios, agnostic, dataset), dataset, FEW, TIED)
    assert together.detections > 200 * FEW


@pytest.mark.slow
@pytest.mark.parametrize(("name", "ratios", "agnostic"), COMBINATIONS)
def test_on_every_image_all_that_goes_into_nms_is_the_same(tmp_path, dataset, name, ratios, agnostic):
    """Before NMS, nothing is exchanged: each candidate has its counterpart."""
    cfg = parallel_config(name, ratios, agnostic, dataset)
    cfg.model.test_cfg.rcnn.update(score_thr=0.0, nms=dict(type="nms", iou_threshold=1.0))  # drops nothing
    together = compare(tmp_path, cfg, dataset, None)
    assert together.detections == together.images * 100 * len(dataset.classes)
